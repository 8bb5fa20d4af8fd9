"""An incident of the control plane is one for the cluster, whatever PieProbes it is in."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pie.core.incidents.cluster import is_open_in, joined, merged
from pie.core.incidents.incident import Incident, Scope
from pie.core.model import Probed, ProbeId, Stage
from pie.core.reasons import Reason
from pie.serve.incidentgauge import IncidentGauge

LATE = Incident(
    "a", Scope.NODE, Stage.QUEUE, Reason.CONTROL_PLANE_LATE, "", 100.0, frozenset({"n1"}), targets=1
)
WIDE = replace(LATE, id="b", scope=Scope.CLASS, opened_at=160.0, nodes=frozenset({"n2", "n3"}), targets=2)
MOUNT = replace(LATE, id="m", reason=Reason.MOUNT_FAILED, stage=Stage.MOUNT)


def test_the_same_incident_in_another_pieprobe_has_the_same_id_and_began_with_the_first() -> None:
    assert joined(WIDE, [MOUNT, LATE]) == replace(WIDE, id="a", opened_at=100.0)
    assert joined(WIDE, [MOUNT]) == WIDE
    assert joined(WIDE, [replace(LATE, closed_at=150.0)]) == WIDE
    assert joined(MOUNT, [LATE]) == MOUNT


def test_it_is_as_wide_as_the_widest_and_open_while_one_is() -> None:
    both = merged([replace(WIDE, id="a"), LATE])
    assert (both.scope, both.targets, both.opened_at, both.nodes) == (
        Scope.CLASS,
        3,
        100.0,
        {"n1", "n2", "n3"},
    )
    assert merged([replace(LATE, closed_at=200.0), WIDE]).closed_at is None
    assert merged([replace(LATE, closed_at=200.0), replace(WIDE, closed_at=300.0)]).closed_at == 300.0
    assert is_open_in(LATE, [LATE])
    assert not is_open_in(LATE, [replace(LATE, closed_at=200.0), MOUNT])


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def lines(registry: CollectorRegistry) -> list[str]:
    shown = generate_latest(registry).decode().splitlines()
    return [line for line in shown if line.startswith("pie_incident") and "_created" not in line]


def test_it_is_shown_once_without_the_name_of_a_pieprobe(registry: CollectorRegistry) -> None:
    gauge = IncidentGauge(registry)
    gauge.show(Probed(ProbeId("pie", "p1"), "fast"), [LATE])
    gauge.show(Probed(ProbeId("pie", "p2"), "slow"), [replace(WIDE, id="a"), MOUNT])
    gauge.count(Probed(ProbeId("pie", "p1"), "fast"), [LATE])
    gauge.count(Probed(ProbeId("pie", "p2"), "slow"), [MOUNT])
    shown = [line for line in lines(registry) if not line.endswith(" 0.0")]
    queue = 'area="control-plane",pie_probe_name="",reason="ControlPlaneLate",scope="node",stage="queue"'
    mount = 'area="storage",pie_probe_name="p2",reason="MountFailed",scope="node",stage="mount"'
    assert shown == [
        f'pie_incident_open{{{queue},storage_class=""}} 1.0',
        f'pie_incident_open{{{mount},storage_class="slow"}} 1.0',
        'pie_incidents_total{area="control-plane",pie_probe_name="",storage_class=""} 1.0',
        'pie_incidents_total{area="storage",pie_probe_name="p2",storage_class="slow"} 1.0',
    ]
    gauge.keep(ProbeId("pie", "p2"), ())
    gauge.show(Probed(ProbeId("pie", "p1"), "fast"), [replace(LATE, closed_at=200.0)])
    assert [line for line in lines(registry) if "open" in line] == [
        f'pie_incident_open{{{queue},storage_class=""}} 0.0'
    ]


def test_every_area_is_at_zero_from_the_start(registry: CollectorRegistry) -> None:
    IncidentGauge(registry).show(Probed(ProbeId("pie", "p1"), "fast"), [])
    assert [line.rsplit(" ", 1)[1] for line in lines(registry)] == ["0.0"] * 4
