"""The series about suppressed runs and targets."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pie.core.kinds import KINDS
from pie.core.model import Probe, Target
from pie.core.reasons import Reason

# `probe` of mount runs that were on time and then interrupted: they have no `succeed`.
PERFORMANCE = "performance"

# At zero from the start, so that the first suppressed run of each kind is an increase.
REASONS = (
    Reason.NODE_DELETED,
    Reason.NODE_MARKED,
    Reason.NODE_CORDONED,
    Reason.NODE_NOT_READY,
    Reason.NODE_TAINTED,
    Reason.NODE_REBOOTED,
    Reason.NODE_NEW,
    Reason.NO_USABLE_NODE,
    Reason.POD_DELETED,
    Reason.JOB_DELETED,
    Reason.LOCKED,
)


class SuppressedSeries(Collector):
    """Counts suppressed runs by reason, and shows which targets are suppressed now."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str, str], dict[Reason, int]] = {}
        self._targets: dict[Target, Reason] = {}
        self._probes: set[str] = set()

    def add(self, probe: Probe) -> None:
        """Show the counters of a PieProbe, at zero if they are new."""
        self._probes.add(probe.name)
        for row in KINDS.values():
            for counted in (row.name, PERFORMANCE)[: 1 + row.io_apart] if row.enabled(probe) else ():
                self._runs.setdefault((probe.name, probe.storage_class, counted), dict.fromkeys(REASONS, 0))

    def remove(self, probe: str) -> None:
        """Delete all series of a PieProbe. Later counts for it are ignored."""
        self._probes.discard(probe)
        for key in [key for key in self._runs if key[0] == probe]:
            del self._runs[key]
        for target in [target for target in self._targets if target.probe == probe]:
            del self._targets[target]

    def count(self, target: Target, reason: Reason) -> None:
        """Count a due time that is not counted in the `on_time` series of its probe."""
        self._count((target.probe, target.storage_class, target.kind), reason)

    def count_cut_short(self, target: Target, reason: Reason) -> None:
        """Count a mount run that was on time but is not counted in the `succeed` series."""
        self._count((target.probe, target.storage_class, PERFORMANCE), reason)

    def _count(self, key: tuple[str, str, str], reason: Reason) -> None:
        if (counts := self._runs.get(key)) is not None:
            counts[reason] = counts.get(reason, 0) + 1

    def show(self, target: Target, reason: Reason | None) -> None:
        """Show that a target is suppressed, or that it is not."""
        if reason is None:
            self._targets.pop(target, None)
        elif target.probe in self._probes:
            self._targets[target] = reason

    def collect(self) -> Iterable[Metric]:
        """Return the families, as prometheus-client asks for them."""
        yield from self._families()

    def _families(self) -> Iterator[Metric]:
        runs = CounterMetricFamily(
            "pie_suppressed_runs",
            "Runs that say nothing about storage, because of maintenance or because somebody ended them.",
            labels=("pie_probe_name", "storage_class", "probe", "reason"),
        )
        for (probe, storage_class, counted), counts in self._runs.items():
            for reason, count in counts.items():
                runs.add_metric((probe, storage_class, counted, reason.value), count)
        yield runs
        now = GaugeMetricFamily(
            "pie_target_suppressed",
            "1 while runs of a target are suppressed; node is empty for the provision probe.",
            labels=("pie_probe_name", "node", "storage_class", "reason"),
        )
        for target, reason in self._targets.items():
            now.add_metric((target.probe, target.node, target.storage_class, reason.value), 1)
        yield now
