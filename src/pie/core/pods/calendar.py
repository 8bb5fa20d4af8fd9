"""The due times of a target whose pods pie starts itself: spread to the second over the period."""

import math
from dataclasses import dataclass
from typing import Final

from pie.core.model import Probe, Target
from pie.core.schedule import spread_seconds

_ROUNDING_PERIODS: Final = 1e-9
"""A moment that is a due time, but for the rounding of its own computing, is that due time."""


@dataclass(frozen=True, slots=True)
class Paced:
    """The due times of a target: `pie.core.target.facts.Calendar` of pods. All are whole seconds."""

    phase_seconds: int
    every_seconds: int

    def next_due(self, after: float) -> float:
        """Return the first due time later than `after`, epoch seconds."""
        periods = (after - self.phase_seconds) / self.every_seconds
        number = math.floor(periods + _ROUNDING_PERIODS) + 1
        return float(self.phase_seconds + number * self.every_seconds)

    def dues_between(self, after: float, until: float, *, limit: int) -> list[float]:
        """Return the due times in (after, until], oldest first; of more than `limit`, the newest."""
        found: list[float] = []
        due = self.next_due(max(after, until - limit * self.every_seconds))
        while due <= until:
            found.append(due)
            due += self.every_seconds
        return found[-limit:]


def paced(target: Target, probe: Probe) -> Paced:
    """Return the due times of a target: its phase never changes while the period stays."""
    every_seconds = max(1, round(probe.real_period_seconds))
    return Paced(int(spread_seconds(target, every_seconds)), every_seconds)
