"""A PieProbe that the user pauses has no due times, and none is lost or counted twice around that."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pie.core.model import RunnerKind, Verdict
from pie.core.reasons import Reason
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    END,
    GAPS,
    SPEC,
    Outcome,
    Script,
    cronjobs_go_on,
    cronjobs_stand_still,
    played,
    quick,
    storage,
    with_gaps,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import T0, TARGET, World

on_each_runner = pytest.mark.parametrize("runner", list(RunnerKind))
few = settings(quick, max_examples=6)
NOTICED_SECONDS = 50
"""A pause is noticed so late, if watches have gaps."""


def paused(world: World, *, paused: bool = True) -> None:
    probe = world.objects["pieprobes"]["p"]
    world.put("pieprobes", {**probe, "spec": {**probe["spec"], "paused": paused}})


def resumed(world: World) -> None:
    paused(world, paused=False)


def condition(world: World, kind: str) -> dict[str, Any]:
    status = world.objects["pieprobes"]["p"]["status"]
    return next(each for each in status["conditions"] if each["type"] == kind)


def wrongly_counted(outcome: Outcome, pause: float, resume: float, slack: float = 2.0) -> list[str]:
    """Return which due times outside the pause were not counted once, and those in it that were counted.

    For the first moments of the pause either is right: Kubernetes may start a run before pie suspends it.
    """
    errors = [*outcome.errors(T0 + pause)]
    for target, (since, calendar) in outcome.calendars.items():
        errors += outcome.accounts.errors_by(target, calendar, max(since, T0 + resume), END)
        begin = max(since, T0 + pause + slack)
        inside = outcome.accounts.errors_by(target, calendar, begin, T0 + resume)
        dues = len(calendar.dues_between(begin, T0 + resume, limit=100))
        untouched = [each for each in inside if "was counted 0 times" in each]
        errors += [each for each in inside if each not in untouched]
        errors += [f"{target}: {dues - len(untouched)} counted in the pause"] if len(untouched) < dues else []
    return errors


@on_each_runner
def test_a_paused_pieprobe_has_no_due_times_and_goes_on_after_it(runner: RunnerKind) -> None:
    outcome = played([(130, paused), (330, resumed)], runner=runner)
    assert wrongly_counted(outcome, 130, 330) == []
    assert outcome.counted_as() == {"on time"}
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}
    assert outcome.incidents == set()


@on_each_runner
@few
@given(st.integers(70, 250), st.integers(0, 120), GAPS)
def test_no_due_time_is_lost_or_counted_twice(
    runner: RunnerKind, at: int, seconds: int, gaps: list[tuple[str, int, int]]
) -> None:
    outcome = played([(at, paused), (at + seconds, resumed)], with_gaps(gaps), runner=runner)
    assert wrongly_counted(outcome, at, at + seconds, NOTICED_SECONDS) == []
    assert "late" not in outcome.counted_as()


@on_each_runner
@few
@given(st.integers(70, 250), st.integers(0, 120), st.sampled_from(["does not mount", "hangs", "fails"]))
def test_bad_storage_is_not_counted_in_the_pause(
    runner: RunnerKind, at: int, seconds: int, state: str
) -> None:
    # A run that hangs goes on until its deadline, and blocks no due time in the pause.
    outcome = played(
        [(65, storage(state)), (at, paused), (at + seconds, resumed), (at + seconds, storage("well"))],
        runner=runner,
    )
    assert wrongly_counted(outcome, at, at + seconds) == []
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}


@on_each_runner
@few
@given(st.lists(st.integers(70, 330), min_size=1, max_size=6), st.sampled_from(["well", "hangs", "fails"]))
def test_however_often_it_is_paused_and_resumed(runner: RunnerKind, toggles: list[int], state: str) -> None:
    script: Script = [(65, storage(state)), (331, resumed), (331, storage("well"))]
    script += [(at, (paused, resumed)[i % 2]) for i, at in enumerate(sorted(toggles))]
    outcome = played(script, runner=runner)
    twice = [each for each in outcome.errors(END) if "was counted 0 times" not in each]
    assert twice == []
    for target, (since, calendar) in outcome.calendars.items():
        assert outcome.accounts.errors_by(target, calendar, max(since, T0 + 331), END) == []
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}


@on_each_runner
def test_one_that_is_created_paused_has_no_objects_until_it_is_resumed(runner: RunnerKind) -> None:
    found: list[set[str]] = []

    def note(world: World) -> None:
        kinds = ("persistentvolumeclaims", "cronjobs", "jobs", "pods")
        found.append({kind for kind in kinds if world.objects[kind]})

    outcome = played([(1, note), (150, note), (151, resumed)], spec={**SPEC, "paused": True}, runner=runner)
    assert found == [set(), set()]
    assert wrongly_counted(outcome, 0, 151) == []
    assert outcome.counted_as() == {"on time"}
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}


@pytest.mark.parametrize(("state", "counted"), [("well", "true"), ("fails", "false")])
def test_a_run_that_goes_on_when_the_pieprobe_is_paused_is_judged(state: str, counted: str) -> None:
    outcome = played([(115, storage(state)), (122, paused)])
    assert outcome.accounts.as_what(TARGET)["on time"] == 2, "those of the minutes 1 and 2"
    assert outcome.io[counted] == (2 if state == "well" else 1)
    assert wrongly_counted(outcome, 122, END - T0) == []
    assert set(outcome.states.values()) == {(Verdict.UNKNOWN, Reason.PAUSED)}


def test_a_due_time_that_pie_suspended_before_its_run_started_is_inconclusive() -> None:
    slow: Script = [(119, cronjobs_stand_still), (123, cronjobs_go_on)]
    outcome = played([*slow, (121, paused)])
    assert outcome.accounts.as_what(TARGET) == {"on time": 1, Reason.PAUSED: 1}


def test_what_is_shown_and_kept_while_it_is_paused_also_by_a_new_controller() -> None:
    worlds: list[World] = []

    async def play() -> None:
        first = Simulation(lambda _kind, _second: 0)
        first.world.begin(SPEC)
        await first.run(320, [(70, storage("fails")), (250, paused)])
        assert 'pie_probe_paused{pie_probe_name="p",storage_class="c"} 1.0' in first.metrics()
        assert "pie_target_healthy{" not in first.metrics()
        worlds.append(first.world)
        claims, jobs = set(first.world.objects["persistentvolumeclaims"]), set(first.world.objects["jobs"])
        second = Simulation(lambda _kind, _second: 0, first)
        await second.run(200, [(10, lambda world: world.add_node("n2"))])
        assert set(second.world.objects["persistentvolumeclaims"]) == claims
        assert set(second.world.objects["jobs"]) <= jobs

    in_virtual_time(play())
    (world,) = worlds
    assert {each["spec"]["suspend"] for each in world.objects["cronjobs"].values()} == {True}
    assert condition(world, "Paused")["status"] == "True"
    ready = condition(world, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "Paused")
    assert condition(world, "MountHealthy")["status"] == "Unknown"
    status = world.objects["pieprobes"]["p"]["status"]
    assert status["summary"] == "not probed: Paused"
    assert {each["closedMessage"] for each in status["incidents"]} == {"the PieProbe is paused"}


def test_data_that_was_corrupted_stays_an_incident_while_it_is_paused() -> None:
    outcome = played([(70, storage("corrupts")), (200, paused)])
    assert ("io", "DataCorrupted") in outcome.incidents


@pytest.mark.parametrize("maintenance", [World.cordon, World.power_off])
def test_maintenance_of_a_paused_node_is_not_counted(maintenance: Any) -> None:
    script: Script = [(130, paused), (150, maintenance), (250, World.uncordon), (250, World.power_on)]
    outcome = played([*script, (330, resumed)])
    assert wrongly_counted(outcome, 130, 330) == []
    assert "late" not in outcome.counted_as()


def test_a_cronjob_that_somebody_resumes_is_suspended_again() -> None:
    def resume_cronjobs(world: World) -> None:
        for each in list(world.objects["cronjobs"].values()):
            metadata = {**each["metadata"], "generation": each["metadata"].get("generation", 1) + 1}
            world.put("cronjobs", {**each, "metadata": metadata, "spec": {**each["spec"], "suspend": False}})

    outcome = played([(130, paused), (200, resume_cronjobs)])
    # Those of the minutes 1 and 2, and the one of minute 3 that Kubernetes starts at once.
    assert outcome.accounts.as_what(TARGET) == {"on time": 3}
