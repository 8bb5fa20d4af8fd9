"""What a driver says of its storage on a node reaches the verdict of the runs there."""

from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, TARGET

DRIVER = "d.example"


def test_a_csinode_that_calls_the_storage_degraded_contradicts_a_good_run() -> None:
    async def play() -> str:
        simulation = Simulation(at_once)
        world = simulation.world
        world.begin(SPEC)
        found = world.objects["storageclasses"]["c"]
        world.put("storageclasses", {**found, "provisioner": DRIVER})
        health = [{"status": "StorageDegraded", "reason": "OnePath", "message": "1 of 2 paths"}]
        world.put(
            "csinodes",
            {
                "metadata": {"name": NODE},
                "spec": {"drivers": [{"name": DRIVER, "nodeID": NODE}]},
                "status": {"storageHealth": [{"name": DRIVER, "healthConditions": health}]},
            },
        )
        await simulation.run(130, [])
        return simulation.states()[TARGET].message

    words = in_virtual_time(play())
    assert (
        words == "the I/O of the probe worked, but the driver says: StorageDegraded (OnePath): 1 of 2 paths"
    )
