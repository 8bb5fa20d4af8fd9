"""Whether the I/O of a target is slow, compared with its own earlier runs.

Storage differs too much for one limit. So the earlier runs of a target show what is usual for it. A run is
slow if it took many times as long; pie reports that only after several consecutive slow runs. A slow run does
not change what is usual. The usual latency is written on the PVC, so a restart of the controller does not
change it either.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

from pie.core.naming import ANNOTATION_USUAL_LATENCY
from pie.core.result import IoStats

RUNS_REMEMBERED = 32
RUNS_NEEDED = 12
TIMES_THE_MEDIAN = 10.0
LEAST_SECONDS = 0.020
SLOW_RUNS_IN_A_ROW = 3
_LEAST_TOLD_SECONDS = 1e-6


@dataclass(frozen=True, slots=True)
class LatencyHistory:
    """The typical latencies of a target's last good runs, and the number of slow runs since then.

    `told` is the median in an annotation of the PVC, from an earlier controller. `options` are those of the
    runs' command: runs with others do other I/O, and are not compared.
    """

    seconds: tuple[float, ...] = ()
    slow_runs: int = 0
    told: float | None = None
    options: str = ""

    @property
    def usual(self) -> float | None:
        """The median, seconds; None while too few runs are known."""
        return median(self.seconds) if len(self.seconds) >= RUNS_NEEDED else self.told

    def annotations(self, present: Mapping[str, str]) -> dict[str, str]:
        """Return what to write on a PVC with these annotations: nothing unless the magnitude changed."""
        if self.usual is None:
            return {}
        usual, told = max(self.usual, _LEAST_TOLD_SECONDS), _told(present, self.options)
        if told is not None and told / 2 < usual < told * 2:
            return {}
        return {ANNOTATION_USUAL_LATENCY: f"{usual:.3g} {self.options}".rstrip()}


def recall_latency(annotations: Mapping[str, str], *, slow: bool, options: str = "") -> LatencyHistory:
    """Return the history that a PVC has in its annotations; `slow`: the target was slow before."""
    told = _told(annotations, options)
    return LatencyHistory(slow_runs=SLOW_RUNS_IN_A_ROW - 1 if slow else 0, told=told, options=options)


def _told(annotations: Mapping[str, str], options: str) -> float | None:
    text, _, of_options = annotations.get(ANNOTATION_USUAL_LATENCY, "").partition(" ")
    if of_options != options:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= _LEAST_TOLD_SECONDS else None


def typical_seconds(measured: IoStats) -> float | None:
    """Return the typical latency of a run: the medians of its reads and its writes, added.

    A few operations that waited for a busy machine do not change a median of thousands.
    """
    sides = [side.p50_seconds for side in (measured.read, measured.write) if side is not None]
    return sum(sides) if sides else None


def above_limit(measured: IoStats, most_seconds: float) -> str:
    """Return in words that reads or writes took longer than they may, by their mean; empty: they did not."""
    for name, side in (("a read", measured.read), ("a write", measured.write)):
        if side is not None and side.mean_seconds > most_seconds:
            took, most = _milliseconds(side.mean_seconds), _milliseconds(most_seconds)
            return f"{name} took {took} on average, more than spec.io.maxLatency ({most})"
    return ""


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.4g} ms"


def judge_latency(history: LatencyHistory, seconds: float) -> tuple[str, LatencyHistory]:
    """Return in words how slow a run was (empty: not slow, or not for long enough), and the new history."""
    usual = history.usual
    if usual is None or seconds < max(LEAST_SECONDS, TIMES_THE_MEDIAN * usual):
        return "", replace(history, seconds=(*history.seconds, seconds)[-RUNS_REMEMBERED:], slow_runs=0)
    slow_runs = history.slow_runs + 1
    if slow_runs < SLOW_RUNS_IN_A_ROW:
        return "", replace(history, slow_runs=slow_runs)
    took, before = f"{seconds * 1000:.1f} ms", f"{usual * 1000:.2f} ms"
    message = f"a read and a write took {took}, usually {before}; {slow_runs} consecutive runs"
    return message, replace(history, slow_runs=slow_runs)
