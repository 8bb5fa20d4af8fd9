"""I/O latency over time, over all targets of a PieProbe: counts by magnitude, whose size is bounded.

A latency is counted in a bucket of a geometric scale, so that a median or a percentile of any number of runs
is known to within a tenth, in some hundred bytes per column.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from pie.core.result import IoStats, Latency

COLUMNS: Final = 240
"""So many periods are remembered, of verdicts and of latencies."""

_RATIO: Final = 1.2
_SHORTEST_SECONDS: Final = 1e-9


@dataclass(slots=True)
class Magnitudes:
    """How many values there were of each magnitude."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        """Count a value."""
        self.counts[round(math.log(max(seconds, _SHORTEST_SECONDS), _RATIO))] += 1

    def quantile(self, fraction: float) -> float | None:
        """Return the value that this fraction of all values does not exceed; None without values."""
        wanted = math.ceil(fraction * self.counts.total())
        for magnitude in sorted(self.counts):
            wanted -= self.counts[magnitude]
            if wanted <= 0:
                return float(f"{_RATIO**magnitude:.3g}")
        return None


@dataclass(slots=True)
class _Side:
    p50: Magnitudes = field(default_factory=Magnitudes)
    p99: Magnitudes = field(default_factory=Magnitudes)

    def add(self, measured: Latency | None) -> None:
        if measured is not None:
            self.p50.add(measured.p50_seconds)
            self.p99.add(measured.p99_seconds)


@dataclass(slots=True)
class _Column:
    read: _Side = field(default_factory=_Side)
    write: _Side = field(default_factory=_Side)


@dataclass(frozen=True, slots=True)
class Point:
    """One column: medians of the runs' medians, and 99th percentiles of their 99th percentiles; seconds."""

    read_median: float | None = None
    read_p99: float | None = None
    write_median: float | None = None
    write_p99: float | None = None


class Trend:
    """The trend of one PieProbe, a column for every `step_seconds`."""

    def __init__(self, step_seconds: float) -> None:
        self.step_seconds = step_seconds
        self._columns: dict[int, _Column] = {}

    def add(self, due: float, measured: IoStats) -> None:
        """Take in what a run measured that was due at `due`, epoch seconds."""
        number = int(due // self.step_seconds)
        column = self._columns.setdefault(number, _Column())
        column.read.add(measured.read)
        column.write.add(measured.write)
        if len(self._columns) > COLUMNS:
            del self._columns[min(self._columns)]

    def points(self, until: float, columns: int) -> list[Point]:
        """Return the columns up to the one of `until` (epoch seconds), the oldest first."""
        last = int(until // self.step_seconds)
        return [self._point(number) for number in range(last - columns + 1, last + 1)]

    def _point(self, number: int) -> Point:
        if (column := self._columns.get(number)) is None:
            return Point()
        return Point(
            column.read.p50.quantile(0.5),
            column.read.p99.quantile(0.99),
            column.write.p50.quantile(0.5),
            column.write.p99.quantile(0.99),
        )
