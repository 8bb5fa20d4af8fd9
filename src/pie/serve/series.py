"""The per-target series, compatible with Go pie's in name, labels and meaning.

Our own renderer over a table: prometheus-client takes seconds of CPU for the tens of thousands of series
that a large cluster has. A target's series are there, at zero, from the moment it has probes, and go with it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pie.core.kinds import KINDS
from pie.core.model import Kind, Target
from pie.core.result import IoStats, Latency
from pie.serve.labels import BY_NAME, ProbeLabels


@dataclass(slots=True)
class _Values:
    """One target's numbers, and its labels rendered once."""

    labels: str
    probe: str
    on_time: int = 0
    late: int = 0
    succeeded: int = 0
    failed: int = 0
    io: IoStats = field(default_factory=IoStats)
    healthy: bool | None = None
    last_ok: float = 0.0
    hung_since: float | None = None


_Samples = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class _Metric:
    """A metric family: the kinds of target that have it, and a target's samples (more labels, value)."""

    name: str
    type: str
    help: str
    kinds: tuple[str, ...]
    samples: Callable[[_Values, float], _Samples]


def _mean(side: Latency | None) -> float:
    return side.mean_seconds if side is not None else 0.0


def _quantiles(values: _Values, _now: float) -> _Samples:
    sides = (("read", values.io.read), ("write", values.io.write))
    return tuple(
        (f',direction="{direction}",quantile="{quantile}"', seconds)
        for direction, side in sides
        if side is not None
        for quantile, seconds in (("0.5", side.p50_seconds), ("0.99", side.p99_seconds))
    )


def _metrics() -> Iterator[_Metric]:
    """Yield the families of each kind of probe, then those that targets of all kinds have."""
    for kind in (each for each in KINDS.values() if not each.optional):
        yield _Metric(
            f"pie_{kind.name}_probe_total",
            "counter",
            f"Runs of the {kind.name} probe, by whether {kind.on_time}.",
            (kind.name,),
            lambda v, _: ((',on_time="true"', v.on_time), (',on_time="false"', v.late)),
        )
    yield _Metric(
        "pie_canary_runs_total",
        "counter",
        "Runs of canaries, by canary, and by whether the feature of the class worked in time.",
        tuple(name for name, kind in KINDS.items() if kind.canary),
        lambda v, _: ((f'{v.probe},on_time="true"', v.on_time), (f'{v.probe},on_time="false"', v.late)),
    )
    for kind in (each for each in KINDS.values() if each.io_apart):
        yield _Metric(
            f"pie_performance_on_{kind.name}_probe_total",
            "counter",
            f"Runs of the {kind.name} probe that started, by whether I/O worked and the data was right.",
            (kind.name,),
            lambda v, _: ((',succeed="true"', v.succeeded), (',succeed="false"', v.failed)),
        )
        yield _Metric(
            f"pie_io_write_latency_on_{kind.name}_probe_seconds",
            "gauge",
            f"Mean write latency of the last {kind.name} probe run, as fio measured it.",
            (kind.name,),
            lambda v, _: (("", _mean(v.io.write)),),
        )
        yield _Metric(
            f"pie_io_read_latency_on_{kind.name}_probe_seconds",
            "gauge",
            f"Mean read latency of the last {kind.name} probe run, as fio measured it.",
            (kind.name,),
            lambda v, _: (("", _mean(v.io.read)),),
        )
    yield _Metric(
        "pie_target_io_latency_seconds",
        "summary",
        "Latency of the last mount probe run, as fio measured it, by direction and quantile.",
        (Kind.MOUNT,),
        _quantiles,
    )
    yield _Metric(
        "pie_target_healthy",
        "gauge",
        "1 if the last verdict on the target was good, 0 if it was bad; absent while that is unknown.",
        tuple(KINDS),
        lambda v, _: ((v.probe, int(v.healthy)),) if v.healthy is not None else (),
    )
    yield _Metric(
        "pie_target_last_success_timestamp_seconds",
        "gauge",
        "The time of the target's last good run, as far as this controller saw it.",
        tuple(KINDS),
        lambda v, _: ((v.probe, round(v.last_ok, 3)),) if v.last_ok else (),
    )
    yield _Metric(
        "pie_target_hung_seconds",
        "gauge",
        "Seconds since the due time of the run that hangs on the target; absent if no run hangs.",
        tuple(KINDS),
        lambda v, now: ((v.probe, max(0, round(now - v.hung_since))),) if v.hung_since is not None else (),
    )


class TargetSeries:
    """The counters and gauges of every target. `now` is the clock, epoch seconds, that ages are told by."""

    def __init__(self, now: Callable[[], float] = time.time, labels: ProbeLabels = BY_NAME) -> None:
        self._labels = labels
        self._now = now
        self._values: dict[str, dict[Target, _Values]] = {kind: {} for kind in KINDS}
        self._metrics = tuple(_metrics())

    def add(self, target: Target) -> None:
        """Show a target's series, at zero if they are new."""
        if target not in self._values[target.kind]:
            self._values[target.kind][target] = _Values(self._rendered(target), f',probe="{target.kind}"')

    def remove(self, target: Target) -> None:
        """Delete a target's series."""
        self._values[target.kind].pop(target, None)

    def count_on_time(self, target: Target, *, on_time: bool, times: int = 1) -> None:
        """Count runs that were on time, or were not. A target without series counts nothing."""
        if (values := self._values[target.kind].get(target)) is not None:
            if on_time:
                values.on_time += times
            else:
                values.late += times

    def count_succeeded(self, target: Target, *, succeeded: bool) -> None:
        """Count a run by whether its I/O worked and its data was right."""
        if (values := self._values[target.kind].get(target)) is not None:
            if succeeded:
                values.succeeded += 1
            else:
                values.failed += 1

    def set_latency(self, target: Target, measured: IoStats) -> None:
        """Show what a run measured; a direction without I/O keeps its value."""
        if (values := self._values[target.kind].get(target)) is not None:
            values.io = IoStats(read=measured.read or values.io.read, write=measured.write or values.io.write)

    def set_health(
        self, target: Target, *, healthy: bool | None, at_seconds: float, hung_since: float | None = None
    ) -> None:
        """Show a verdict: the time of the last good run, and since when a run hangs, if one does.

        `healthy` is None while the health of the target is unknown.
        """
        if (values := self._values[target.kind].get(target)) is not None:
            values.healthy, values.last_ok, values.hung_since = healthy, at_seconds, hung_since

    def render(self) -> bytes:
        """Return the series in the Prometheus text format 0.0.4."""
        return "".join(self._lines()).encode()

    def _lines(self) -> Iterator[str]:
        now = self._now()
        for metric in self._metrics:
            yield f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n"
            for kind in metric.kinds:
                for values in self._values[kind].values():
                    for label, value in metric.samples(values, now):
                        yield f"{metric.name}{{{values.labels}{label}}} {value}\n"

    def _rendered(self, target: Target) -> str:
        node = {"node": target.node} if target.node else {}
        pairs = {**self._labels.pairs(target.probe_id), **node, "storage_class": target.storage_class}
        return ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
