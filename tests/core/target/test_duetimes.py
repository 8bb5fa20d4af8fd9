"""A due time without a run is settled once it is known that there is none."""

from dataclasses import replace

import pytest

from pie.core.batch.cron import cron
from pie.core.reasons import Reason
from pie.core.target.effects import Ask, CountInconclusive, CountOnTime, Question
from pie.core.target.facts import NodesFact, ScheduleFact, TargetFacts
from pie.core.target.state import TargetState
from pie.core.target.step import Step, step
from tests.core.build import MOUNT, probe

BEGAN = 1_700_000_040.0
DUE = BEGAN + 60
PROBE = probe()
LATE_AT = DUE + max(PROBE.threshold_seconds, 30)
FACTS = TargetFacts(
    known=True,
    probe=PROBE,
    led_since=BEGAN,
    calendar=cron(MOUNT, PROBE.period_seconds, PROBE.minute_seconds),
    schedule=ScheduleFact(since=BEGAN - 10),
)


def settled(now: float, known_until: float, *, last_started: float = 0.0, before: Step | None = None) -> Step:
    """Return the step at `now`, with watches that are complete up to `known_until`."""
    state = before.state if before is not None else step(TargetState(MOUNT), FACTS, BEGAN).state
    facts = replace(
        FACTS,
        schedule=ScheduleFact(since=BEGAN - 10, last_started=last_started),
        runs_as_of=known_until,
        nodes=NodesFact(as_of=known_until),
    )
    return step(state, facts, now)


def test_it_is_late_once_the_watches_show_that_there_is_no_run() -> None:
    assert CountOnTime(DUE, on_time=False) in settled(LATE_AT, LATE_AT).effects


@pytest.mark.parametrize("last_started", [0.0, DUE])
def test_while_the_watches_are_behind_nothing_is_counted_and_they_are_asked(last_started: float) -> None:
    effects = settled(LATE_AT, LATE_AT - 1, last_started=last_started).effects
    assert Ask(Question.RUNS) in effects
    assert not [each for each in effects if isinstance(each, CountOnTime | CountInconclusive)]


def test_a_run_that_the_schedule_says_it_started_is_deleted_only_if_the_watch_of_runs_reaches_as_far() -> (
    None
):
    first = settled(LATE_AT + 1, LATE_AT, last_started=DUE)
    assert not [each for each in first.effects if isinstance(each, CountInconclusive)]
    then = settled(LATE_AT + 6, LATE_AT + 1, last_started=DUE, before=first)
    assert CountInconclusive(DUE, Reason.JOB_DELETED) in then.effects
