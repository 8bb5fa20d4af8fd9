"""The series of runs that are few enough for prometheus-client: by PieProbe or by class, not by node."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pie.core.model import Probed, ProbeId, Stage, Target
from pie.core.reasons import Reason
from pie.core.result import IoStats
from pie.serve.labels import BY_NAME, ProbeLabels

# Timestamps have whole seconds, so finer buckets have no meaning; a period is an hour at most.
_STAGE_BUCKETS = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 60.0, 120.0, 300.0, 900.0, 3600.0)

_STARTUP_BUCKETS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 13.0, 21.0, 34.0, 60.0, 120.0, 300.0, 900.0)
_IO_BUCKETS = (
    *(0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)

_LEFT = (Reason.VOLUME_LEAKED, Reason.TEARDOWN_STUCK, Reason.NODE_GONE)


class RunSeries:
    """The series of runs, which go with their PieProbe or with the last PieProbe of their class."""

    def __init__(self, registry: CollectorRegistry, labels: ProbeLabels = BY_NAME) -> None:
        self._labels = labels
        self._lost = Counter(
            "pie_lost_runs",
            "Runs whose Job was deleted before pie read the result.",
            (*labels.names, "reason"),
            registry=registry,
        )

        self._stages = Histogram(
            "pie_stage_duration_seconds",
            "How long the stages of finished runs took;"
            " a stage is left out if pie did not see its beginning and end.",
            ("storage_class", "probe", "stage"),
            buckets=_STAGE_BUCKETS,
            registry=registry,
        )

        self._io = Histogram(
            "pie_io_latency_seconds",
            "Latencies of mount runs, as fio measured them: the median and the 99th percentile of each run.",
            ("storage_class", "direction", "statistic"),
            buckets=_IO_BUCKETS,
            registry=registry,
        )

        self._startup = Histogram(
            "pie_pod_startup_seconds",
            "Creation of a probe pod until its container was reported to run with its volume,"
            " both by the API server's clock; only of pods whose image was present on the node.",
            (*labels.names, "storage_class", "probe"),
            buckets=_STARTUP_BUCKETS,
            registry=registry,
        )

        self._left = Gauge(
            "pie_leaked_volumes",
            "PVCs and PVs of finished probes that were not deleted within the run's deadline, by reason.",
            (*labels.names, "storage_class", "reason"),
            registry=registry,
        )
        self._probed: set[Probed] = set()

    def add(self, probed: Probed) -> None:
        """Show the series of a PieProbe's class, at zero if they are new: `increase` needs a beginning."""
        self._probed.add(probed)
        names = self._labels.of(probed.probe)
        self._lost.labels(*names, "Pruned")
        for reason in _LEFT:
            self._left.labels(*names, probed.storage_class, reason.value)

    def left_behind(self, target: Target, counts: Mapping[Reason, int]) -> None:
        """Show how many volumes a target's PieProbe left behind, while its class has a PieProbe."""
        if target.probed not in self._probed:
            return
        names = self._labels.of(target.probe_id)
        for reason in _LEFT:
            self._left.labels(*names, target.storage_class, reason.value).set(counts.get(reason, 0))

    def stages(self, target: Target, seconds: Mapping[Stage, float]) -> None:
        """Record the durations of a run's stages, unless the last PieProbe of its class is deleted."""
        if not self._probes_class(target.storage_class):
            return
        for stage, duration in seconds.items():
            self._stages.labels(target.storage_class, target.kind, stage.value).observe(duration)

    def io(self, target: Target, measured: IoStats) -> None:
        """Record the latencies of a run, unless the last PieProbe of its class is deleted."""
        if not self._probes_class(target.storage_class):
            return
        for direction, side in (("read", measured.read), ("write", measured.write)):
            if side is not None:
                self._io.labels(target.storage_class, direction, "median").observe(side.p50_seconds)
                self._io.labels(target.storage_class, direction, "p99").observe(side.p99_seconds)

    def started(self, target: Target, seconds: float) -> None:
        """Record how long the pod of a run took to start, while its class has its PieProbe."""
        if target.probed in self._probed:
            names = self._labels.of(target.probe_id)
            self._startup.labels(*names, target.storage_class, target.kind).observe(seconds)

    def lost(self, probe: ProbeId, reason: str) -> None:
        """Count a lost run; the reason is `Pruned`."""
        if any(each.probe == probe for each in self._probed):
            self._lost.labels(*self._labels.of(probe), reason).inc()

    def _probes_class(self, storage_class: str) -> bool:
        return any(each.storage_class == storage_class for each in self._probed)

    def remove(self, probed: Probed) -> None:
        """Delete the series of a PieProbe's class, and with its last PieProbe the series of the class."""
        probe, storage_class = probed
        self._probed.discard(probed)
        for series in (self._left, self._startup):
            series.remove_by_labels({**self._labels.pairs(probe), "storage_class": storage_class})
        if not any(each.probe == probe for each in self._probed):
            self._lost.remove_by_labels(self._labels.pairs(probe))
        if not self._probes_class(storage_class):
            for histogram in (self._stages, self._io):
                histogram.remove_by_labels({"storage_class": storage_class})
