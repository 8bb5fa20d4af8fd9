"""Pacing of requests: no more per second than is allowed, and fewer when the API server is slow or fails."""

import asyncio
import heapq
import time
from collections.abc import Callable
from itertools import count
from typing import Final

_SLOWEST: Final = 0.05
"""The rate never falls below this part of what is allowed, or recovery would never be noticed."""

_CUT: Final = 0.5
_RISE: Final = 0.02
"""Multiplicative decrease, additive increase (of what is allowed, per good answer), as in TCP (RFC 5681)."""


class Pacer:
    """A token bucket that adapts itself.

    `qps` is the requests per second that are allowed at most and `burst` how many may go at once after a
    pause. Waiters are served in order, urgent ones first and new runs last. A request that takes longer
    than `slow_seconds`, or that fails at the server, halves the rate, at most once in `settle_seconds`; every
    good one raises it by a fiftieth of `qps`. Nothing goes out while the server wants to be left alone (429
    with Retry-After).
    """

    def __init__(
        self,
        qps: float,
        burst: int,
        *,
        slow_seconds: float = 1.0,
        settle_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        on_rate: Callable[[float], None] = lambda _rate: None,
    ) -> None:
        if qps <= 0 or burst < 1:
            raise ValueError(f"qps must be positive and burst at least 1, not {qps} and {burst}")
        self._qps = qps
        self._burst = burst
        self._slow_seconds = slow_seconds
        self._settle_seconds = settle_seconds
        self._clock = clock
        self._on_rate = on_rate
        self._rate = qps
        self._tokens = float(burst)
        self._filled_at = clock()
        self._cut_at = float("-inf")
        self._held_until = float("-inf")
        self._order = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        on_rate(qps)

    @property
    def rate(self) -> float:
        """Requests per second that are allowed now."""
        return self._rate

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return sum(not future.done() for _, _, future in self._waiting)

    async def wait(self, *, urgent: bool = False, last: bool = False) -> None:
        """Return when the next request may go out: urgent ones first, and those that are `last` after all."""
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (last - urgent, next(self._order), turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn had come: give it to the next one
                self._tokens += 1
                self._serve()
            raise

    def answered(self, took_seconds: float) -> None:
        """Note that the server did what was asked, and how long that took."""
        if took_seconds >= self._slow_seconds:
            self._cut()
        else:
            self._set_rate(min(self._qps, self._rate + self._qps * _RISE))

    def failed(self, hold_seconds: float = 0.0) -> None:
        """Note that the server said 429 or 5xx, or nothing at all; and send nothing for so long."""
        self._held_until = max(self._held_until, self._clock() + hold_seconds)
        self._cut()

    def _cut(self) -> None:
        now = self._clock()
        if (
            now - self._cut_at >= self._settle_seconds
        ):  # one cut for all the requests that were in flight together
            self._cut_at = now
            self._set_rate(max(self._qps * _SLOWEST, self._rate * _CUT))

    def _set_rate(self, rate: float) -> None:
        self._fill()  # at the old rate
        if rate != self._rate:
            self._rate = rate
            self._on_rate(rate)
            self._serve()

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now

    def _serve(self) -> None:
        self._fill()
        while self._waiting:
            if self._waiting[0][2].done():  # cancelled
                heapq.heappop(self._waiting)
                continue
            if self._tokens < 1 or self._filled_at < self._held_until:
                break
            self._tokens -= 1
            heapq.heappop(self._waiting)[2].set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            missing_seconds = max((1 - self._tokens) / self._rate, self._held_until - self._filled_at)
            self._timer = asyncio.get_running_loop().call_later(missing_seconds, self._serve)
