"""Maintenance is no recovery: incidents of nodes that are cordoned or go, on a simulation in virtual time."""

from collections.abc import Coroutine
from datetime import datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, Action, Lag, Script, at_once, storage, with_gaps
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, T0, World

FAILS, WELL = (80, storage("fails")), storage("well")
IN_IO = f"I/O fails or is wrong on node {NODE} (IOError)"
# Runs are due at full minutes: those of 120 and 180 are bad, and open the incident.
ONE_BAD_SECONDS, OPEN_SECONDS = 140, 200


def told(
    script: Script, *, seconds: int = 900, lag: Lag = at_once, spec: dict[str, Any] | None = None
) -> list[str]:
    """Return the stories of the incidents that opened and closed, one after the other."""

    async def play() -> None:
        simulation = Simulation(lag)
        simulation.world.begin({**SPEC, "disableProvisionProbe": True, **(spec or {})})
        await simulation.run(seconds, script)

    return stories(play())


def stories(play: Coroutine[Any, Any, None]) -> list[str]:
    with capture_logs() as lines:
        in_virtual_time(play)
    return [line["story"] for line in lines if line["event"] in {"incident opened", "incident closed"}]


def told_with_restart(before: Script, seconds: int, between: Action, after: Script) -> list[str]:
    """Return the stories where a second controller takes up what a first one left in the status.

    `between` is done while neither runs; the seconds of `after` are the second one's.
    """

    async def play() -> None:
        first = Simulation(at_once)
        first.world.begin({**SPEC, "disableProvisionProbe": True})
        await first.run(seconds, before)
        second = Simulation(at_once, first)
        between(second.world)
        await second.run(600, after)

    return stories(play())


def since(story: str) -> float:
    """Return since when an incident is open, in seconds of the simulation."""
    return datetime.fromisoformat(story.partition("since ")[2].split(". ")[0]).timestamp() - T0


def test_an_incident_that_is_mended_has_recovered() -> None:
    opened, closed = told([FAILS, (OPEN_SECONDS, WELL)])
    assert IN_IO in opened
    assert closed == f"StorageClass c: recovered after 2 min: {IN_IO}."


def test_a_cordon_mends_nothing() -> None:
    _, closed = told([FAILS, (OPEN_SECONDS, World.cordon)])
    assert ", recovery not confirmed: " in closed
    assert f": node {NODE} is under maintenance (NodeCordoned): {IN_IO}." in closed


def test_a_node_that_is_removed_takes_its_incident_along() -> None:
    _, closed = told([FAILS, (OPEN_SECONDS, World.delete_node)])
    assert "closed after" in closed
    assert closed.endswith(f": its targets no longer exist: {IN_IO}.")


def test_after_maintenance_two_bad_runs_are_needed_again_and_the_incident_begins_with_the_first() -> None:
    cordoned, uncordoned = OPEN_SECONDS, OPEN_SECONDS + 300
    first, closed, second = told([FAILS, (cordoned, World.cordon), (uncordoned, World.uncordon)])
    assert since(first) < cordoned
    assert "recovery not confirmed" in closed
    assert since(second) >= uncordoned


@pytest.mark.parametrize("lasting_seconds", [3, 200])
def test_a_bad_run_before_and_one_after_maintenance_are_not_two_in_a_row(lasting_seconds: int) -> None:
    ending = ONE_BAD_SECONDS + lasting_seconds
    next_run = (ending // 60 + 1) * 60
    script = [
        FAILS,
        (ONE_BAD_SECONDS, World.cordon),
        (ending, World.uncordon),
        (next_run + 40, WELL),
    ]
    assert told(script) == []


def test_maintenance_that_ends_before_anybody_looks_leaves_the_incident_to_the_next_run() -> None:
    opened, closed = told(
        [FAILS, (OPEN_SECONDS, World.cordon), (OPEN_SECONDS + 2, World.uncordon), (230, WELL)]
    )
    assert "recovered after" in closed
    assert IN_IO in opened


def test_a_class_that_is_in_maintenance_is_no_longer_judged_either() -> None:
    spec = {"disableProvisionProbe": False, "disableMountProbes": True}
    opened, closed = told([FAILS, (OPEN_SECONDS + 60, World.cordon)], spec=spec)
    assert "in the whole class" in opened
    assert ": all nodes are under maintenance (NoUsableNode): " in closed


def test_data_that_was_found_corrupted_is_so_in_maintenance_too() -> None:
    assert len(told([(80, storage("corrupts")), (OPEN_SECONDS, World.cordon)])) == 1
    found_then = [(123, World.cordon), (200, World.uncordon)]
    (opened,) = told([(80, storage("corrupts")), *found_then], seconds=230)
    assert "DataCorrupted" in opened


def test_how_it_closed_does_not_depend_on_how_late_the_node_is_seen() -> None:
    script = [FAILS, (OPEN_SECONDS, World.cordon)]
    _, closed = told(script, lag=with_gaps([("nodes", OPEN_SECONDS - 5, 40)]))
    assert f": node {NODE} is under maintenance (NodeCordoned): {IN_IO}." in closed


def test_a_node_that_is_cordoned_while_no_controller_runs_closes_its_incident_unmended() -> None:
    opened, closed = told_with_restart([FAILS], OPEN_SECONDS, World.cordon, [])
    assert IN_IO in opened
    assert f": node {NODE} is under maintenance (NodeCordoned): {IN_IO}." in closed


def test_a_node_that_is_removed_while_no_controller_runs_takes_its_incident_along() -> None:
    _, closed = told_with_restart([FAILS], OPEN_SECONDS, World.delete_node, [])
    assert closed.endswith(f": its targets no longer exist: {IN_IO}.")


def test_a_controller_that_starts_in_the_middle_of_maintenance_counts_anew_from_its_end_too() -> None:
    script: Script = [FAILS, (OPEN_SECONDS, World.cordon)]
    restarted, uncordoned = 250, (50, World.uncordon)
    _, _, second = told_with_restart(script, restarted, storage("fails"), [uncordoned])
    assert since(second) >= restarted + 50
    mended_after_one = [uncordoned, (100, WELL)]
    assert len(told_with_restart(script, restarted, storage("fails"), mended_after_one)) == 2
