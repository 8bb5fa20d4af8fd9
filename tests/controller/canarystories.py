"""What comes of a story of a PieProbe with a canary: its pods, what was counted, and the status."""

from collections.abc import Callable
from typing import Any

from tests.controller.simulation import Simulation
from tests.controller.stories import Action, Lag, Script, at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import World
from tests.harness import Samples

OTHER = "n2"
"""The second node of each story."""


class CanaryStory:
    """A story that was played: one controller after the other (`lives`), for so many seconds each.

    `pods` are all pods of the canary that there ever were, `deleted` is when each was seen to be gone, and
    `left` are the names of those at the end.
    """

    def __init__(
        self,
        kind: str,
        spec: dict[str, Any],
        *script: tuple[int, Action],
        seconds: int = 600,
        lives: int = 1,
        lag: Lag = at_once,
    ) -> None:
        self._kind = kind
        self.pods: dict[str, dict[str, Any]] = {}
        self.deleted: dict[str, float] = {}
        in_virtual_time(self._live(spec, seconds, list(script), lives, lag))

    async def _live(self, spec: dict[str, Any], seconds: int, script: Script, lives: int, lag: Lag) -> None:
        simulation: Simulation | None = None
        for _ in range(lives):
            first, simulation = simulation is None, Simulation(lag, simulation)
            if first:
                simulation.world.each_second["note"] = self._note
                simulation.world.begin(spec, OTHER)
            await simulation.run(seconds, script if first else [])
        assert simulation is not None
        self.states = simulation.states()
        self.counted = Samples(simulation.metrics())
        self.left = [name for name in simulation.world.objects["pods"] if self._is_mine(name)]
        status = simulation.world.objects["pieprobes"]["p"]["status"]
        self.summary, self.targets = status["summary"], status["targets"]
        self.conditions = {each["type"]: each for each in status["conditions"]}
        self.incidents = status.get("incidents", [])

    def _is_mine(self, pod: str) -> bool:
        return pod.startswith(f"{self._kind}-")

    def _note(self, world: World) -> None:
        there = {name: pod for name, pod in world.objects["pods"].items() if self._is_mine(name)}
        self.deleted |= {name: world.now() for name in self.pods.keys() - there.keys() - self.deleted.keys()}
        self.pods |= there

    def runs(self, on_time: str) -> float | None:
        """Return how many runs of the canary were counted as on time (`true`), or not."""
        return self.counted.value("pie_canary_runs_total", probe=self._kind, on_time=on_time)

    def condition(self, kind: str) -> tuple[str, str]:
        """Return status and reason of the condition of a kind of probe."""
        found = self.conditions[f"{kind}Healthy"]
        return found["status"], found["reason"]


def refuses(concerns: Callable[[dict[str, Any]], bool], words: str) -> Action:
    """Return the action after which these pods get no volume, for this reason."""

    def refuse(world: World) -> None:
        warned: set[str] = set()

        def warn(_world: World) -> None:
            for name, pod in world.objects["pods"].items():
                if concerns(pod) and name not in warned:
                    warned.add(name)
                    world.warn("Pod", pod, "FailedMount", words)

        world.kubelets["refuses"] = lambda _world, pod: concerns(pod)
        world.each_second["refuses"] = warn

    return refuse
