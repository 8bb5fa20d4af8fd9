"""Nodes that match and cannot run probes have no targets, and the status names them once."""

from typing import Any

import pytest

from pie.core.model import Kind, Target
from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NAMESPACE, NODE, PROVISION, TARGET, World

ODD = "odd-1"


def condition(world: World) -> dict[str, Any]:
    """Return what the status says of nodes without probes."""
    conditions = world.objects["pieprobes"]["p"]["status"]["conditions"]
    return next(each for each in conditions if each["type"] == "NodesWithoutProbes")


def play(*script: Any, seconds: int = 150) -> Simulation:
    """Return what became of a cluster with one good node, and what the script adds."""

    async def played() -> Simulation:
        simulation = Simulation(at_once)
        simulation.world.begin(SPEC)
        await simulation.run(seconds, script)
        return simulation

    return in_virtual_time(played())


def adds(**labels: str) -> Any:
    """Return the action that adds a node with these labels, which matches."""
    return lambda world: world.add_node(ODD, a="", **labels)


def taints(key: str, value: str) -> Any:
    """Return the action that adds a matching node with a taint."""

    def act(world: World) -> None:
        world.add_node(ODD, a="")
        node = world.objects["nodes"][ODD]
        taint = {"key": key, "value": value, "effect": "NoSchedule"}
        world.put("nodes", {**node, "spec": {"taints": [taint]}})

    return act


@pytest.mark.parametrize(
    ("comes", "word"),
    [
        (adds(**{"kubernetes.io/os": "windows"}), "Windows"),
        (adds(**{"kubernetes.io/arch": "s390x"}), "s390x"),
        (taints("eks.amazonaws.com/compute-type", "fargate"), "virtual"),
        (taints("virtual-kubelet.io/provider", "azure"), "virtual"),
    ],
)
def test_such_a_node_has_no_target_no_objects_and_a_condition(comes: Any, word: str) -> None:
    simulation = play((0, comes))
    assert set(simulation.states()) == {TARGET, PROVISION}
    assert len(simulation.world.objects["persistentvolumeclaims"]) == 1
    said = condition(simulation.world)
    assert said["status"] == "True"
    assert ODD in said["message"]
    assert word in said["message"]


def test_without_such_nodes_the_condition_is_false() -> None:
    assert condition(play().world)["status"] == "False"


def test_a_node_that_becomes_suitable_gets_its_target() -> None:
    simulation = play(
        (0, adds(**{"kubernetes.io/arch": "s390x"})), (40, lambda world: world.add_node(ODD, a=""))
    )
    assert Target("p", Kind.MOUNT, "c", ODD, NAMESPACE) in simulation.states()
    assert condition(simulation.world)["status"] == "False"


def test_a_class_that_allows_other_topologies_changes_the_targets() -> None:
    def allows(zone: str) -> Any:
        def act(world: World) -> None:
            zones = [{"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": [zone]}]}]
            by = {"metadata": {"name": "c"}, "volumeBindingMode": "WaitForFirstConsumer"}
            world.put("storageclasses", {**by, "allowedTopologies": zones})

        return act

    zoned = (0, adds(**{"topology.kubernetes.io/zone": "z1"}))
    outside, inside = play(zoned, (1, allows("z2"))), play(zoned, (1, allows("z2")), (40, allows("z1")))
    odd = Target("p", Kind.MOUNT, "c", ODD, NAMESPACE)
    assert odd not in outside.states()
    assert "allowedTopologies" in condition(outside.world)["message"]
    assert odd in inside.states()


def test_where_no_matching_node_can_run_probes_the_pieprobe_waits_for_one() -> None:
    simulation = play((0, lambda world: world.relabel_node({"a": "", "kubernetes.io/os": "windows"})))
    assert simulation.states() == {}
    assert (
        f"1 of 1 matching nodes have no probes: 1 (Windows): {NODE}"
        in (condition(simulation.world)["message"])
    )
