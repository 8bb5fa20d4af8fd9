"""The status that tells of a new incident goes before all other writes: in a simulation."""

from pie.kube.pacing import Pacer
from tests.controller.simulation import Simulation
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, PERIOD_SECONDS, World


class Turns(Pacer):
    """A pacer that lets everything pass, and counts what was urgent."""

    def __init__(self) -> None:
        super().__init__(budget=1e6, burst=10**6)
        self.urgent = 0

    async def wait(self, *, urgent: bool = False) -> None:
        self.urgent += urgent
        await super().wait(urgent=urgent)


def break_mounts(world: World) -> None:
    world.storage = "does not mount"


async def play() -> tuple[Turns, World]:
    simulation, turns = Simulation(lambda _kind, _second: 0), Turns()
    simulation.client._pacer = turns
    simulation.world.begin(BASE_SPEC)
    await simulation.run(4 * PERIOD_SECONDS, [(PERIOD_SECONDS, break_mounts)])
    return turns, simulation.world


def test_the_opening_of_an_incident_is_urgent_and_nothing_else() -> None:
    turns, world = in_virtual_time(play())
    (incident,) = world.objects["pieprobes"]["p"]["status"]["incidents"]
    assert "closedAt" not in incident
    assert turns.urgent == 1
