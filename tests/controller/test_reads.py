"""What pie reads in an outage, while watches are behind: never in step with the number of runs."""

from collections import Counter

import pytest

from pie.core.model import Verdict
from tests.controller.simulation import Simulation
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, PERIOD_SECONDS, World

NODES = 60
DUE_SECONDS = 120


def nothing_is_mounted(world: World) -> None:
    world.storage = "does not mount"


@pytest.mark.parametrize(
    ("lag_seconds", "known"), [(12, "pods are known"), (30, "pods are not known")], ids=str
)
def test_many_late_runs_cost_a_few_shared_lists(lag_seconds: int, known: str) -> None:
    async def live() -> tuple[Counter[tuple[str, str]], list[Verdict]]:
        begin = DUE_SECONDS - 5
        simulation = Simulation(lambda kind, at: lag_seconds if kind == "pods" and at > begin else 0)
        simulation.world.begin(BASE_SPEC, *(f"m{number}" for number in range(1, NODES)))
        await simulation.run(DUE_SECONDS + PERIOD_SECONDS - 5, [(begin, nothing_is_mounted)])
        verdicts = [state.verdict for target, state in simulation.states().items() if target.node]
        return simulation.wire.asked, verdicts

    asked, verdicts = in_virtual_time(live())
    assert len(verdicts) == NODES
    assert set(verdicts) == {Verdict.LATE}, known
    assert 1 <= asked["list", "pods"] <= PERIOD_SECONDS / 5
    assert asked["get", "pods"] <= 20 * asked["list", "pods"]
