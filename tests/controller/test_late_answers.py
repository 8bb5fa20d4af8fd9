"""The answer to a write may come after the watch has shown what was written."""

import pytest

from pie.kube.transport import Request
from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, at_once
from tests.controller.virtualtime import in_virtual_time


@pytest.mark.parametrize("verb", ["patch", "create", "apply", "delete"])
def test_a_write_whose_answer_is_later_than_its_watch_event_is_no_defect(verb: str) -> None:
    def late(request: Request) -> float:
        return 2.0 if request.verb == verb else 0.0

    async def play() -> set[str]:
        simulation = Simulation(at_once)
        simulation.wire.answers_after = late
        simulation.world.begin(SPEC)
        await simulation.run(400, [])  # it fails when the controller meets a defect
        return {asked for asked, _ in simulation.wire.asked}

    assert verb in in_virtual_time(play())
