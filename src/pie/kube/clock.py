"""Two clocks for a long-running process: they stay right if the process is frozen or the wall clock jumps."""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_DRIFT: Final = 100e-6
"""The largest drift of two quartz clocks, seconds per second: 100 ppm is worse than real hardware."""

_RESOLUTION_SECONDS: Final = 1.0
"""An HTTP date has whole seconds, cut, not rounded (RFC 9110, 5.6.7; Go formats it so)."""


def boottime() -> float:
    """Seconds since boot: never set back, and counts also while the process or the machine sleeps."""
    return time.clock_gettime(_CLOCK)


def date_seconds(header: str | None) -> float | None:
    """Return the epoch seconds of a `Date` header; None if it is missing or not a valid date."""
    if header is None:
        return None
    try:
        return parsedate_to_datetime(header).timestamp()
    except ValueError:
        return None


class ServerClock:
    """The API server's clock, learned from the `Date` headers of its answers.

    A header says that the server's clock stood in [D, D+1) at some moment between our sending and our
    receiving. Each answer so narrows an interval for (server clock - local monotonic clock); after some
    requests the middle of it is good to a fraction of a second. The interval widens with time for drift.
    When an answer contradicts it (the server's clock was set, or a replica with another clock answered),
    the interval starts again from that answer. The local wall clock is used only until the first answer, so
    a jump of it changes nothing. Readings may step back by the width of the interval, at most about 1 s.
    """

    def __init__(
        self, monotonic: Callable[[], float] = boottime, wall: Callable[[], float] = time.time
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._low = self._high = self._at = 0.0
        self._known = False

    def monotonic(self) -> float:
        """Return the local clock that `observe` and `at` work with."""
        return self._monotonic()

    def observe(self, date: str | None, sent_at: float) -> None:
        """Learn from the `Date` header of an answer that just came in; `sent_at` is by `monotonic()`."""
        if (stamp := date_seconds(date)) is None:
            return
        received_at = self._monotonic()
        low, high = stamp - received_at, stamp + _RESOLUTION_SECONDS - sent_at
        widened = (received_at - self._at) * _DRIFT
        narrowed_low, narrowed_high = max(low, self._low - widened), min(high, self._high + widened)
        if self._known and narrowed_low <= narrowed_high:
            low, high = narrowed_low, narrowed_high
        self._low, self._high, self._at, self._known = low, high, received_at, True

    def now(self) -> float:
        """Epoch seconds on the server's clock."""
        return self.at(self._monotonic()) if self._known else self._wall()

    def at(self, moment: float) -> float:
        """Epoch seconds on the server's clock at a time of `monotonic()`, by the present estimate."""
        if not self._known:
            return self._wall() - (self._monotonic() - moment)
        return moment + (self._low + self._high) / 2
