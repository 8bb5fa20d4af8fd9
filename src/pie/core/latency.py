"""Whether I/O is slow for this target: held against its own history, and robust against noise.

Storage differs too much for a limit that fits all. What a target's earlier runs took is what it can do; a
run is slow when it took many times that, and is called so only when several runs in a row were. A slow run
is not remembered, so that slowness never becomes the measure of itself.
"""

from dataclasses import dataclass, replace
from statistics import median

from pie.core.result import IoStats

RUNS_REMEMBERED = 32
RUNS_NEEDED = 12
TIMES_THE_MEDIAN = 10.0
LEAST_SECONDS = 0.020
SLOW_RUNS_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class LatencyHistory:
    """The typical latencies of a target's last runs that were not slow, and how many were slow since."""

    seconds: tuple[float, ...] = ()
    slow_runs: int = 0


def typical_seconds(measured: IoStats) -> float | None:
    """Return the typical latency of a run: the medians of its reads and its writes, added.

    A median of thousands of operations is not moved by the few that waited for a busy machine.
    """
    sides = [side.p50_seconds for side in (measured.read, measured.write) if side is not None]
    return sum(sides) if sides else None


def judge_latency(history: LatencyHistory, seconds: float) -> tuple[str, LatencyHistory]:
    """Return in words how slow a run was (empty: not slow, or not for long enough), and the new history."""
    known = history.seconds
    if len(known) < RUNS_NEEDED:
        return "", LatencyHistory((*known, seconds))
    usual = median(known)
    if seconds < max(LEAST_SECONDS, TIMES_THE_MEDIAN * usual):
        return "", LatencyHistory((*known, seconds)[-RUNS_REMEMBERED:])
    slow_runs = history.slow_runs + 1
    if slow_runs < SLOW_RUNS_IN_A_ROW:
        return "", replace(history, slow_runs=slow_runs)
    took, before = f"{seconds * 1000:.1f} ms", f"{usual * 1000:.2f} ms"
    message = f"a read and a write took {took}, usually {before}; {slow_runs} runs in a row"
    return message, replace(history, slow_runs=slow_runs)
