"""The series of incidents."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as CounterMetric

from pie.core.incidents.cluster import is_shared, merged
from pie.core.incidents.incident import Incident
from pie.core.model import Probed, ProbeId
from pie.core.reasons import Area
from pie.serve.labels import BY_NAME, ProbeLabels

_Labels = tuple[str, ...]
_Key = tuple[ProbeId, str, Area]
_CLUSTER = Probed(ProbeId("", ""), "")
"""In place of a PieProbe and its class: what is in the way of all of them is shown once."""


class IncidentGauge:
    """`pie_incident_open`: open incidents by their labels; 0 for incidents that closed recently.

    The labels of an incident stay those it was first shown with, or an alert would fire again whenever more
    is known; only another area changes them. And `pie_incidents_total`: how many opened. An incident of the
    control plane has empty names.
    """

    def __init__(self, registry: CollectorRegistry, labels: ProbeLabels = BY_NAME) -> None:
        self._probe_labels = labels
        self._open = Gauge(
            "pie_incident_open",
            "Open incidents, by area (whose problem it is), scope, stage and reason;"
            " 0 for incidents that closed recently.",
            (*labels.names, "storage_class", "area", "scope", "stage", "reason"),
            registry=registry,
        )
        self._opened = CounterMetric(
            "pie_incidents",
            "Incidents that opened, by area (whose problem it is).",
            (*labels.names, "storage_class", "area"),
            registry=registry,
        )
        self._incidents: dict[Probed, tuple[Incident, ...]] = {}
        self._labels: dict[_Key, _Labels] = {}

    def show(self, probed: Probed, incidents: Iterable[Incident]) -> None:
        """Show the incidents of a PieProbe's class, open and closed ones, and no others."""
        if probed not in self._incidents:
            for area in Area:
                self._opened.labels(*self._names(probed, area), area.value)
        self._incidents[probed] = tuple(incidents)
        self._set()

    def count(self, probed: Probed, opened: Iterable[Incident]) -> None:
        """Count incidents that opened."""
        for each in opened:
            self._opened.labels(*self._names(probed, each.area), each.area.value).inc()

    def keep(self, probe: ProbeId, classes: Collection[str]) -> None:
        """Delete the series of the other classes of a PieProbe; without classes, all series of it."""
        for each in [each for each in self._incidents if each.probe == probe]:
            if each.storage_class not in classes:
                del self._incidents[each]
                self._opened.remove_by_labels(
                    {**self._probe_labels.pairs(probe), "storage_class": each.storage_class}
                )
                self._set()

    def _set(self) -> None:
        found: list[tuple[_Key, _Labels, Incident]] = []
        shared: defaultdict[str, list[Incident]] = defaultdict(list)
        for probed, incidents in self._incidents.items():
            for each in incidents:
                if is_shared(each):
                    shared[each.id].append(each)
                else:
                    found.append(self._entry(probed, each))
        found += [self._entry(_CLUSTER, merged(parts)) for parts in shared.values()]
        before = self._labels
        self._labels = {key: before.get(key, labels) for key, labels, _ in found}
        for labels in set(before.values()) - set(self._labels.values()):
            self._open.remove(*labels)
        counts: Counter[_Labels] = Counter()
        for key, _, each in found:
            counts[self._labels[key]] += each.closed_at is None
        for labels, count in counts.items():
            self._open.labels(*labels).set(count)

    def _names(self, probed: Probed, area: Area) -> _Labels:
        found = _CLUSTER if area is Area.CONTROL_PLANE else probed
        return (*self._probe_labels.of(found.probe), found.storage_class)

    def _entry(self, probed: Probed, incident: Incident) -> tuple[_Key, _Labels, Incident]:
        scope, stage, reason = incident.scope.value, incident.stage.value, incident.reason.value
        names = (*self._probe_labels.of(probed.probe), probed.storage_class)
        labels = (*names, incident.area.value, scope, stage, reason)
        return (probed.probe, incident.id, incident.area), labels, incident
