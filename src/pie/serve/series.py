"""The per-target series, compatible with Go pie's in name, labels and meaning.

Our own renderer over a table: prometheus-client takes seconds of CPU for the tens of thousands of series
that a large cluster has. A target's series are there, at zero, from the moment it has probes, and go with it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

from pie.core.model import Kind, Stage, Target


@dataclass(slots=True)
class _Values:
    """One target's numbers, and its labels rendered once."""

    labels: str
    on_time: int = 0
    late: int = 0
    succeeded: int = 0
    failed: int = 0
    read_seconds: float = 0.0
    write_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    type: str
    help: str
    kind: Kind
    samples: Callable[[_Values], tuple[tuple[str, float], ...]]


_METRICS = (
    _Metric(
        "pie_mount_probe_total",
        "counter",
        "Runs of the mount probe, by whether the container started within the threshold.",
        Kind.MOUNT,
        lambda v: ((',on_time="true"', v.on_time), (',on_time="false"', v.late)),
    ),
    _Metric(
        "pie_provision_probe_total",
        "counter",
        "Runs of the provision probe, by whether a new volume was in use within the threshold.",
        Kind.PROVISION,
        lambda v: ((',on_time="true"', v.on_time), (',on_time="false"', v.late)),
    ),
    _Metric(
        "pie_performance_on_mount_probe_total",
        "counter",
        "Runs of the mount probe that started, by whether I/O and data were right.",
        Kind.MOUNT,
        lambda v: ((',succeed="true"', v.succeeded), (',succeed="false"', v.failed)),
    ),
    _Metric(
        "pie_io_write_latency_on_mount_probe_seconds",
        "gauge",
        "Mean write latency of the last mount probe run, as fio measured it.",
        Kind.MOUNT,
        lambda v: (("", v.write_seconds),),
    ),
    _Metric(
        "pie_io_read_latency_on_mount_probe_seconds",
        "gauge",
        "Mean read latency of the last mount probe run, as fio measured it.",
        Kind.MOUNT,
        lambda v: (("", v.read_seconds),),
    ),
)


class TargetSeries:
    """The counters and gauges of every target."""

    def __init__(self) -> None:
        self._values: dict[Kind, dict[Target, _Values]] = {kind: {} for kind in Kind}

    def add(self, target: Target) -> None:
        """Show a target's series, at zero if they are new."""
        if target not in self._values[target.kind]:
            self._values[target.kind][target] = _Values(_labels(target))

    def remove(self, target: Target) -> None:
        """Take a target's series away."""
        self._values[target.kind].pop(target, None)

    def count_on_time(self, target: Target, *, on_time: bool, times: int = 1) -> None:
        """Count runs that were on time, or were not. A target without series counts nothing."""
        if (values := self._values[target.kind].get(target)) is not None:
            if on_time:
                values.on_time += times
            else:
                values.late += times

    def count_succeeded(self, target: Target, *, succeeded: bool) -> None:
        """Count a run that used its volume well, or did not."""
        if (values := self._values[target.kind].get(target)) is not None:
            if succeeded:
                values.succeeded += 1
            else:
                values.failed += 1

    def set_latency(self, target: Target, *, read_seconds: float | None, write_seconds: float | None) -> None:
        """Set the latency gauges; None leaves one as it is."""
        if (values := self._values[target.kind].get(target)) is not None:
            if read_seconds is not None:
                values.read_seconds = read_seconds
            if write_seconds is not None:
                values.write_seconds = write_seconds

    def render(self) -> bytes:
        """Return the series in the Prometheus text format 0.0.4."""
        return "".join(self._lines()).encode()

    def _lines(self) -> Iterator[str]:
        for metric in _METRICS:
            yield f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n"
            for values in self._values[metric.kind].values():
                for label, value in metric.samples(values):
                    yield f"{metric.name}{{{values.labels}{label}}} {value}\n"


def _labels(target: Target) -> str:
    pairs = [("pie_probe_name", target.probe), ("storage_class", target.storage_class)]
    if target.kind is Kind.MOUNT:
        pairs.insert(1, ("node", target.node))
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


# Stamps have whole seconds, so that finer buckets would say nothing; a period is an hour at most.
_STAGE_BUCKETS = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 60.0, 120.0, 300.0, 900.0, 3600.0)


class RunSeries:
    """Counters about runs that are few enough for prometheus-client."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lost = Counter(
            "pie_lost_runs",
            "Runs that ended without being counted: the Job was pruned unseen, or the pod deleted.",
            ("pie_probe_name", "reason"),
            registry=registry,
        )

        self._stages = Histogram(
            "pie_stage_duration_seconds",
            "How long the stages of ended runs took; a stage that was not seen from end to end is left out.",
            ("storage_class", "probe", "stage"),
            buckets=_STAGE_BUCKETS,
            registry=registry,
        )

    def stages(self, target: Target, seconds: Mapping[Stage, float]) -> None:
        """Take in how long the stages of a run took."""
        for stage, duration in seconds.items():
            self._stages.labels(target.storage_class, target.kind.value, stage.value).observe(duration)

    def lost(self, probe: str, reason: str) -> None:
        """Count a lost run; the reason is `Pruned` or `PodDeleted`."""
        self._lost.labels(probe, reason).inc()

    def remove(self, probe: str) -> None:
        """Take away the counters of a PieProbe."""
        self._lost.remove_by_labels({"pie_probe_name": probe})
