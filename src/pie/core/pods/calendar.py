"""The due times of a target whose pods pie starts itself: spread to the second over the period."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from pie.core.model import Probe, Target
from pie.core.pace.parts import PacePart
from pie.core.schedule import KEPT, dues_between, spread_seconds

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


@dataclass(frozen=True, slots=True)
class Part:
    """The due times of a target from a moment on, epoch seconds."""

    since: float
    calendar: Paced


@dataclass(frozen=True, slots=True)
class Slowed:
    """The due times of a target whose effective period changed: each part holds until the next one begins.

    The first due time of a part is more than `gap_seconds` after its beginning: the run of the part before
    may go on.
    """

    parts: tuple[Part, ...]
    gap_seconds: float

    def next_due(self, after: float) -> float:
        """Return the first due time later than `after`, epoch seconds."""
        return next(
            due
            for part, until in self._with_ends()
            if after < until and (due := part.calendar.next_due(self._from(part, after))) <= until
        )

    def dues_between(self, after: float, until: float, *, limit: int) -> list[float]:
        """Return the due times in (after, until], oldest first; of more than `limit`, the newest."""
        found: list[float] = []
        for part, end in self._with_ends():
            found += part.calendar.dues_between(self._from(part, after), min(until, end), limit=limit)
        return found[-limit:]

    def _from(self, part: Part, after: float) -> float:
        return max(after, part.since + self.gap_seconds)

    def _with_ends(self) -> Iterator[tuple[Part, float]]:
        ends = (*(part.since for part in self.parts[1:]), math.inf)
        return zip(self.parts, ends, strict=True)


def paced(target: Target, probe: Probe) -> Paced:
    """Return the due times of a target: its phase never changes while the period stays."""
    return _paced(target, max(1, round(probe.real_period_seconds)))


@lru_cache(maxsize=KEPT)
def _paced(target: Target, every_seconds: int) -> Paced:
    return Paced(int(spread_seconds(target, every_seconds)), every_seconds)


def slowed(target: Target, probe: Probe, paces: Sequence[PacePart]) -> Paced | Slowed:
    """Return the due times of a target whose effective period is not always the period."""
    if [each.every for each in paces] == [1]:
        return paced(target, probe)
    parts = tuple(
        Part(each.since, paced(target, replace(probe, period_seconds=probe.period_seconds * each.every)))
        for each in paces
    )
    return parts[0].calendar if len(parts) == 1 else Slowed(parts, probe.real_period_seconds)
