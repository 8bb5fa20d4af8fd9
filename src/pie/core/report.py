"""Creates a report from answers of Prometheus: availability, suppressed time, incidents and latencies.

Pure: answers in, report out. docs/report.md defines every number.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, Final

from pie.core.prometheus import Sample, Series
from pie.core.reportmodel import (
    ClassReport,
    IncidentReport,
    LatencyReport,
    NodeReport,
    Report,
    Runs,
    StageTimes,
    TrendReport,
)
from pie.core.reportqueries import Window

_DIRECTIONS: Final = ("read", "write")
_STAGES: Final = ("queue", "schedule", "provision", "attach", "mount", "start", "io", "teardown")
# Without a sample for longer than this, an incident is taken for ended.
_LONGEST_GAP_SECONDS: Final = 300.0


def report(
    window: Window,
    observed: float,
    instant: Mapping[str, list[Sample]],
    ranges: Mapping[str, list[Series]],
) -> Report:
    """Return the report; `instant` and `ranges` have the answers by the names of the queries."""
    nodes = _nodes(window, instant)
    names = {each.storage_class for each in nodes} | _values(instant["provision"], "storage_class")
    incidents = _incidents(window, ranges["incidents"])
    return Report(
        start=window.start,
        end=window.end,
        column_seconds=window.column,
        observed=observed,
        classes=tuple(_class(name, window, nodes, instant, ranges) for name in sorted(names)),
        nodes=tuple(sorted(nodes, key=_badness)),
        nodes_total=len(nodes),
        incidents=tuple(incidents),
        incidents_total=len(incidents),
    )


def _badness(node: NodeReport) -> tuple[Any, ...]:
    known = node.runs.availability
    latencies = (node.latency.read_p99_seconds or 0.0, node.latency.write_p99_seconds or 0.0)
    return (
        1.0 if known is None else known,
        -node.suppressed_seconds,
        -max(latencies),
        node.storage_class,
        node.node,
    )


def runs(on_time: float, late: float, bad: float = 0.0) -> Runs:
    """Return counts as Prometheus estimates them, in whole runs, with the availability.

    A run with bad I/O was usually on time: its volume was mounted. If it was late too, it counts twice.
    """
    total = on_time + late
    known = total > 0
    good = max(0.0, on_time - bad)
    availability = good / total if known and (late or bad) else (1.0 if known else None)
    return Runs(round(total), round(late), round(bad), availability)


def _nodes(window: Window, instant: Mapping[str, list[Sample]]) -> list[NodeReport]:
    key = ("storage_class", "node")
    on_time = _table(_where(instant["mount"], on_time="true"), *key)
    late = _table(_where(instant["mount"], on_time="false"), *key)
    bad = _table(instant["mount_io"], *key)
    moments = _table(instant["suppressed_moments"], *key)
    p50, p99 = (_table(instant[name], *key, "direction") for name in ("p50", "p99"))
    return [
        NodeReport(
            storage_class=name,
            node=node,
            runs=runs(on_time.get((name, node), 0), late.get((name, node), 0), bad.get((name, node), 0)),
            suppressed_seconds=min(float(window.seconds), moments.get((name, node), 0) * window.fine),
            latency=LatencyReport(
                read_p50_seconds=p50.get((name, node, "read")),
                read_p99_seconds=p99.get((name, node, "read")),
                write_p50_seconds=p50.get((name, node, "write")),
                write_p99_seconds=p99.get((name, node, "write")),
            ),
        )
        for name, node in sorted({*on_time, *late})
    ]


def _class(
    name: str,
    window: Window,
    nodes: list[NodeReport],
    instant: Mapping[str, list[Sample]],
    ranges: Mapping[str, list[Series]],
) -> ClassReport:
    mine = [each for each in nodes if each.storage_class == name]
    mount, mount_io, provision, canaries, residents, suppressed, inconclusive = (
        _where(instant[query], storage_class=name)
        for query in (
            *("mount", "mount_io", "provision", "canaries", "residents"),
            *("suppressed_runs", "inconclusive_runs"),
        )
    )
    return ClassReport(
        storage_class=name,
        nodes=len(mine),
        mount=runs(_sum(mount, on_time="true"), _sum(mount, on_time="false"), _sum(mount_io)),
        provision=_runs_of(provision),
        canaries={
            canary: _runs_of(_where(canaries, probe=canary)) for canary in sorted(_values(canaries, "probe"))
        },
        residents=residents[0].value if residents else None,
        suppressed_seconds=sum(each.suppressed_seconds for each in mine),
        suppressed_runs=_by_reason(suppressed),
        inconclusive_runs=_by_reason(inconclusive),
        latency=_over_nodes([each.latency for each in mine]),
        stages=tuple(_stages(name, instant)),
        availability_trends=tuple(_availability_trends(name, window, ranges)),
        latency_trends=tuple(
            TrendReport(
                direction, _columns(window, _points(ranges["latency_trend"], name, direction=direction))
            )
            for direction in _DIRECTIONS
        ),
    )


def _runs_of(samples: list[Sample]) -> Runs:
    return runs(_sum(samples, on_time="true"), _sum(samples, on_time="false"))


def _by_reason(samples: Iterable[Sample]) -> dict[str, int]:
    counts = _table(samples, "reason")
    return {reason: round(count) for (reason,), count in sorted(counts.items()) if round(count)}


def _over_nodes(latencies: list[LatencyReport]) -> LatencyReport:
    """Return the typical latency of the nodes, and the worst of their 99th percentiles."""

    def known(field: str) -> list[float]:
        return [value for each in latencies if (value := getattr(each, field)) is not None]

    typical = {
        field: median(found) for field in ("read_p50_seconds", "write_p50_seconds") if (found := known(field))
    }
    worst = {
        field: max(found) for field in ("read_p99_seconds", "write_p99_seconds") if (found := known(field))
    }
    return LatencyReport(**typical, **worst)


def _stages(name: str, instant: Mapping[str, list[Sample]]) -> Iterable[StageTimes]:
    tables = [
        _table(_where(instant[f"stage_{quantile}"], storage_class=name), "probe", "stage")
        for quantile in ("0.5", "0.95", "0.99")
    ]
    keys = set[tuple[str, ...]]().union(*tables)
    for probe, stage in sorted(
        keys, key=lambda key: (key[0], _STAGES.index(key[1]) if key[1] in _STAGES else len(_STAGES))
    ):
        yield StageTimes(probe, stage, *(table.get((probe, stage)) for table in tables))


def _availability_trends(
    name: str, window: Window, ranges: Mapping[str, list[Series]]
) -> Iterable[TrendReport]:
    for probe, bad_query in (("mount", "mount_io_trend"), ("provision", "")):
        on_time, late = (
            dict(_points(ranges[f"{probe}_trend"], name, on_time=value)) for value in ("true", "false")
        )
        bad = dict(_points(ranges[bad_query], name)) if bad_query else {}
        times = sorted({*on_time, *late})
        known = (
            (time, runs(on_time.get(time, 0), late.get(time, 0), bad.get(time, 0)).availability)
            for time in times
        )
        points = [(time, value) for time, value in known if value is not None]
        if points:
            yield TrendReport(probe, _columns(window, points))


def columns(window: Window) -> int:
    """Return how many columns the charts of a window have."""
    return window.seconds // window.column


def _columns(window: Window, points: Iterable[tuple[float, float]]) -> tuple[float | None, ...]:
    """Put points into columns; a point is about the time before it."""
    values: list[float | None] = [None] * columns(window)
    for time, value in points:
        index = len(values) - 1 - round((window.end - time) / window.column)
        if 0 <= index < len(values):
            values[index] = value
    return tuple(values)


def _incidents(window: Window, series: list[Series]) -> list[IncidentReport]:
    """Return the times in which incidents of a kind were open, newest first."""
    found = [
        IncidentReport(
            probe=each.labels.get("pie_probe_name", ""),
            storage_class=each.labels.get("storage_class", ""),
            area=each.labels.get("area", ""),
            scope=each.labels.get("scope", ""),
            stage=each.labels.get("stage", ""),
            reason=each.labels.get("reason", ""),
            opened=opened,
            closed=closed,
        )
        for each in series
        for opened, closed in spans(each.points, window.fine, window.end)
    ]
    return sorted(found, key=lambda each: (-each.opened, each.storage_class, each.reason))


def spans(points: Iterable[tuple[float, float]], step: float, end: float) -> list[tuple[float, float | None]]:
    """Return from when to when a gauge was above zero; None: it still is at the end.

    A short time without samples, for example while the controller restarts, does not end a span.
    """
    found: list[tuple[float, float | None]] = []
    opened: float | None = None
    last = 0.0
    for time, value in points:
        if opened is not None and (value <= 0 or time - last > _LONGEST_GAP_SECONDS + step):
            found.append((opened, last))
            opened = None
        if value > 0:
            opened = max(time - step, 0.0) if opened is None else opened
            last = time
    if opened is not None:
        found.append((opened, None if end - last <= step else last))
    return found


def observed(
    points: Iterable[tuple[float, float]], window: Window, step: float
) -> tuple[float, float | None]:
    """Return the share of the window with samples, and when the first one was."""
    times = [time for time, _ in points]
    wanted = max(1, int(window.seconds // step))
    return min(1.0, len(times) / wanted), min(times, default=None)


# Samples by their labels.


def _where(samples: Iterable[Sample], **labels: str) -> list[Sample]:
    return [each for each in samples if labels.items() <= each.labels.items()]


def _table(samples: Iterable[Sample], *names: str) -> dict[tuple[str, ...], float]:
    table: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for each in samples:
        table[tuple(each.labels.get(name, "") for name in names)] += each.value
    return dict(table)


def _sum(samples: Iterable[Sample], **labels: str) -> float:
    return sum(each.value for each in _where(samples, **labels))


def _values(samples: Iterable[Sample], name: str) -> set[str]:
    return {each.labels.get(name, "") for each in samples}


def _points(series: Iterable[Series], storage_class: str, **labels: str) -> list[tuple[float, float]]:
    wanted = {"storage_class": storage_class, **labels}
    return [point for each in series if wanted.items() <= each.labels.items() for point in each.points]
