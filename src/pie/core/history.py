"""The last runs of each target, and a strip of its verdicts over time, in little memory.

The number of runs is bounded. A good run replaces the oldest good run, a bad run the oldest bad run, so the
last failures stay. The history ends with the controller; metrics and status have what must stay longer.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from struct import Struct as Packing
from typing import Final

from msgspec import Struct

from pie.core.apitypes import RunCause
from pie.core.model import BAD, ProbeId, Stage, Target, Verdict
from pie.core.reasons import Reason
from pie.core.result import IoStats, Latency
from pie.core.trend import COLUMNS, Point, Trend

GOOD_RUNS: Final = 10
BAD_RUNS: Final = 20
LETTERS: Final = ".osilfh"
"""Not known, ok, suppressed, inconclusive, late, failed, hung: from good to bad."""

_RANK: Final = {
    Verdict.PENDING: 0,
    Verdict.OK: 1,
    Verdict.SUPPRESSED: 2,
    Verdict.INCONCLUSIVE: 3,
    Verdict.LATE: 4,
    Verdict.FAILED: 5,
    Verdict.HUNG: 6,
}
_INSTANT: Final = 1e-3
_AS_LETTERS: Final = bytes.maketrans(bytes(range(len(LETTERS))), LETTERS.encode())
_TIMED: Final = tuple(stage for stage in Stage if stage is not Stage.TEARDOWN)
_MEASURES: Final = ("iops", "mean_seconds", "p50_seconds", "p99_seconds", "max_seconds")
_STAGES_ONLY: Final = Packing(f"<{len(_TIMED)}f")
_WITH_IO: Final = Packing(f"<{len(_TIMED) + 2 * len(_MEASURES)}f")


class PastRun(Struct, frozen=True, gc=False):
    """A run as it is remembered; `measured` are its numbers, packed by `measured`.

    `due` is epoch seconds. `ended` is False if the run was still going on when it was judged last.
    """

    due: float
    cause: RunCause
    verdict: Verdict
    reason: Reason
    message: str = ""
    stage: Stage | None = None
    node: str = ""
    ended: bool = True
    measured: bytes = b""
    rough: bool = False

    @property
    def stages(self) -> dict[Stage, float]:
        """The durations that are known, seconds."""
        if not self.measured:
            return {}
        seconds = _STAGES_ONLY.unpack_from(self.measured)
        return {
            stage: round(each, 3)
            for stage, each in zip(_TIMED, seconds, strict=True)
            if each == each  # noqa: PLR0124  not NaN
        }

    @property
    def io(self) -> IoStats | None:
        """What the run's I/O took."""
        if len(self.measured) < _WITH_IO.size:
            return None
        numbers = _WITH_IO.unpack(self.measured)[len(_TIMED) :]
        read, write = _side(numbers[: len(_MEASURES)]), _side(numbers[len(_MEASURES) :])
        return IoStats(read=read, write=write, tool="pie" if self.rough else "fio")


def measured(stages: Mapping[Stage, float], io: IoStats | None) -> bytes:
    """Pack a run's numbers in single precision; an unknown number is NaN."""
    seconds = [stages.get(stage, math.nan) for stage in _TIMED]
    if io is None:
        return _STAGES_ONLY.pack(*seconds) if stages else b""
    return _WITH_IO.pack(*seconds, *_numbers(io.read), *_numbers(io.write))


def _numbers(side: Latency | None) -> Iterable[float]:
    return [math.nan if side is None else getattr(side, name) for name in _MEASURES]


def _side(numbers: Iterable[float]) -> Latency | None:
    # Single precision has seven digits; more digits would be wrong.
    known = {
        name: float(f"{number:.6g}")
        for name, number in zip(_MEASURES, numbers, strict=True)
        if not math.isnan(number)
    }
    return Latency(**known) if known else None


class Strip:
    """Verdicts over time, one byte for each column; new columns replace the oldest."""

    __slots__ = ("_cells", "_newest")

    def __init__(self) -> None:
        self._cells = bytearray(COLUMNS)
        self._newest = 0

    def mark(self, column: int, verdict: Verdict) -> None:
        """Note a verdict: the worst one of a column stays, unless the run is suppressed later."""
        if column <= self._newest - COLUMNS:
            return
        if column > self._newest:
            for passed in range(max(self._newest + 1, column - COLUMNS + 1), column + 1):
                self._cells[passed % COLUMNS] = 0
            self._newest = column
        rank, place = _RANK[verdict], column % COLUMNS
        if verdict is Verdict.SUPPRESSED or rank > self._cells[place]:
            self._cells[place] = rank

    def letters(self, until: int, columns: int) -> str:
        """Return the columns up to and with `until`, at most `COLUMNS` of them, the oldest first."""
        columns = min(columns, COLUMNS)
        first = until - columns + 1
        lost = self._newest - COLUMNS + 1
        cells = bytearray(columns)
        start, stop = max(first, lost), min(until, self._newest) + 1
        if start < stop:
            at, end = start % COLUMNS, (stop - 1) % COLUMNS + 1
            kept = self._cells[at:end] if at < end else self._cells[at:] + self._cells[:end]
            cells[start - first : stop - first] = kept
        return cells.translate(_AS_LETTERS).decode()


