"""The gauge of open incidents."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge

from pie.core.incidents.fold import Incident

_Labels = tuple[str, str, str, str, str]


class IncidentGauge:
    """`pie_incident_open`: open incidents by their labels; 0 for incidents that closed recently."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge(
            "pie_incident_open",
            "Open incidents, by scope, stage and reason; 0 for incidents that closed recently.",
            ("pie_probe_name", "storage_class", "scope", "stage", "reason"),
            registry=registry,
        )
        self._shown: dict[str, set[_Labels]] = {}

    def show(self, probe: str, storage_class: str, incidents: Iterable[Incident]) -> None:
        """Show the incidents of a PieProbe, open and closed ones, and no others."""
        counts: Counter[_Labels] = Counter()
        for each in incidents:
            labels = (probe, storage_class, each.scope.value, each.stage.value, each.reason.value)
            counts[labels] += each.closed_at is None
        for labels in self._shown.get(probe, set()) - counts.keys():
            self._open.remove(*labels)
        for labels, count in counts.items():
            self._open.labels(*labels).set(count)
        self._shown[probe] = set(counts)

    def remove(self, probe: str) -> None:
        """Delete the series of a deleted PieProbe."""
        for labels in self._shown.pop(probe, set()):
            self._open.remove(*labels)
