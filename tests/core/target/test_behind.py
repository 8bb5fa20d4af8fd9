"""While a watch is behind, nothing is concluded from what it does not show."""

from dataclasses import replace

import pytest

from pie.core.batch.cron import cron
from pie.core.reasons import Reason
from pie.core.run import RunFact
from pie.core.target.effects import Ask, CountInconclusive, CountOnTime, Question
from pie.core.target.facts import ScheduleFact, TargetFacts
from pie.core.target.state import TargetState
from pie.core.target.step import Step, step
from tests.core.build import MOUNT, T0, pod, probe
from tests.core.target.build import known

FACTS = TargetFacts(
    known=True,
    probe=probe(),
    calendar=cron(MOUNT, 60, 60),
    schedule=ScheduleFact(since=T0 - 100),
)
WITHOUT_POD = RunFact("run", T0, T0)


def looked_at(run: RunFact, *, pods: float, runs: float, now: float, before: TargetState) -> Step:
    """Return a step in which pods and runs are known up to so many seconds after T0."""
    facts = replace(known(FACTS, pods, run), runs_as_of=T0 + runs)
    return step(before, facts, T0 + now)


def counted(done: Step) -> list[CountOnTime | CountInconclusive]:
    """Return what a step counts."""
    return [each for each in done.effects if isinstance(each, CountOnTime | CountInconclusive)]


def until_counted(run: RunFact, done: Step) -> list[CountOnTime | CountInconclusive]:
    """Return what is counted of a run in the next steps, in which all is known."""
    while not counted(done) and done.wake_at is not None:
        now = done.wake_at - T0
        done = looked_at(run, pods=now, runs=now, now=now, before=done.state)
    return counted(done)


def test_a_run_without_a_pod_is_late_only_once_it_is_known_that_it_has_not_ended() -> None:
    done = looked_at(WITHOUT_POD, pods=40, runs=20, now=40, before=TargetState(MOUNT))
    assert counted(done) == []
    assert [each for each in done.effects if isinstance(each, Ask)] == [Ask(Question.RUNS)]
    assert until_counted(WITHOUT_POD, done) == [CountOnTime(T0, on_time=False)]


def test_a_run_without_a_pod_that_is_seen_later_to_have_ended_in_time_is_not_late() -> None:
    done = looked_at(WITHOUT_POD, pods=40, runs=20, now=40, before=TargetState(MOUNT))
    ended = replace(WITHOUT_POD, over_at=T0 + 25)
    assert until_counted(ended, done) == [CountInconclusive(T0, Reason.POD_DELETED)]


@pytest.mark.parametrize("waits", [WITHOUT_POD, replace(WITHOUT_POD, pod=pod(unschedulable="waits"))])
def test_a_bad_run_is_not_looked_at_all_the_time_while_a_watch_does_not_reach_the_next_due_time(
    waits: RunFact,
) -> None:
    state, now = TargetState(MOUNT), 70.0
    for _ in range(10):
        done = looked_at(waits, pods=now, runs=now, now=now, before=state)
        state, now = done.state, now + 4.0
    assert state.bad is not None
    at = now + 60.0
    done = looked_at(waits, pods=now, runs=now, now=at, before=state)
    assert done.wake_at is not None
    assert done.wake_at >= T0 + at + 1.0
