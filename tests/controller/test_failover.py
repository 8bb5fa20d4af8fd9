"""`runner: Pod` when the leader changes: each due time once, and never two pods."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from pie.core.model import Verdict
from pie.core.reasons import Reason
from pie.core.wire import rfc3339
from pie.kube.leader import Reign
from tests.controller.actors import tick
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    FAULTS,
    MAINTENANCE,
    SPEC,
    TARGETS,
    WELL,
    Outcome,
    Script,
    at_once,
    quick,
    scripts,
    storage,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, PROVISION, T0, TARGET, World

POD = {**SPEC, "runner": "Pod"}
RENEW_SECONDS = 5
QUIET_SECONDS = 300


class Pods:
    """The pods that there were, and how many at once."""

    def __init__(self, world: World) -> None:
        self.names: dict[str, str] = {}
        self.most_on_node = 0
        world.each_second["pods"] = self._note

    def _note(self, world: World) -> None:
        found = [pod["metadata"] for pod in world.objects["pods"].values()]
        self.names |= {each["uid"]: each["name"] for each in found}
        on_node = [each for each in found if each["labels"].get("node") == NODE]
        self.most_on_node = max(self.most_on_node, len(on_node))

    def doubled(self) -> list[str]:
        """Return the names that more than one pod had: each is of one due time."""
        return [name for name, times in Counter(self.names.values()).items() if times > 1]


def taken_over(
    script: Script, *, dies: int, gap: int, released: bool = False, spec: dict[str, Any] = POD
) -> tuple[Outcome, Pods]:
    """Play a story in which a leader ends at a second, and another one leads so many seconds later."""

    async def play() -> tuple[Outcome, Pods]:
        first = Simulation(at_once)
        first.world.begin(spec)
        pods = Pods(first.world)
        await first.run(dies, [each for each in script if each[0] < dies])
        later = [(at - dies - gap, action) for at, action in script if at >= dies]
        for second in range(gap):
            for _, action in [each for each in later if each[0] + gap == second]:
                action(first.world)
            tick(first.world)
            await asyncio.sleep(1)
        renewed = T0 + (dies if released else dies - dies % RENEW_SECONDS)
        since = first.now() if released else max(first.now(), renewed + RENEW_SECONDS)
        second_leader = Simulation(at_once, first, reign=Reign(since, renewed))
        rest = [each for each in later if each[0] >= 0]
        last = max([0, *(at for at, _ in rest)])
        await second_leader.run(last + QUIET_SECONDS, [*rest, *((last + 1, action) for action in WELL)])
        return Outcome(second_leader, lines), pods

    with capture_logs() as lines:
        return in_virtual_time(play())


def wrong(outcome: Outcome, dies: int) -> list[str]:
    """Return which due times were not counted once.

    What became of a run that goes on while the leader changes, both leaders may have counted.
    """
    found = []
    for target, (since, calendar) in outcome.calendars.items():
        before = outcome.accounts.errors_by(target, calendar, since, T0 + dies)
        found += [each for each in before if "counted 2 times" not in each]
        found += outcome.accounts.errors_by(target, calendar, max(since, T0 + dies), outcome.end)
    return found


@pytest.mark.parametrize("gap", [0, 1, 7, 20, 75, 300])
@pytest.mark.parametrize("released", [True, False])
def test_due_times_while_nobody_led_are_inconclusive_and_all_others_are_on_time(
    gap: int,
    released: bool,
) -> None:
    outcome, pods = taken_over([], dies=150, gap=gap, released=released)
    assert outcome.errors(outcome.end) == []
    assert outcome.counted_as() <= {"on time", Reason.NO_CONTROLLER}
    assert pods.doubled() == []
    for target in TARGETS.values():
        assert outcome.accounts.as_what(target)[Reason.NO_CONTROLLER] <= gap // 60 + 1
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}


def test_after_a_long_absence_sixteen_due_times_are_counted_at_most() -> None:
    outcome, _ = taken_over([], dies=150, gap=3600)
    assert outcome.accounts.as_what(TARGET)[Reason.NO_CONTROLLER] == 16


def test_a_node_in_maintenance_is_why_its_due_times_had_no_run_while_nobody_led() -> None:
    outcome, _ = taken_over([(100, World.cordon)], dies=150, gap=200)
    assert Reason.NO_CONTROLLER not in outcome.accounts.as_what(TARGET)
    assert outcome.accounts.as_what(TARGET)[Reason.NODE_CORDONED] >= 3


def test_a_thinned_due_time_that_nobody_led_at_is_counted_and_no_other() -> None:
    begin, gap = 250, 400
    outcome, _ = taken_over([], dies=begin, gap=gap, spec={**POD, "budget": 0.25})
    for target, (since, calendar) in outcome.calendars.items():
        counted = outcome.accounts.errors_by(target, calendar, max(since, T0 + 70), outcome.end)
        assert counted == []
        due = calendar.dues_between(T0 + begin, T0 + begin + gap, limit=99)
        assert len(due) <= gap / 180 + 1
        assert outcome.accounts.as_what(target)[Reason.NO_CONTROLLER] in {len(due), len(due) + 1}


def test_since_when_a_target_is_paused_survives_the_leader() -> None:
    since: list[float | None] = []

    async def play() -> None:
        first = Simulation(at_once)
        first.world.begin(POD)
        await first.run(200, [(100, World.cordon)])
        for simulation in (first, Simulation(at_once, first, reign=Reign(first.now(), first.now()))):
            if simulation is not first:
                await simulation.run(60, [])
            since.extend(simulation.controller.runner.paused_since(each) for each in (TARGET, PROVISION))
        status = first.world.objects["pieprobes"]["p"]["status"]
        assert status["provisionPausedSince"] == rfc3339(T0 + 100)
        last = Simulation(at_once, first)
        await last.run(60, [(0, World.uncordon)])
        assert "provisionPausedSince" not in first.world.objects["pieprobes"]["p"]["status"]

    in_virtual_time(play())
    assert since == [T0 + 100] * 4


@pytest.mark.parametrize("state", ["fails", "hangs", "does not mount"])
def test_a_run_that_a_former_leader_started_is_judged(state: str) -> None:
    due = outcome_of_due()
    outcome, pods = taken_over([(90, storage(state))], dies=due + 2, gap=20)
    assert wrong(outcome, due + 2) == []
    assert pods.most_on_node == 1
    if state == "does not mount":
        assert outcome.accounts.as_what(TARGET)["late"] >= 1


def outcome_of_due() -> int:
    """Return a second at which the run of the mount target is due."""
    outcome, _ = taken_over([], dies=10, gap=0)
    _, calendar = outcome.calendars[TARGET]
    return int(calendar.next_due(T0 + 110) - T0)


@quick
@given(scripts([*MAINTENANCE, *FAULTS]), st.integers(60, 300), st.integers(0, 150), st.booleans())
def test_every_due_time_is_counted_exactly_once_whenever_the_leader_changes(
    script: Script, dies: int, gap: int, released: bool
) -> None:
    outcome, pods = taken_over(script, dies=dies, gap=gap, released=released)
    assert wrong(outcome, dies) == []
    assert pods.doubled() == []
    assert pods.most_on_node <= 1


@quick
@given(scripts([*MAINTENANCE, *FAULTS]), st.integers(60, 200), st.integers(0, 5))
def test_two_leaders_at_once_never_start_a_second_pod(script: Script, second: int, lag: int) -> None:
    async def play() -> Pods:
        one = Simulation(at_once)
        one.world.begin(POD)
        pods = Pods(one.world)
        await one.run(second, [each for each in script if each[0] < second])
        rest = [(at - second, action) for at, action in script if at >= second]
        other = Simulation(lambda _kind, _second: lag, one, reign=Reign(one.now()))
        again = Simulation(at_once, one, reign=Reign(one.now()))
        await asyncio.gather(again.run(200, rest), other.run(200, []))
        return pods

    pods = in_virtual_time(play())
    assert pods.doubled() == []
    assert pods.most_on_node <= 1
