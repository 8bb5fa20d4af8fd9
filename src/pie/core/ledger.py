"""Which due times of a target are accounted for: each is counted once, as what is known of it first.

A due time can be heard of in several ways: from the run that was started for it, from an earlier run that
stands in its way, from maintenance that keeps it from being started, or from the lack of a run.
"""

import math
from bisect import bisect_left, insort
from typing import Final

_REMEMBERED: Final = 16
"""Due times remembered one by one, more than finished runs that wait to be read (`HISTORY_LIMIT`)."""


class Ledger:
    """The due times of one target that are counted; epoch seconds, whole ones, as in the stamps on Jobs."""

    __slots__ = ("_closed", "_counted")

    def __init__(self) -> None:
        self._counted: list[int] = []
        self._closed = 0  # Up to here nothing is counted any more.

    def claim(self, due: float) -> bool:
        """Tell whether a due time is still to be counted, and note that it is counted now."""
        if due in self:
            return False
        insort(self._counted, math.floor(due))
        if len(self._counted) > _REMEMBERED:
            self._closed = self._counted.pop(0)
        return True

    def __contains__(self, due: float) -> bool:
        """Tell whether a due time is counted."""
        whole = math.floor(due)
        place = bisect_left(self._counted, whole)
        return whole <= self._closed or self._counted[place : place + 1] == [whole]
