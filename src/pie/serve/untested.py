"""The series about runs that did not test the storage, and about suppressed targets."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pie.core.kinds import KINDS
from pie.core.model import Probe, Probed, Target
from pie.core.reasons import AREA, INCONCLUSIVE, MAINTENANCE, Reason
from pie.serve.labels import BY_NAME, ProbeLabels

# `probe` of mount runs that were on time but did not test I/O: they have no `succeed`.
PERFORMANCE = "performance"


class RunsByReason:
    """Counts runs of each PieProbe by probe and reason; `reasons` are at zero from the start."""

    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        self._reasons = reasons
        self._counts: dict[tuple[Probed, str], dict[Reason, int]] = {}

    def add(self, probe: Probe) -> None:
        """Show the counters of a PieProbe, at zero if they are new."""
        for row in KINDS.values():
            for counted in (row.name, PERFORMANCE)[: 1 + row.io_apart] if row.enabled(probe) else ():
                key = (probe.probed, counted)
                self._counts.setdefault(key, dict.fromkeys(self._reasons, 0))

    def remove(self, probed: Probed) -> None:
        """Delete the counters of a PieProbe's class. Later counts for it are ignored."""
        for key in [key for key in self._counts if key[0] == probed]:
            del self._counts[key]

    def count(self, target: Target, reason: Reason, *, io_only: bool = False) -> None:
        """Count a due time that is not in the `on_time` series of its probe.

        `io_only`: a mount run that is in it, but not in the `succeed` series.
        """
        counted = PERFORMANCE if io_only else target.kind
        if (counts := self._counts.get((target.probed, counted))) is not None:
            counts[reason] = counts.get(reason, 0) + 1

    def items(self) -> Iterator[tuple[Probed, str, Reason, int]]:
        """Yield PieProbe and class; the probe; the reason; how many runs."""
        for (probed, counted), counts in self._counts.items():
            for reason, count in counts.items():
                yield probed, counted, reason, count


class UntestedSeries(Collector):
    """Counts suppressed and inconclusive runs, and shows what is suppressed or paused now."""

    def __init__(self, labels: ProbeLabels = BY_NAME) -> None:
        self._labels = labels
        self.suppressed = RunsByReason(MAINTENANCE)
        self.inconclusive = RunsByReason(INCONCLUSIVE)
        self._targets: dict[Target, Reason] = {}
        self._probes: dict[Probed, Probe] = {}

    def add(self, probe: Probe) -> None:
        """Show the counters of a PieProbe, at zero if they are new."""
        self._probes[probe.probed] = probe
        self.suppressed.add(probe)
        self.inconclusive.add(probe)

    def remove(self, probed: Probed) -> None:
        """Delete all series of a PieProbe's class. Later counts for it are ignored."""
        self._probes.pop(probed, None)
        self.suppressed.remove(probed)
        self.inconclusive.remove(probed)
        for target in [target for target in self._targets if target.probed == probed]:
            del self._targets[target]

    def show(self, target: Target, reason: Reason | None) -> None:
        """Show that a target is suppressed, or that it is not."""
        if reason is None:
            self._targets.pop(target, None)
        elif target.probed in self._probes:
            self._targets[target] = reason

    def collect(self) -> Iterable[Metric]:
        """Return the families, as prometheus-client asks for them."""
        yield from self._families()

    def _families(self) -> Iterator[Metric]:
        suppressed = CounterMetricFamily(
            "pie_suppressed_runs",
            "Runs that did not test the storage because of maintenance.",
            labels=(*self._labels.names, "storage_class", "probe", "reason"),
        )
        for probed, counted, reason, count in self.suppressed.items():
            suppressed.add_metric((*self._names(probed), counted, reason.value), count)
        yield suppressed
        inconclusive = CounterMetricFamily(
            "pie_inconclusive_runs",
            "Runs that could not test the storage, by whose problem that is (area: node or pie) and reason.",
            labels=(*self._labels.names, "storage_class", "probe", "area", "reason"),
        )
        for probed, counted, reason, count in self.inconclusive.items():
            labels = (*self._names(probed), counted, AREA[reason].value, reason.value)
            inconclusive.add_metric(labels, count)
        yield inconclusive
        now = GaugeMetricFamily(
            "pie_target_suppressed",
            "1 while runs of a target are suppressed; node is empty for the provision probe.",
            labels=(*self._labels.names, "node", "storage_class", "reason"),
        )
        for target, reason in self._targets.items():
            names = self._labels.of(target.probe_id)
            now.add_metric((*names, target.node, target.storage_class, reason.value), 1)
        yield now
        paused = GaugeMetricFamily(
            "pie_probe_paused",
            "1 while spec.paused of a PieProbe is true, else 0.",
            labels=(*self._labels.names, "storage_class"),
        )
        for probe in self._probes.values():
            paused.add_metric(self._names(probe.probed), int(probe.paused))
        yield paused

    def _names(self, probed: Probed) -> tuple[str, ...]:
        return (*self._labels.of(probed.probe), probed.storage_class)
