"""Which due times of a target are counted: each is counted once, by whatever is known of it first.

Several things can say what became of a due time: the run that was started for it, an earlier run that
blocked it, maintenance that kept it from starting, or the lack of a run.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

_REMEMBERED: Final = 16
"""Due times remembered one by one: more than the finished runs that wait to be read."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The counted due times, whole epoch seconds in order; all up to `closed` are counted."""

    due_times: tuple[int, ...] = ()
    closed: int = 0

    def __contains__(self, due: float) -> bool:
        """Tell whether a due time is counted."""
        whole = math.floor(due)
        return whole <= self.closed or whole in self.due_times

    def mark(self, due: float) -> "Ledger":
        """Return the ledger with this due time counted."""
        if due in self:
            return self
        whole = math.floor(due)
        place = bisect_left(self.due_times, whole)
        due_times = (*self.due_times[:place], whole, *self.due_times[place:])
        if len(due_times) <= _REMEMBERED:
            return Ledger(due_times, self.closed)
        return Ledger(due_times[1:], due_times[0])
