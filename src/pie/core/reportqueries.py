"""The queries of `pie report`. docs/report.md lists them, and what the report calculates from them.

All queries sum over `pod` and `instance`, because the leader changes. No query loads more than about 500
moments of each node's series at once, nor more than a week. So a month of thousands of nodes stays within the
limits of Prometheus: 50 million samples at once (--query.max-samples), 2 minutes (--query.timeout).
"""

import math
import re
from dataclasses import dataclass
from typing import Final

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST_SECONDS: Final = 366 * 86_400
_COLUMNS: Final = 96
_COARSE_MOMENTS: Final = 200
_FINE_MOMENTS: Final = 2000
# `increase` needs two scrapes, and more to be near the truth.
_SCRAPES_OF_A_COLUMN: Final = 4
# A sum can be queried in parts: of counters for this long, of gauges that are on or off for so many moments.
_COUNTED: Final = frozenset(
    {"mount", "mount_io", "provision", "canaries", "suppressed_runs", "inconclusive_runs"}
)
_PART_SECONDS: Final = 7 * 86_400
_PART_MOMENTS: Final = 250

SCRAPES: Final = "max(count_over_time(pie_build_info[{window}]))"
"""How often pie was scraped: this gives the interval."""
PRESENCE: Final = "count(pie_provision_probe_total) or count(pie_mount_probe_total)"
"""When a leader exported probes; a range query."""

INSTANT: Final = {
    "mount": "sum by (storage_class, node, on_time) (increase(pie_mount_probe_total[{window}]))",
    "mount_io": "sum by (storage_class, node)"
    ' (increase(pie_performance_on_mount_probe_total{{succeed="false"}}[{window}]))',
    "provision": "sum by (storage_class, on_time) (increase(pie_provision_probe_total[{window}]))",
    "canaries": "sum by (storage_class, probe, on_time) (increase(pie_canary_runs_total[{window}]))",
    "suppressed_runs": "sum by (storage_class, reason) (increase(pie_suppressed_runs_total[{window}]))",
    "inconclusive_runs": "sum by (storage_class, reason) (increase(pie_inconclusive_runs_total[{window}]))",
    "suppressed_moments": "count_over_time((max by (storage_class, node)"
    " (pie_target_suppressed))[{window}:{fine}])",
    "residents": "avg by (storage_class) (avg_over_time((max by (storage_class, node)"
    ' (pie_target_healthy{{probe="resident"}}))[{window}:{coarse}]))',
    "p50": "quantile_over_time(0.5, (max by (storage_class, node, direction)"
    ' (pie_target_io_latency_seconds{{quantile="0.5"}}))[{window}:{coarse}])',
    "p99": "quantile_over_time(0.99, (max by (storage_class, node, direction)"
    ' (pie_target_io_latency_seconds{{quantile="0.99"}}))[{window}:{coarse}])',
    **{
        f"stage_{quantile}": f"histogram_quantile({quantile}, sum by (storage_class, probe, stage, le)"
        " (increase(pie_stage_duration_seconds_bucket[{window}])))"
        for quantile in ("0.5", "0.95", "0.99")
    },
}
"""Instant queries, at the end of the window or of each of its parts."""

RANGE: Final = {
    "incidents": "sum by (namespace, pie_probe_name, storage_class, area, scope, stage, reason)"
    " (max_over_time(pie_incident_open[{fine}]))",
    "mount_trend": "sum by (storage_class, on_time) (increase(pie_mount_probe_total[{column}]))",
    "mount_io_trend": "sum by (storage_class)"
    ' (increase(pie_performance_on_mount_probe_total{{succeed="false"}}[{column}]))',
    "provision_trend": "sum by (storage_class, on_time) (increase(pie_provision_probe_total[{column}]))",
    "latency_trend": "quantile by (storage_class, direction)"
    ' (0.99, pie_target_io_latency_seconds{{quantile="0.99"}})',
}
"""Range queries over the window: incidents in steps of `fine`, the others in steps of a `column`."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a report is about; `interval_seconds` is how often pie is scraped."""

    end: float
    seconds: int
    interval_seconds: float = 15.0

    @property
    def start(self) -> float:
        """Its first moment."""
        return self.end - self.seconds

    @property
    def fine(self) -> int:
        """The step, in seconds, for gauges that are on or off."""
        return max(1, math.ceil(self.seconds / _FINE_MOMENTS), math.ceil(self.interval_seconds))

    @property
    def coarse(self) -> int:
        """The step, in seconds, for the latency of each node."""
        return max(1, math.ceil(self.seconds / _COARSE_MOMENTS), math.ceil(self.interval_seconds))

    @property
    def column(self) -> int:
        """The width of a column of the charts."""
        scrapes = math.ceil(_SCRAPES_OF_A_COLUMN * self.interval_seconds)
        return max(1, math.ceil(self.seconds / _COLUMNS), scrapes)

    def parts(self, name: str) -> list[tuple[float, int]]:
        """Return end and length of each part of a query, newest first; the answers are summed."""
        longest = _PART_SECONDS if name in _COUNTED else self.seconds
        if name == "suppressed_moments":
            longest = _PART_MOMENTS * self.fine
        starts = range(0, self.seconds, longest)
        return [(self.end - after, min(longest, self.seconds - after)) for after in starts]

    def written(self, query: str, seconds: int | None = None) -> str:
        """Return a query with the lengths of this window in it, or of a part of so many seconds."""
        lengths = {name: f"{getattr(self, name)}s" for name in ("fine", "coarse", "column")}
        return query.format(window=f"{seconds or self.seconds}s", **lengths)


def since_seconds(text: str) -> int:
    """Return the seconds of a length such as `7d`, `12h` or `1d12h`. Raises ValueError."""
    parts = re.findall(r"(\d{1,9})([smhdw])", text)
    total = sum(int(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not 0 < total <= _LONGEST_SECONDS:
        raise ValueError(
            f"{text[:32]!r} is not a length of time up to a year; write for example 7d, 12h or 90m"
        )
    return total


def in_words(seconds: float) -> str:
    """Return a length of time in its two largest units: `3d 4h`, `12m`, `40s`."""
    left, said = round(seconds), []
    for unit in ("d", "h", "m", "s"):
        number, left = divmod(left, _UNIT_SECONDS[unit])
        if number:
            said.append(f"{number}{unit}")
        elif said:
            break
    return " ".join(said[:2]) or "0s"
