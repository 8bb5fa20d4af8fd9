"""What `pie check` finds to check."""

from pie.controller.oneshot.survey import Survey, survey
from pie.core.intree import DRIVERS
from pie.core.model import Kind
from pie.core.oneshot import Order
from pie.kube.client import Client
from pie.kube.clock import ServerClock
from pie.kube.config import ClusterConfig
from tests.controller.stories import SPEC
from tests.controller.virtualtime import in_virtual_time
from tests.controller.wire import Wire
from tests.controller.world import NODE, T0, World, rfc3339

OTHER = "n2"
KEY = "topology.example/zone"


def found(provisioner: str, driver: str) -> Survey:
    """Return what there is to check of a class that binds at once: two zones, and a node without driver."""

    async def look() -> Survey:
        world = World(lambda: T0)
        world.begin(SPEC)
        by = {"metadata": {"name": "c"}, "provisioner": provisioner, "volumeBindingMode": "Immediate"}
        world.put("storageclasses", by)
        first = world.objects["nodes"][NODE]
        for name in (NODE, OTHER, "without"):
            marks = {"name": name, "labels": {KEY: name}, "creationTimestamp": rfc3339(T0 - 86_400)}
            world.put("nodes", {**first, "metadata": marks})
        entry = {"name": driver, "nodeID": "x", "topologyKeys": [KEY]}
        world.objects["csinodes"] = {
            name: {"metadata": {"name": name}, "spec": {"drivers": [entry]}} for name in (NODE, OTHER)
        }
        client = Client(ClusterConfig(server="https://simulation"), clock=ServerClock(lambda: T0, lambda: T0))
        client._transport = Wire(world)  # type: ignore[assignment]  # it has the one method that is used
        return await survey(client, Order("c", "pie", image="i"))

    return in_virtual_time(look())


def test_the_nodes_and_the_topology_of_an_in_tree_class_are_those_of_its_csi_driver() -> None:
    for name, driver in DRIVERS.items():
        there = found(name, driver)
        assert there.nodes == tuple(sorted((NODE, OTHER)))
        assert [each.node for each in there.skipped] == ["without"]
        assert driver in there.skipped[0].message
        assert there.kinds == {Kind.PROVISION}, "volumes would be bound in the wrong zone"
