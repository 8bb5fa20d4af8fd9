"""Of many targets each keeps fewer finished runs while pie is away, in a simulation."""

from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, World

MANY = [f"n{number}" for number in range(2, 206)]
SPARSE = {**SPEC, "probePeriod": 30}


def test_the_cronjobs_of_a_large_cluster_keep_one_run_each_and_ten_again_when_it_is_small() -> None:
    def shrink(world: World) -> None:
        for name in MANY[:60]:
            del world.objects["nodes"][name]

    seen: list[dict[str, int]] = []
    written: list[set[int]] = []

    async def play() -> None:
        simulation = Simulation(at_once)
        simulation.world.begin(SPARSE, *MANY)
        await simulation.run(60, [(29, note), (30, shrink), (59, note)])

    def note(world: World) -> None:
        seen.append(limits(world))
        written.append({each["metadata"]["generation"] for each in world.objects["cronjobs"].values()})

    in_virtual_time(play())
    large, small = seen
    assert (len(large), set(large.values())) == (206, {1})
    assert written == [{1}, {2}]  # once created, once changed
    assert (len(small), set(small.values())) == (146, {2, 10})


def test_a_small_namespace_keeps_ten_beside_a_large_one() -> None:
    field = {"key": "metadata.name", "operator": "In", "values": [NODE]}
    one_node = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    seen: list[dict[str, int]] = []

    async def play() -> None:
        simulation = Simulation(at_once, beside="team")
        small = simulation.beside
        assert small is not None
        simulation.world.begin(SPARSE, *MANY)
        small.begin({**SPARSE, "nodeSelector": one_node})
        await simulation.run(30, [(29, lambda large: seen.extend([limits(large), limits(small)]))])

    in_virtual_time(play())
    large, small = seen
    assert (len(large), set(large.values())) == (206, {1})
    assert (len(small), set(small.values())) == (2, {2, 10})


def limits(world: World) -> dict[str, int]:
    return {
        name: found["spec"]["successfulJobsHistoryLimit"] for name, found in world.objects["cronjobs"].items()
    }
