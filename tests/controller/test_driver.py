"""A storage driver that is missing on a node is a fault, not maintenance: stories in virtual time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from pie.core.model import Kind, Target, Verdict
from pie.core.reasons import Reason
from pie.core.record.file import read_head, read_records
from pie.core.record.replay import replay, steps
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    BEGIN_SECONDS,
    BUSY_SECONDS,
    END,
    GAPS,
    SPEC,
    Script,
    at_once,
    played,
    quick,
    scripts,
    storage,
    with_gaps,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NAMESPACE, NODE, PROVISION, TARGET, World, rfc3339
from tests.dirty.kubelets import has_no_driver

DRIVER = "d.example"
KEY = f"{DRIVER}/agent-not-ready"
OTHER = "n2"
AT_OTHER = Target("p", Kind.MOUNT, "c", OTHER, NAMESPACE)
ONE_GRACE = {**SPEC, "suppression": {"newNodeGrace": "2m", "rebootGrace": "0s"}}

Action = Callable[[World], None]


def begin(world: World, spec: dict[str, Any], *, listed: bool = True) -> None:
    """Make a cluster of two nodes whose class has a CSI driver, which is registered on them."""
    world.begin(spec, OTHER)
    by = {"metadata": {"name": "c"}, "provisioner": DRIVER, "volumeBindingMode": "WaitForFirstConsumer"}
    world.put("storageclasses", by)
    register(NODE)(world)
    if listed:
        register(OTHER)(world)


def register(node: str, *, there: bool = True) -> Action:
    """Return the action that has the driver registered on a node, or not any more."""

    def act(world: World) -> None:
        drivers = [{"name": DRIVER, "nodeID": node}] if there else None
        world.put("csinodes", {"metadata": {"name": node}, "spec": {"drivers": drivers}})

    return act


def taint(key: str = KEY, *, there: bool = True, node: str = OTHER) -> Action:
    """Return the action that puts a start-up taint on a node, or removes it."""

    def act(world: World) -> None:
        found = world.objects["nodes"][node]
        taints = [{"key": key, "effect": "NoSchedule"}] if there else []
        world.put("nodes", {**found, "spec": {**found["spec"], "taints": taints}})

    return act


def no_driver(world: World) -> None:
    """Have the kubelet of a node say that it knows no such driver."""
    world.waits["driver"] = has_no_driver(OTHER)


def crashed(world: World) -> None:
    """Have the driver on a node not answer; its kubelet still has it registered."""
    world.storage, world.storage_fails_on = "does not mount", frozenset({OTHER})


def play(
    *script: tuple[int, Action], seconds: int = 330, spec: Any = SPEC, listed: bool = True
) -> Simulation:
    async def played() -> Simulation:
        simulation = Simulation(at_once)
        begin(simulation.world, spec, listed=listed)
        await simulation.run(seconds, script)
        return simulation

    return in_virtual_time(played())


def verdict(simulation: Simulation, target: Target = AT_OTHER) -> tuple[Verdict, Reason]:
    state = simulation.states()[target]
    return state.verdict, state.reason


def status(simulation: Simulation) -> dict[str, Any]:
    return dict(simulation.world.objects["pieprobes"]["p"]["status"])


def incidents(simulation: Simulation) -> list[tuple[str, str, list[str]]]:
    """Return the open incidents of the storage: stage, reason and nodes."""
    found = status(simulation).get("incidents") or []
    return [(each["stage"], each["reason"], each["nodes"]) for each in found if "closedAt" not in each]


def condition(simulation: Simulation, kind: str) -> dict[str, Any]:
    return next(each for each in status(simulation)["conditions"] if each["type"] == kind)


LATE = (Verdict.LATE, Reason.DRIVER_NOT_READY)
OK = (Verdict.OK, Reason.OK)


def test_a_start_up_taint_that_stays_is_an_incident_of_its_node_and_suppresses_nothing() -> None:
    simulation = play((0, taint()))
    assert verdict(simulation) == LATE
    assert verdict(simulation, TARGET) == OK
    assert verdict(simulation, PROVISION) == OK
    assert incidents(simulation) == [("mount", "DriverNotReady", [OTHER])]
    assert KEY in simulation.states()[AT_OTHER].message
    assert "suppressed" not in simulation.states()[AT_OTHER].message


def test_also_where_the_driver_does_not_come_up_at_all_and_the_evidence_is_what_the_run_says() -> None:
    simulation = play((0, taint()), (0, no_driver), listed=False)
    assert incidents(simulation) == [("mount", "DriverNotReady", [OTHER])]
    message = simulation.states()[AT_OTHER].message
    assert KEY in message
    assert "registered CSI drivers" in message


@pytest.mark.parametrize("removed_at", [80, 110])
def test_a_start_up_taint_that_is_removed_in_the_grace_of_a_new_node_is_no_fault(removed_at: int) -> None:
    def new(world: World) -> None:
        world.add_node(OTHER)
        node = world.objects["nodes"][OTHER]
        world.put(
            "nodes",
            {**node, "metadata": {**node["metadata"], "creationTimestamp": rfc3339(world.now())}},
        )
        taint()(world)
        no_driver(world)

    def comes_up(world: World) -> None:
        taint(there=False)(world)
        register(OTHER)(world)
        world.waits.clear()

    simulation = play((0, new), (removed_at, comes_up), spec=ONE_GRACE, listed=False)
    assert verdict(simulation) == OK
    assert status(simulation).get("incidents") in (None, [])


def test_a_taint_of_the_driver_that_nobody_knows_is_tolerated_on_first_sight() -> None:
    key = f"{DRIVER}/starting"
    simulation = play((100, taint(key)), (200, taint(key, there=False)))
    cronjobs = simulation.world.objects["cronjobs"].values()
    tolerated = {
        each["metadata"]["labels"].get("node", ""): [
            toleration["key"]
            for toleration in each["spec"]["jobTemplate"]["spec"]["template"]["spec"].get("tolerations", [])
        ]
        for each in cronjobs
    }
    assert key in tolerated[OTHER]
    assert key not in tolerated[NODE]
    assert tolerated[""] == []
    assert verdict(simulation) == OK


def test_a_driver_that_is_gone_from_a_node_on_which_it_was_registered_is_not_ready() -> None:
    simulation = play((100, register(OTHER, there=False)), (100, no_driver))
    assert verdict(simulation) == LATE
    assert incidents(simulation) == [("mount", "DriverNotReady", [OTHER])]


def test_a_csinode_alone_proves_nothing() -> None:
    simulation = play((100, register(OTHER, there=False)))
    assert verdict(simulation) == OK
    assert status(simulation).get("incidents") in (None, [])


def test_after_a_crash_the_csinode_lists_the_driver_and_the_run_speaks_for_itself() -> None:
    simulation = play((100, crashed))
    assert incidents(simulation) == [("mount", "MountSlow", [OTHER])]


def test_a_driver_that_was_never_registered_on_a_node_cannot_be_tested_there() -> None:
    simulation = play((0, no_driver), listed=False)
    assert verdict(simulation)[1] is Reason.DRIVER_ABSENT
    assert verdict(simulation, TARGET) == OK
    assert all(reason != "DriverNotReady" for _, reason, _ in incidents(simulation))
    said = condition(simulation, "DriverAbsent")
    assert said["status"] == "True"
    assert OTHER in said["message"]
    assert NODE not in said["message"].replace(OTHER, "")
    assert "nodeSelector" in said["message"]


def test_once_it_is_registered_there_the_condition_ends() -> None:
    def comes_up(world: World) -> None:
        register(OTHER)(world)
        world.waits.clear()

    simulation = play((0, no_driver), (150, comes_up), listed=False)
    assert verdict(simulation) == OK
    assert condition(simulation, "DriverAbsent")["status"] == "False"


def test_a_target_that_was_once_well_has_lost_its_driver_whatever_this_controller_saw() -> None:
    async def played() -> Simulation:
        first = Simulation(at_once)
        begin(first.world, SPEC)
        await first.run(150, [])
        register(OTHER, there=False)(first.world)
        no_driver(first.world)
        second = Simulation(at_once, first)
        await second.run(200, [])
        return second

    simulation = in_virtual_time(played())
    assert verdict(simulation) == LATE
    assert incidents(simulation) == [("mount", "DriverNotReady", [OTHER])]


@pytest.mark.parametrize("words", [f"untolerated taint {{{KEY}: }}", "untolerated taint(s)"])
def test_a_class_whose_driver_keeps_pods_off_all_nodes_is_not_suppressed(words: str) -> None:
    def unschedulable(world: World) -> None:
        waiting = [pod for pod in world.objects["pods"].values() if not pod["spec"].get("nodeName")]
        message = f"0/2 nodes are available: 2 node(s) had {words}."
        said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        for pod in waiting:
            world.put("pods", {**pod, "status": {**pod["status"], "conditions": [said]}})

    def everywhere(world: World) -> None:
        taint()(world)
        taint(node=NODE)(world)
        world.each_second["scheduler"] = unschedulable

    simulation = play((60, everywhere))
    assert verdict(simulation, PROVISION) == LATE
    assert ("mount", "DriverNotReady") in {each[:2] for each in incidents(simulation)}


@pytest.mark.parametrize("anonymous", [False, True])
def test_what_is_decided_about_drivers_is_recorded_and_replays(tmp_path: Path, *, anonymous: bool) -> None:
    script = [(100, taint()), (100, taint(node=NODE)), (200, register(OTHER, there=False)), (200, no_driver)]

    async def played() -> None:
        simulation = Simulation(at_once, record=tmp_path, record_anonymous=anonymous)
        begin(simulation.world, SPEC)
        await simulation.run(330, script)

    in_virtual_time(played())
    (file,) = tmp_path.glob("*.record")
    body = file.read_bytes()
    taken = list(steps(body))
    assert [each for each in taken if replay(each, anonymous=anonymous).differences] == []
    plain = b"".join(read_records(body, read_head(body)[1]))
    assert (DRIVER.encode() in plain) is not anonymous


def has_a_driver(world: World) -> None:
    """Give the class a driver, which is registered on the node."""
    by = {"metadata": {"name": "c"}, "provisioner": DRIVER, "volumeBindingMode": "WaitForFirstConsumer"}
    world.put("storageclasses", by)
    register(NODE)(world)


def on_node(act: Action) -> Action:
    """Return the action, done while the node is there."""
    return lambda world: act(world) if NODE in world.objects["nodes"] else None


UPS_AND_DOWNS = [
    *(register(NODE, there=there) for there in (True, False)),
    *(on_node(taint(key, there=there, node=NODE)) for key in (KEY, f"{DRIVER}/x") for there in (True, False)),
    *(storage(state) for state in ("does not mount", "well")),
    World.cordon,
    World.uncordon,
]
BACK = [register(NODE), on_node(taint(there=False, node=NODE)), storage("well"), World.uncordon]


@quick
@given(scripts(UPS_AND_DOWNS), GAPS)
def test_whatever_becomes_of_driver_and_taints_each_due_time_is_counted_once_and_all_is_well_in_the_end(
    script: Script, gaps: list[tuple[str, int, int]]
) -> None:
    ends = [(BEGIN_SECONDS + BUSY_SECONDS, act) for act in BACK]
    outcome = played([(0, has_a_driver), *script, *ends], with_gaps(gaps))
    assert outcome.errors(END) == []
    assert {each for each, _ in outcome.states.values()} == {Verdict.OK}
