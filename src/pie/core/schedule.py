"""When runs are due, for every runner."""

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from pie.core.model import Target

MINUTE_SECONDS = 60
KEPT: Final = 32_768
"""Calendars, and other numbers of targets, that are kept instead of calculated at each step."""

_FIRST_EARLY_PART = 1 / 8
"""The first wait, as a part of the period. So there are at most three early runs in a period."""

_SHORTEST_EARLY_WAIT_SECONDS = 30.0
CLEAR_OF_DUE_SECONDS = 45.0
"""An early run is to be over when the next due time comes."""


@lru_cache(maxsize=KEPT)
def spread_seconds(target: Target, width_seconds: float) -> float:
    """Return a fixed number in [0, width) for a target, so that many targets do not act at the same time."""
    return zlib.crc32(f"{target}/spread".encode()) / 2**32 * width_seconds


def dues_between(
    next_due: Callable[[float], float], after: float, until: float, *, limit: int, longest_seconds: float
) -> list[float]:
    """Return the due times in (after, until], oldest first; if there are more than `limit`, the newest.

    `longest_seconds` is at least the time that `limit` due times take.
    """
    found: list[float] = []
    due = next_due(max(after, until - longest_seconds))
    while due <= until:
        found.append(due)
        due = next_due(due)
    return found[-limit:]


def early_wait_seconds(period_seconds: int, until_due_seconds: float, waited_seconds: float) -> float | None:
    """Return how long to wait before a bad target is probed early; None: it is due soon.

    Each wait is at least twice the one before it, `waited_seconds` (0 after a run that was due).
    """
    wait = max(_SHORTEST_EARLY_WAIT_SECONDS, period_seconds * _FIRST_EARLY_PART, 2 * waited_seconds)
    return wait if wait <= until_due_seconds - CLEAR_OF_DUE_SECONDS else None
