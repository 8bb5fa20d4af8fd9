"""No target counts as well without a recent good run."""

from dataclasses import replace

import msgspec
import pytest

from pie.core.batch.cron import Cron
from pie.core.maintenance.now import Suppression
from pie.core.model import Stage, Verdict
from pie.core.preflight import Pause
from pie.core.reasons import Reason
from pie.core.target.effects import SetVerdict
from pie.core.target.facts import NodesFact, TargetFacts
from pie.core.target.state import BadStreak, Standing, TargetState
from pie.core.target.step import Step, step
from tests.core.build import MOUNT, probe

BEGAN = 1_700_000_040.0
PROBE = probe()
PERIOD = PROBE.period_seconds
FACTS = TargetFacts(known=True, probe=PROBE, led_since=BEGAN, calendar=Cron(0, PERIOD, PROBE.minute_seconds))
GOOD = Standing(Verdict.OK, Reason.OK, due=BEGAN + PERIOD, last_ok=BEGAN + PERIOD)
CORDONED = Suppression(Reason.NODE_CORDONED, "", BEGAN)
STREAK = BadStreak(Stage.MOUNT, Reason.MOUNT_FAILED, "", "n1", BEGAN, 2, BEGAN, BEGAN)


def begun(standing: Standing = GOOD) -> TargetState:
    return msgspec.structs.replace(step(TargetState(MOUNT), FACTS, BEGAN).state, standing=standing)


def verdicts(done: Step) -> list[Verdict]:
    return [each.verdict for each in done.effects if isinstance(each, SetVerdict)]


def test_a_target_that_was_good_is_unknown_after_three_periods_without_a_good_run() -> None:
    before = step(begun(), FACTS, GOOD.last_ok + 3 * PERIOD - 1)
    assert before.state.standing.verdict is Verdict.OK
    assert before.wake_at is not None
    assert before.wake_at <= GOOD.last_ok + 3 * PERIOD
    then = step(before.state, FACTS, GOOD.last_ok + 3 * PERIOD)
    assert verdicts(then) == [Verdict.UNKNOWN]
    shown = then.state.standing
    assert (shown.reason, shown.since, shown.last_ok) == (Reason.NO_RECENT_RUN, GOOD.last_ok, GOOD.last_ok)
    assert "no good run since 2023-11-14T22:15:00Z" in shown.message
    assert verdicts(step(then.state, FACTS, GOOD.last_ok + 9 * PERIOD)) == []


def test_a_target_that_never_had_a_run_is_unknown_three_periods_after_it_began() -> None:
    assert step(begun(Standing()), FACTS, BEGAN + 3 * PERIOD - 1).state.standing.verdict is Verdict.PENDING
    assert step(begun(Standing()), FACTS, BEGAN + 3 * PERIOD).state.standing.verdict is Verdict.UNKNOWN


def test_one_that_could_not_be_tested_for_so_long_says_why() -> None:
    pulls = replace(GOOD, verdict=Verdict.INCONCLUSIVE, reason=Reason.IMAGE_PULL, message="no such host")
    shown = step(begun(pulls), FACTS, GOOD.last_ok + 3 * PERIOD).state.standing
    assert (shown.verdict, shown.reason, shown.message) == (
        Verdict.UNKNOWN,
        Reason.IMAGE_PULL,
        "no such host",
    )


@pytest.mark.parametrize(
    "facts",
    [
        replace(FACTS, nodes=NodesFact(CORDONED, BEGAN)),
        replace(FACTS, paused_by=Pause(Reason.RECLAIM_POLICY_RETAIN, "")),
        replace(FACTS, nodes=NodesFact(judged_since=GOOD.last_ok + 3 * PERIOD)),
    ],
    ids=["suppressed", "paused", "maintenance just ended"],
)
def test_one_that_is_suppressed_or_paused_is_not_unknown(facts: TargetFacts) -> None:
    assert verdicts(step(begun(), facts, GOOD.last_ok + 5 * PERIOD)) == []


def test_one_that_is_bad_stays_bad() -> None:
    bad = msgspec.structs.replace(begun(replace(GOOD, verdict=Verdict.LATE)), bad=STREAK)
    assert step(bad, FACTS, GOOD.last_ok + 9 * PERIOD).state.standing.verdict is Verdict.LATE
