"""`spec.runner` of a live PieProbe is changed: each due time counts once, and a target never has two pods."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from pie.core.model import RunnerKind, Verdict
from pie.core.reasons import Reason
from pie.core.target.facts import Switched
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    FAULTS,
    GAPS,
    MAINTENANCE,
    SPEC,
    TARGETS,
    WELL,
    Action,
    Lag,
    Outcome,
    Script,
    at_once,
    quick,
    scripts,
    spec_change,
    storage,
    with_gaps,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, PROBE, T0, TARGET, World

QUIET_SECONDS = 400
SLACK_SECONDS = 3.0
OTHER_RUNNER = {RunnerKind.POD: RunnerKind.CRON_JOB, RunnerKind.CRON_JOB: RunnerKind.POD}
both_ways = pytest.mark.parametrize("first", list(RunnerKind))


def runner(kind: RunnerKind) -> Action:
    """Return the action that makes the runner of the PieProbe so."""
    return spec_change(runner=kind.value)


class Switch:
    """What came of a story in which the runner is changed at a second."""

    def __init__(
        self, first: RunnerKind, script: Script, at: int = 200, lag: Lag = at_once, *nodes: str
    ) -> None:
        self.most_on_node = 0
        self.both: list[str] = []
        self.at = T0 + at
        self.first = first
        with capture_logs() as lines:
            in_virtual_time(self._play([*script, (at, runner(OTHER_RUNNER[first]))], lag, nodes, lines))

    async def _play(self, script: Script, lag: Lag, nodes: tuple[str, ...], lines: Any) -> None:
        self.simulation = Simulation(lag)
        self.simulation.world.each_second["pods"] = self._note
        self.simulation.world.begin({**SPEC, "runner": self.first.value}, *nodes)
        last = max(at for at, _ in script)
        await self.simulation.run(last + QUIET_SECONDS, [*script, *((last + 1, action) for action in WELL)])
        self.outcome = Outcome(self.simulation, lines)

    def _note(self, world: World) -> None:
        pods = [each["metadata"] for each in world.objects["pods"].values()]
        on_node = [each for each in pods if each["labels"].get("node") == NODE]
        self.most_on_node = max(self.most_on_node, len(on_node))

    def wrong(self) -> list[str]:
        """Return which due times were not counted once; around the switch either calendar is right."""
        found = []
        runners, probe = self.simulation.controller.runner, self.simulation.controller.probes.spec(PROBE)
        assert probe is not None
        for target in self.outcome.calendars:
            state = self.simulation.controller.targets.get(target)
            assert state is not None
            at = state.switched_at
            before, after = (runners.calendar(probe, target, kind) for kind in (self.first, probe.runner))
            calendar = Switched(before, at, after)
            since = T0 + 5
            for begin, end in ((since, at - SLACK_SECONDS), (at + SLACK_SECONDS, self.outcome.end)):
                found += self.outcome.accounts.errors_by(target, calendar, begin, end)
            around = self.outcome.accounts.errors_by(target, calendar, at - SLACK_SECONDS, at + SLACK_SECONDS)
            found += [each for each in around if "0 times" not in each]
        return found


@both_ways
@pytest.mark.parametrize("at", [150, 171, 180, 181, 192, 200])
def test_the_runner_of_a_pieprobe_is_changed_and_all_stays_well(first: RunnerKind, at: int) -> None:
    switch = Switch(first, [], at)
    assert switch.wrong() == []
    assert switch.outcome.counted_as() <= {"on time", Reason.NO_CONTROLLER}
    assert {verdict for verdict, _ in switch.outcome.states.values()} == {Verdict.OK}
    assert switch.most_on_node == 1
    cronjobs = switch.simulation.world.objects["cronjobs"]
    assert bool(cronjobs) is (first is RunnerKind.POD)
    assert not any(each["spec"]["suspend"] for each in cronjobs.values())
    for target in TARGETS.values():
        assert switch.outcome.accounts.as_what(target)[Reason.NO_CONTROLLER] <= 1


def test_a_period_of_seconds_is_set_together_with_the_runner() -> None:
    def in_seconds(world: World) -> None:
        runner(RunnerKind.POD)(world)
        found = world.objects["pieprobes"]["p"]
        spec = {**found["spec"], "probePeriodSeconds": 30, "deadline": "30s"}
        world.put("pieprobes", {**found, "spec": spec})

    switch = Switch(RunnerKind.CRON_JOB, [(199, in_seconds)], 200)
    assert not switch.simulation.world.objects["cronjobs"]
    assert switch.outcome.accounts.as_what(TARGET)["on time"] >= 3 + QUIET_SECONDS // 30 - 2
    assert switch.outcome.counted_as() <= {"on time", Reason.NO_CONTROLLER}


@both_ways
@pytest.mark.parametrize("state", ["hangs", "does not mount", "fails"])
def test_a_target_has_one_pod_across_runners_also_while_a_run_hangs(first: RunnerKind, state: str) -> None:
    switch = Switch(first, [(90, storage(state)), (420, storage("well"))], 200)
    assert switch.most_on_node == 1
    assert switch.wrong() == []
    assert {verdict for verdict, _ in switch.outcome.states.values()} == {Verdict.OK}


def test_a_pod_that_outlives_its_job_keeps_pie_from_starting_another_one() -> None:
    def collector_stands_still(world: World) -> None:
        world.collector_seconds = 150

    switch = Switch(RunnerKind.CRON_JOB, [(150, collector_stands_still)], 190)
    assert switch.most_on_node == 1
    assert "late" in switch.outcome.accounts.as_what(TARGET)


@both_ways
@quick
@given(scripts([*MAINTENANCE, *FAULTS]), st.integers(70, 330), GAPS)
def test_every_due_time_is_counted_once_whenever_the_runner_is_changed(
    first: RunnerKind, script: Script, at: int, gaps: list[tuple[str, int, int]]
) -> None:
    switch = Switch(first, script, at, with_gaps(gaps))
    assert switch.wrong() == []
