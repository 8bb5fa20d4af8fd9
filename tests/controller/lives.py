"""One controller after the other on one simulated cluster, and what each said in the end."""

from collections.abc import Iterable
from typing import Any

from tests.controller.simulation import Simulation
from tests.controller.stories import Action, Script, at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, World
from tests.harness import Samples


class Outcome:
    """What a controller said in the end, what it had asked by then, and which Jobs there were."""

    def __init__(self, simulation: Simulation) -> None:
        self._samples = Samples(simulation.metrics())
        self.incidents = incidents_of(simulation.world)
        self.asked = simulation.wire.asked
        self.jobs = set(simulation.world.objects["jobs"])

    @property
    def left(self) -> dict[str, float]:
        """How much is left behind, by reason."""
        found = self._samples.all("pie_leaked_volumes")
        return {each.labels["reason"]: each.value for each in found if each.value}

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of a sample."""
        return self._samples.value(name, **labels)


def incidents_of(world: World) -> list[dict[str, Any]]:
    """Return the incidents in the status, but for how they are worded."""
    found = world.objects["pieprobes"]["p"].get("status", {}).get("incidents") or []
    return [{"id": each["id"], "reason": each["reason"], "open": "closedAt" not in each} for each in found]


def lived(
    *lives: tuple[int, Script], given: Iterable[Action] = (), nodes: Iterable[str] = (), **spec: Any
) -> list[Outcome]:
    """Let one controller after the other live for so many seconds; `given` is done before the first.

    `nodes` are more than the one; `spec` is what the PieProbe has beside the base.
    """

    async def live() -> list[Outcome]:
        outcomes: list[Outcome] = []
        simulation: Simulation | None = None
        for seconds, script in lives:
            first = simulation is None
            simulation = Simulation(at_once, simulation)
            if first:
                simulation.world.begin({**BASE_SPEC, **spec}, *nodes)
                for action in given:
                    action(simulation.world)
            await simulation.run(seconds, script)
            outcomes.append(Outcome(simulation))
        return outcomes

    return in_virtual_time(live())
