"""The due times of a target whose pods pie starts itself: spread to the second over the period."""

import math
from dataclasses import dataclass
from typing import Final

from pie.core.model import Probe, Target
from pie.core.schedule import dues_between, spread_seconds

_ROUNDING_PERIODS: Final = 1e-9
"""A moment that differs from a due time only by rounding is that due time."""


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
        longest_seconds = limit * self.every_seconds
        return dues_between(self.next_due, after, until, limit=limit, longest_seconds=longest_seconds)


def paced(target: Target, probe: Probe) -> Paced:
    """Return the due times of a target: its phase never changes while the period stays."""
    every_seconds = max(1, round(probe.real_period_seconds))
    return Paced(int(spread_seconds(target, every_seconds)), every_seconds)
