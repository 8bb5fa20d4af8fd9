"""The series of an incident, from its opening to its end."""

from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest

from pie.core.incidents.incident import Incident, Scope
from pie.core.model import Probed, ProbeId, Stage
from pie.core.reasons import Reason
from pie.serve.incidentgauge import IncidentGauge
from tests.alerts import SERIES
from tests.harness import Samples

OPENED = Incident("1", Scope.NODE, Stage.MOUNT, Reason.MOUNT_SLOW, "", 100.0, frozenset({"n1"}), targets=1)
KNOWN = replace(OPENED, scope=Scope.CLASS, reason=Reason.MOUNT_FAILED, nodes=frozenset({"n1", "n2"}))
LEAK = replace(OPENED, id="2", stage=Stage.TEARDOWN, reason=Reason.VOLUME_LEAKED)


def shown(*looks: tuple[Incident, ...]) -> list[tuple[str, str, str, float]]:
    """Return area, scope, reason and value of the series after some looks."""
    registry = CollectorRegistry()
    gauge = IncidentGauge(registry)
    for incidents in looks:
        gauge.show(Probed(ProbeId("pie", "p"), "c"), incidents)
    found = Samples(generate_latest(registry).decode()).all(SERIES)
    return sorted(
        (*(each.labels[name] for name in ("area", "scope", "reason")), each.value) for each in found
    )


def test_the_labels_stay_as_they_were_when_more_is_known_of_an_incident() -> None:
    assert shown((OPENED,), (KNOWN,)) == [("storage", "node", "MountSlow", 1.0)]
    assert shown((OPENED,), (KNOWN,), (replace(KNOWN, closed_at=200.0),)) == [
        ("storage", "node", "MountSlow", 0.0)
    ]


def test_an_incident_that_turns_out_to_be_of_another_area_is_shown_there() -> None:
    late = replace(LEAK, stage=Stage.SCHEDULE, reason=Reason.INSUFFICIENT_RESOURCES)
    assert shown((LEAK,), (late,)) == [("node", "node", "InsufficientResources", 1.0)]


def test_incidents_with_the_same_labels_are_counted_together_and_others_go_with_their_incident() -> None:
    other = replace(KNOWN, id="3")
    assert shown((OPENED, LEAK), (KNOWN, replace(OPENED, id="4"))) == [("storage", "node", "MountSlow", 2.0)]
    assert shown((OPENED,), (KNOWN, other), (other,)) == [("storage", "class", "MountFailed", 1.0)]
    assert shown((OPENED,), ()) == []
