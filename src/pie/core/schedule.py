"""When runs are due, for every runner."""

import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from pie.core.model import Target

MINUTE_SECONDS = 60
KEPT: Final = 32_768
"""Calendars, and other numbers of targets, that are kept instead of calculated at each step."""

_FIRST_EARLY_PART = 1 / 8
"""The first wait, as a part of the period. So there are at most three early runs in a period."""

_SHORTEST_EARLY_WAIT_SECONDS = 30.0
CLEAR_OF_DUE_SECONDS = 45.0
"""An early run is to be over when the next due time comes."""


_WHOLE: Final = 2**32
_GOLDEN: Final = 2_654_435_769
"""The golden ratio of a whole: its multiples spread evenly, however many there are."""
_LAST_NUMBER: Final = re.compile(r"\d{1,18}(?=\D*$)")


@lru_cache(maxsize=KEPT)
def spread_seconds(target: Target, width_seconds: float) -> float:
    """Return a fixed number in [0, width) for a target, so that many targets do not act at the same time.

    It is a hash, which leaves gaps and crowds; but nodes whose names differ only in their last number, as
    node-7 and node-8 do, are spread evenly. It depends on nothing but the target: when nodes come and go, the
    numbers of the others stay.
    """
    number = _LAST_NUMBER.search(target.node)
    node = target.node
    if number is not None:
        node = f"{node[: number.start()]}#{node[number.end() :]}"
    place = zlib.crc32(f"{replace(target, node=node).full_name}/spread".encode())
    return (place + _GOLDEN * int(number[0] if number else 0)) % _WHOLE / _WHOLE * width_seconds


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