@dataclass(slots=True)
class _Past:
    step_seconds: float
    strip: Strip = field(default_factory=Strip)
    good: list[PastRun] = field(default_factory=list)
    bad: list[PastRun] = field(default_factory=list)


class History:
    """The past of every target. `revision` grows with each change.

    A column of the strips is one period of the PieProbe. `minute_seconds` is how long a minute of the
    schedules lasts: 60, but for demos.
    """

    def __init__(self, minute_seconds: float = 60.0) -> None:
        self._minute_seconds = minute_seconds
        self._past: dict[Target, _Past] = {}
        self._trends: dict[ProbeId, Trend] = {}
        self.revision = 0

    def step_seconds(self, period_seconds: int) -> float:
        """Return how long a column is for a PieProbe of this period."""
        return period_seconds / 60 * self._minute_seconds

    def follow(self, target: Target, period_seconds: int) -> None:
        """Remember a target from now on; if its period changed, its strip begins again."""
        self.revision += 1
        step_seconds = self.step_seconds(period_seconds)
        past = self._past.setdefault(target, _Past(step_seconds))
        if past.step_seconds != step_seconds:
            past.step_seconds, past.strip = step_seconds, Strip()

    def forget(self, target: Target) -> None:
        """Forget a target that ended."""
        self.revision += 1
        self._past.pop(target, None)

    def forget_probe(self, probe: ProbeId) -> None:
        """Forget a PieProbe that is gone."""
        self.revision += 1
        self._trends.pop(probe, None)

    def mark(self, target: Target, due: float, verdict: Verdict) -> None:
        """Note the verdict of a due time, also if it had no run."""
        if (past := self._past.get(target)) is not None and verdict is not Verdict.PENDING:
            self.revision += 1
            past.strip.mark(int(due // past.step_seconds), verdict)

    def record(self, target: Target, run: PastRun) -> None:
        """Remember a run; it replaces what was known of it before (same due time and cause)."""
        if (past := self._past.get(target)) is None:
            return
        self.revision += 1
        for runs in (past.good, past.bad):
            runs[:] = [each for each in runs if (each.due, each.cause) != (run.due, run.cause)]
        kept, most = (past.bad, BAD_RUNS) if run.verdict in BAD else (past.good, GOOD_RUNS)
        kept.append(run)
        kept.sort(key=lambda each: each.due)
        del kept[:-most]

    def measure(self, target: Target, due: float, io: IoStats) -> None:
        """Note how long the I/O of the run with this due time took."""
        if (past := self._past.get(target)) is None:
            return
        trend = self._trends.get(target.probe_id)
        if trend is None or trend.step_seconds != past.step_seconds:
            trend = self._trends[target.probe_id] = Trend(past.step_seconds)
        trend.add(due, io)

    def runs(self, target: Target) -> list[PastRun]:
        """Return the runs that are remembered, the newest first."""
        past = self._past.get(target)
        return sorted((*past.good, *past.bad), key=lambda each: -each.due) if past is not None else []

    def letters(self, target: Target, until: float, columns: int, step_seconds: float = 0.0) -> str:
        """Return the verdicts of the columns up to the one of `until` (epoch seconds), the oldest first.

        A column is one period of the target; or `step_seconds`, if that is shorter: then a verdict holds
        until the next due time has one.
        """
        past = self._past.get(target)
        if past is None:
            return ""
        newest = int(until // past.step_seconds)
        if not 0.0 < step_seconds < past.step_seconds:
            return past.strip.letters(newest, columns)
        last = int(until // step_seconds)
        # What a column shows is how things were at its end.
        ends = ((each + 1) * step_seconds - _INSTANT for each in range(last - columns + 1, last + 1))
        periods = [int(min(end, until) // past.step_seconds) for end in ends]
        before = periods[0] - 1
        known = past.strip.letters(newest, newest - before + 1)
        held = ((known[each - before - 1], known[each - before]) for each in periods)
        return "".join(then if now == LETTERS[0] else now for then, now in held)

    def trend(self, probe: ProbeId, until: float, columns: int) -> list[Point]:
        """Return a PieProbe's I/O latency in the columns up to the one of `until`, the oldest first."""
        trend = self._trends.get(probe)
        return trend.points(until, columns) if trend is not None else [Point()] * columns
