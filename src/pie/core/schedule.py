"""When runs are due: the phase of a target, and its due times.

The phase spreads targets over the minutes of a period as Go pie does, by a checksum of their names. All
CronJobs carry `timeZone: Etc/UTC`, so that due times do not depend on where kube-controller-manager runs.
"""

import math
import zlib

from pie.core.model import Target

MINUTE_SECONDS = 60
_MINUTES_OF_HOUR = 60
# A moment that differs from a due time only by rounding is that due time.
_ROUNDING_MINUTES = 1e-6

_FIRST_EARLY_PART = 1 / 8
"""Of the period: the first wait. So there are at most three in a period."""

_SHORTEST_EARLY_WAIT_SECONDS = 30.0
CLEAR_OF_DUE_SECONDS = 45.0
"""An early run is to be over when the next due time comes."""


def phase_minutes(target: Target, period_seconds: int) -> int:
    """Return the minute of the hour at which the target's first run is due."""
    key = target.probe + target.storage_class + target.node
    return zlib.crc32(key.encode()) % (period_seconds // MINUTE_SECONDS)


def spread_seconds(target: Target, width_seconds: float) -> float:
    """Return a fixed number in [0, width) for a target, so that many targets do not act at the same time."""
    return zlib.crc32(f"{target}/spread".encode()) / 2**32 * width_seconds


def next_due(
    target: Target, period_seconds: int, after: float, minute_seconds: float = MINUTE_SECONDS
) -> float:
    """Return the first due time later than `after`, by a clock whose minutes last `minute_seconds`.

    Cron counts the minutes of an hour. If the period does not divide 60, the last interval of an hour is
    shorter than the period.
    """
    return due_after(phase_minutes(target, period_seconds), period_seconds, after, minute_seconds)


def due_after(phase: int, period_seconds: int, after: float, minute_seconds: float) -> float:
    """Return the first due time later than `after` of a target with this phase."""
    period = period_seconds // MINUTE_SECONDS
    minute = math.floor(after / minute_seconds + _ROUNDING_MINUTES)
    hour = minute // _MINUTES_OF_HOUR * _MINUTES_OF_HOUR
    offset = phase + max(0, (minute - hour - phase) // period + 1) * period
    return (hour + (offset if offset < _MINUTES_OF_HOUR else _MINUTES_OF_HOUR + phase)) * minute_seconds


def dues_between(
    target: Target,
    period_seconds: int,
    after: float,
    until: float,
    *,
    limit: int,
    minute_seconds: float = MINUTE_SECONDS,
) -> list[float]:
    """Return the due times in (after, until], oldest first; if there are more than `limit`, the newest."""
    phase = phase_minutes(target, period_seconds)
    return dues_of(phase, period_seconds, after, until, limit=limit, minute_seconds=minute_seconds)


def dues_of(
    phase: int, period_seconds: int, after: float, until: float, *, limit: int, minute_seconds: float
) -> list[float]:
    """Return the due times in (after, until] of a target with this phase, as `dues_between` does."""
    found: list[float] = []
    longest = limit * period_seconds / MINUTE_SECONDS * minute_seconds
    due = due_after(phase, period_seconds, max(after, until - longest), minute_seconds)
    while due <= until:
        found.append(due)
        due = due_after(phase, period_seconds, due, minute_seconds)
    return found[-limit:]


def early_wait_seconds(period_seconds: int, until_due_seconds: float, waited_seconds: float) -> float | None:
    """Return how long to wait before a bad target is probed early; None: it is due soon.

    Each wait is at least twice the one before it, `waited_seconds` (0 after a run that was due).
    """
    wait = max(_SHORTEST_EARLY_WAIT_SECONDS, period_seconds * _FIRST_EARLY_PART, 2 * waited_seconds)
    return wait if wait <= until_due_seconds - CLEAR_OF_DUE_SECONDS else None
