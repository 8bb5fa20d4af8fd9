"""Where volumes of a class that binds at once can be used is learned from its driver's CSINodes."""

import pytest

from pie.core.intree import DRIVERS
from pie.core.model import Kind
from pie.core.reasons import Reason
from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, PROBE, T0, World, rfc3339

DRIVER, KEY = "d.example", "topology.d.example/node"
OTHER = "n2"


def register(world: World, *nodes: str, driver: str = DRIVER) -> None:
    """Have the driver registered on nodes, whose kubelets write that down in their CSINodes."""
    for name in nodes:
        entry = {"name": driver, "nodeID": name, "topologyKeys": [KEY]}
        world.put("csinodes", {"metadata": {"name": name}, "spec": {"drivers": [entry]}})


def unregister(world: World) -> None:
    """Take the driver away from all nodes."""
    world.objects["csinodes"].clear()


def label(world: World, node: str) -> None:
    """Give a node the label of its topology segment."""
    found = world.objects["nodes"][node]
    metadata = {**found["metadata"], "labels": {**found["metadata"]["labels"], KEY: node}}
    world.put("nodes", {**found, "metadata": metadata})


class Story:
    """A class that binds at once, and two nodes, each a topology segment of its own unless told otherwise."""

    def __init__(self, *, labelled: bool = True, provisioner: str = DRIVER) -> None:
        self.simulation = Simulation(at_once)
        world = self.world = self.simulation.world
        world.begin({**SPEC, "disableProvisionProbe": True})
        by = {"metadata": {"name": "c"}, "provisioner": provisioner, "volumeBindingMode": "Immediate"}
        world.put("storageclasses", by)
        first = world.objects["nodes"][NODE]
        metadata = {"name": OTHER, "labels": {"a": ""}, "creationTimestamp": rfc3339(T0 - 86_400)}
        world.put("nodes", {**first, "metadata": metadata})
        for node in (NODE, OTHER) if labelled else ():
            label(world, node)

    def paused(self) -> Reason | None:
        """Return why the mount probes are paused."""
        pause = self.simulation.controller.probes.get(PROBE).classes["c"].paused.get(Kind.MOUNT)
        return pause.reason if pause is not None else None


def test_a_driver_that_is_only_on_some_nodes_is_found_on_one_of_them() -> None:
    async def play() -> None:
        story = Story()
        register(story.world, OTHER)
        await story.simulation.run(10, [])
        assert story.paused() is Reason.IMMEDIATE_BINDING_WITH_TOPOLOGY

    in_virtual_time(play())


@pytest.mark.parametrize(("name", "driver"), DRIVERS.items())
def test_a_class_with_an_in_tree_name_is_its_csi_drivers(name: str, driver: str) -> None:
    async def play() -> None:
        story = Story(provisioner=name)
        register(story.world, NODE, OTHER, driver=driver)
        await story.simulation.run(10, [])
        assert story.paused() is Reason.IMMEDIATE_BINDING_WITH_TOPOLOGY

    in_virtual_time(play())


@pytest.mark.parametrize("labelled", [True, False])
def test_a_driver_that_is_installed_after_pie_is_found_at_once(*, labelled: bool) -> None:
    async def play() -> None:
        story = Story(labelled=labelled)
        seen = []

        def installed(world: World) -> None:
            seen.append(story.paused())
            register(world, NODE, OTHER)
            if not labelled:
                label(world, NODE)
                label(world, OTHER)

        await story.simulation.run(305, [(300, installed)])
        assert seen == [None]
        assert story.paused() is Reason.IMMEDIATE_BINDING_WITH_TOPOLOGY

    in_virtual_time(play())


def test_nodes_whose_csinode_lists_nothing_do_not_keep_the_others_from_being_found() -> None:
    async def play() -> None:
        story = Story()
        first, second = sorted((NODE, OTHER))
        register(story.world, second)
        story.world.put("csinodes", {"metadata": {"name": first}, "spec": {"drivers": None}})
        await story.simulation.run(60, [])
        assert story.paused() is Reason.IMMEDIATE_BINDING_WITH_TOPOLOGY

    in_virtual_time(play())


def test_while_the_driver_is_upgraded_what_is_known_of_it_stands() -> None:
    async def play() -> None:
        story = Story()
        register(story.world, NODE, OTHER)
        again = {**SPEC, "disableProvisionProbe": True, "probePeriod": 2}

        def changed(world: World) -> None:
            unregister(world)
            probe = world.objects["pieprobes"]["p"]
            world.put("pieprobes", {**probe, "spec": again})

        await story.simulation.run(60, [(30, changed)])
        assert story.paused() is Reason.IMMEDIATE_BINDING_WITH_TOPOLOGY

    in_virtual_time(play())
