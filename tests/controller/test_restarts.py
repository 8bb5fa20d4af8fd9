"""A restart, or another leader, changes nothing of what the status says of the storage."""

from typing import Any

import pytest

from pie.core.model import Verdict
from tests.controller.simulation import Simulation
from tests.controller.stories import at_once, fails_on, storage, with_gaps
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, NODE, World


def said(world: World) -> tuple[str, list[Any]]:
    status = world.objects["pieprobes"]["p"]["status"]
    conditions = [(each["type"], each["status"], each["lastTransitionTime"]) for each in status["conditions"]]
    return status["summary"], conditions


@pytest.mark.parametrize("state", ["well", "fails"])
def test_until_a_run_is_judged_the_status_says_what_it_said_before(state: str) -> None:
    async def play() -> None:
        first = Simulation(at_once)
        first.world.begin(BASE_SPEC)
        await first.run(255, [(100, storage(state))])
        before = said(first.world)
        assert before[0] == "fine" or "IOError" in before[0]
        second = Simulation(at_once, first)
        await second.run(40, [])
        assert said(second.world) == before
        assert {verdict.value for verdict, _ in verdicts(second)} == {"pending"}

    in_virtual_time(play())


def verdicts(simulation: Simulation) -> list[Any]:
    return [(state.verdict, state.reason) for state in simulation.states().values()]


def test_what_a_follow_up_run_said_stands_over_a_restart() -> None:
    async def play() -> None:
        # The first controller starts the follow-up run at second 85, and hears nothing of how both end.
        deaf = with_gaps([(kind, 87, 60) for kind in ("jobs", "pods")])
        first = Simulation(deaf)
        first.world.begin({**BASE_SPEC, "disableMountProbes": True}, "n2")
        await first.run(112, [(0, fails_on("does not mount", NODE))])
        assert len(first.world.objects["jobs"]) == 2
        second = Simulation(at_once, first)
        await second.run(7, [])
        assert [each[0] for each in verdicts(second)] == [Verdict.OK]

    in_virtual_time(play())


def test_what_a_target_had_goes_when_it_ended_while_no_controller_led() -> None:
    async def play() -> None:
        first = Simulation(at_once)
        first.world.begin({**BASE_SPEC, "disableProvisionProbe": True})
        await first.run(100, [])
        assert first.world.objects["cronjobs"]
        assert first.world.objects["persistentvolumeclaims"]
        first.world.unselect_node()
        second = Simulation(at_once, first)
        await second.run(20, [])
        assert second.world.objects["cronjobs"] == {}

    in_virtual_time(play())
