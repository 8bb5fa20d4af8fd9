"""Log lines that would come again and again: the first ones are written, then one now and then."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

PERIOD_SECONDS: Final = 600.0
_MOST_KEYS: Final = 1024


@dataclass(slots=True)
class _Known:
    since: float
    lines: int = 0
    left_out: int = 0


class Repeated:
    """Allows `lines` log lines for each key in `period_seconds`, and counts those that were left out."""

    def __init__(
        self,
        lines: int = 1,
        period_seconds: float = PERIOD_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lines = lines
        self._period_seconds = period_seconds
        self._clock = clock
        self._known: OrderedDict[Hashable, _Known] = OrderedDict()

    def write(self, key: Hashable) -> int | None:
        """Return how many lines of this key were left out before this one; None: leave this one out too."""
        now = self._clock()
        known = self._known.setdefault(key, _Known(now))
        self._known.move_to_end(key)
        while len(self._known) > _MOST_KEYS:
            self._known.popitem(last=False)
        left_out = known.left_out
        if now - known.since >= self._period_seconds:
            known.since, known.lines, known.left_out = now, 0, 0
        elif known.lines == self._lines:
            known.left_out += 1
            return None
        else:
            left_out = 0
        known.lines += 1
        return left_out

    def forget(self, key: Hashable) -> bool:
        """Forget a key, so that its next line is written; return whether it was known."""
        return self._known.pop(key, None) is not None
