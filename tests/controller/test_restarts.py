"""A restart, or another leader, changes nothing of what the status says of the storage."""

import asyncio
from typing import Any

import pytest

from tests.controller.simulation import BASE_SPEC, Simulation, VirtualLoop, World
from tests.controller.test_accounting import at_once, storage


def said(world: World) -> tuple[str, list[Any]]:
    status = world.objects["pieprobes"]["p"]["status"]
    conditions = [(each["type"], each["status"], each["lastTransitionTime"]) for each in status["conditions"]]
    return status["summary"], conditions


@pytest.mark.parametrize("state", ["well", "fails"])
def test_until_a_run_is_judged_the_status_says_what_it_said_before(state: str) -> None:
    async def play() -> None:
        first = Simulation(at_once)
        first.world.begin(BASE_SPEC)
        await first.run(250, [(100, storage(state))])
        before = said(first.world)
        assert before[0] == "fine" or "IOError" in before[0]
        second = Simulation(at_once, first)
        await second.run(45, [])
        assert said(second.world) == before
        assert {verdict.value for verdict, _ in verdicts(second)} == {"pending"}

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play())


def verdicts(simulation: Simulation) -> list[Any]:
    return [(state.verdict, state.reason) for state in simulation.tally.states.values()]
