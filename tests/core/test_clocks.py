"""A node's clock may be minutes ahead or behind: that changes no verdict."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.integrity import VolumeMemory, judge_records
from pie.core.judge import Judgement, judge
from pie.core.maintenance.excuse import excuse, lived_until
from pie.core.maintenance.history import NodeHistory, Span, observe
from pie.core.maintenance.now import Suppression
from pie.core.model import Target, Verdict
from pie.core.reasons import Reason
from pie.core.result import Outcome, RecordStats
from pie.core.timeline import Run
from pie.core.wire import Pod
from tests.core.build import MOUNT, PROVISION, T0, message, pod, probe, run
from tests.core.nodes import node

PROBE = probe()
BY_KUBELET = frozenset({"acknowledged", "started", "ended"})


def shown(moments: dict[str, float], outcome: Outcome | None, ahead: float) -> Pod:
    """Return a pod as the API server shows it, whose kubelet's clock is so far ahead."""
    stamps: dict[str, Any] = {
        name: moment + ahead if name in BY_KUBELET else moment for name, moment in moments.items()
    }
    text = message(outcome) if outcome is not None else ""
    return pod(**stamps, message=text, exit_code=0 if outcome is Outcome.OK else 1)


@st.composite
def lives(draw: st.DrawFn) -> dict[str, float]:
    """When what happened in a run, each step quick or slow; some runs stop somewhere."""
    steps = draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, 29.0, 31.0, 70.0]), max_size=4))
    names = ("scheduled", "acknowledged", "started", "ended")
    return {name: sum(steps[: count + 1]) for count, (name, _) in enumerate(zip(names, steps, strict=False))}


def excused(case: Run, history: NodeHistory, now: float) -> Judgement:
    """Judge a run with what its node went through."""
    judgement = judge(case, PROBE, now)
    span = history.during(case.created_seconds, lived_until(case, judgement, now))
    return excuse(judgement, case, PROBE, span, now)


def cordoned(since: float, until: float | None) -> NodeHistory:
    why = Suppression(Reason.NODE_CORDONED, "cordoned", T0 + since)
    return NodeHistory(spans=(Span(why, T0 + since, None if until is None else T0 + until),))


MAINTENANCE = [NodeHistory()] + [
    cordoned(since, until) for since in (-50.0, 0.0, 5.0, 33.0, 60.0, 150.0) for until in (since + 10.0, None)
]


@given(lives(), st.sampled_from([MOUNT, PROVISION]), st.sampled_from(MAINTENANCE), st.data())
def test_no_verdict_depends_on_the_clock_of_its_node(
    moments: dict[str, float], target: Target, history: NodeHistory, data: st.DataObject
) -> None:
    outcome = data.draw(st.sampled_from([Outcome.OK, Outcome.IO_ERROR, Outcome.KILLED, None]))
    ahead = data.draw(st.integers(-600, 600))
    words: dict[str, Any] = {"over": "ended" in moments}
    if "ended" in moments and data.draw(st.booleans()):
        words["over_at"] = T0 + moments["ended"] + 1  # the Job's controller sees it a moment later
    right, wrong = (run(shown(moments, outcome, clock), target, **words) for clock in (0, ahead))
    now = T0 + max(moments.values(), default=0.0) + data.draw(st.floats(0, 900))
    assert excused(wrong, history, now) == excused(right, history, now)


@pytest.mark.parametrize("ahead", [-600, -23, 0, 23, 600])
def test_a_run_that_a_cordon_ended_in_mid_run_is_excused_and_one_that_failed_before_is_not(
    ahead: float,
) -> None:
    killed = run(shown({"scheduled": 0, "acknowledged": 0, "started": 1, "ended": 20}, None, ahead))
    assert excused(killed, cordoned(15, None), T0 + 21).verdict is Verdict.SUPPRESSED
    assert excused(killed, cordoned(30, None), T0 + 31).verdict is Verdict.INCONCLUSIVE
    judgement = judge(killed, PROBE, T0 + 900)
    assert T0 <= lived_until(killed, judgement, T0 + 900) <= T0 + 24


@given(st.lists(st.floats(-600, 600), min_size=3, max_size=3), st.permutations(range(3)))
def test_records_are_in_order_of_due_time_whatever_order_they_are_read_in(
    clocks: list[float], order: list[int]
) -> None:
    # Each node's clock would tell another order; none is asked.
    assert clocks
    known = VolumeMemory(identity="a" * 32, sequence=4, due_seconds=T0 - 60)
    for which in order:
        found = RecordStats(
            identity_found="a" * 32,
            sequence_found=4 + which,
            identity_written="a" * 32,
            sequence_written=5 + which,
        )
        reason, _, known = judge_records(known, found, T0 + 60 * which)
        assert reason is None
    assert (known.sequence, known.due_seconds) == (7, T0 + 120)


@given(st.sampled_from([-600, -60, 0, 60, 600]))
def test_a_node_that_was_away_unseen_was_so_after_it_was_last_known_to_be_there(ahead: float) -> None:
    well = observe(None, node(), PROBE, T0)
    # Its kubelet was gone from second 100 to 130, while the watch was silent from 90 to 140.
    back = observe(well, node(ready_since=130 + ahead), PROBE, T0 + 140, known_until=T0 + 90)
    assert back.during(T0 + 60, T0 + 89) is None
    assert back.during(T0 + 90, T0 + 140) is not None
    fell = observe(well, node(ready="False", ready_since=130 + ahead), PROBE, T0 + 140, known_until=T0 + 90)
    assert fell.during(T0 + 60, T0 + 89) is None
    assert fell.during(T0 + 90, T0 + 140) is not None
