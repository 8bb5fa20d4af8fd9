"""When a PieProbe is deleted, nothing shows it again, whatever was under way for it."""

import pytest

from pie.kube.transport import Request
from tests.controller.simulation import Simulation
from tests.controller.stories import at_once, volume_of_a_run
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, World


def delete_all(world: World) -> None:
    """Delete the PieProbe, and by the garbage collector what it owns."""
    for kind in ("pieprobes", "cronjobs", "jobs", "pods", "persistentvolumeclaims"):
        world.objects[kind].clear()


def slow(request: Request) -> float:
    """Have reads take seconds, so that their PieProbe may go meanwhile."""
    return 5.0 if request.verb in {"get", "list"} else 0.0


@pytest.mark.parametrize("second", range(0, 120, 8))
@pytest.mark.parametrize("story", ["well", "fails", "does not mount", "cordoned"])
def test_no_series_comes_back_after_the_pieprobe_is_gone(story: str, second: int) -> None:
    async def live() -> str:
        simulation = Simulation(at_once)
        world = simulation.world
        simulation.wire.answers_after = slow
        world.begin(BASE_SPEC)
        world.objects["storageclasses"]["c"]["volumeBindingMode"] = "Immediate"
        volume_of_a_run(world)
        world.storage = "well" if story == "cordoned" else story
        if story == "cordoned":
            world.cordon()
        shown: list[str] = []
        before = (second - 1, lambda _world: shown.append(simulation.metrics()))
        gone = (second + 2, lambda _world: shown.append(simulation.metrics()))
        await simulation.run(second + 60, [before, (second, delete_all), gone])
        return simulation.metrics() + shown[1]

    assert [line for line in in_virtual_time(live()).splitlines() if '="p"' in line] == []
