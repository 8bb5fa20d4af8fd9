"""Which bad runs maintenance excuses, and for how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.judge import Judgement, judge
from pie.core.maintenance.excuse import everywhere, excuse, lived_until
from pie.core.maintenance.history import NodeHistory, Span, observe
from pie.core.maintenance.now import Suppression
from pie.core.maintenance.overdue import Overdue, long_suppressed
from pie.core.model import Verdict
from pie.core.reasons import Reason
from pie.core.result import Outcome
from pie.core.wire import Node, Pod
from tests.core.build import T0, message, pod, probe, run
from tests.core.nodes import node

# Threshold 30 s, deadline 60 s, and 3 s of slack.
PROBE = probe()


def span(since: float, until: float | None = None, reason: Reason = Reason.NODE_CORDONED) -> Span:
    return Span(
        Suppression(reason, "the mark", T0 + since), T0 + since, None if until is None else T0 + until
    )


def judged(seen: Pod | None, at: float, found: Span | None) -> Judgement:
    case = run(seen)
    return excuse(judge(case, PROBE, T0 + at), case, PROBE, found, T0 + at)


WAITING = pod(scheduled=0)
RUNNING = pod(scheduled=0, acknowledged=0, started=1)
KILLED = pod(scheduled=0, acknowledged=0, started=1, ended=20, exit_code=137)
GOOD = pod(scheduled=0, acknowledged=0, started=1, ended=20, message=message())
FAILED = pod(scheduled=0, acknowledged=0, started=1, ended=20, exit_code=1, message=message(Outcome.IO_ERROR))
CORRUPTED = pod(
    scheduled=0, acknowledged=0, started=1, ended=20, exit_code=1, message=message(Outcome.DATA_CORRUPTED)
)


@pytest.mark.parametrize(("seen", "at"), [(WAITING, 31), (RUNNING, 64), (KILLED, 21), (FAILED, 21)], ids=str)
def test_a_bad_run_under_maintenance_is_suppressed(seen: Pod, at: float) -> None:
    assert judged(seen, at, None).needs_cause
    excused = judged(seen, at, span(-100))
    assert (excused.verdict, excused.reason) == (Verdict.SUPPRESSED, Reason.NODE_CORDONED)
    assert not excused.needs_cause
    assert excused.stage is None


def test_what_was_good_of_it_stays_good() -> None:
    assert judged(KILLED, 21, span(10)).on_time is True
    assert judged(KILLED, 21, span(10)).succeeded is None
    assert judged(GOOD, 21, span(10)).verdict is Verdict.OK
    assert judged(RUNNING, 5, span(0)).verdict is Verdict.PENDING


def test_data_that_was_read_is_never_excused() -> None:
    assert judged(CORRUPTED, 21, span(0)).verdict is Verdict.FAILED


def test_a_waiting_run_has_its_threshold_anew_from_the_end_of_the_maintenance() -> None:
    excused = judged(WAITING, 50, span(0, 20))
    assert excused.verdict is Verdict.SUPPRESSED
    assert excused.check_at == T0 + 53
    assert judged(WAITING, 54, span(0, 20)).needs_cause


def test_a_running_one_has_its_deadline_too() -> None:
    assert judged(RUNNING, 112, span(0, 20)).verdict is Verdict.SUPPRESSED
    assert judged(RUNNING, 114, span(0, 20)).bad


def test_while_maintenance_lasts_the_run_is_looked_at_again() -> None:
    assert judged(WAITING, 50, span(0)).check_at == T0 + 63
    assert judged(RUNNING, 70, span(0)).check_at == T0 + 100


def test_an_ended_run_is_judged_by_its_end_however_late_it_is_looked_at() -> None:
    case = run(FAILED)
    assert lived_until(case, judge(case, PROBE, T0 + 900), T0 + 900) == T0 + 23
    assert judged(FAILED, 900, span(0, 10)).verdict is Verdict.SUPPRESSED


@given(st.floats(0, 500), st.floats(-500, 500), st.one_of(st.none(), st.floats(0, 500)))
def test_without_maintenance_nothing_is_excused_and_with_it_nothing_is_made_bad(
    at: float, since: float, lasted: float | None
) -> None:
    for seen in (None, WAITING, RUNNING, KILLED, GOOD, FAILED):
        plain = judged(seen, at, None)
        assert plain == judge(run(seen), PROBE, T0 + at)
        excused = judged(seen, at, span(since, None if lasted is None else since + lasted))
        assert plain.needs_cause or excused.verdict in {plain.verdict, Verdict.SUPPRESSED}
        assert excused.ended is plain.ended


def test_a_class_is_suppressed_only_where_every_node_was() -> None:
    well = observe(None, node(), PROBE, T0)
    cordoned = observe(well, node(cordoned=True), PROBE, T0 + 10)
    back = observe(cordoned, node(), PROBE, T0 + 20)
    assert everywhere([cordoned, well], T0, T0 + 60) is None
    assert everywhere([cordoned, None], T0, T0 + 60) is None
    assert everywhere([], T0, T0 + 60) is None
    found = everywhere([cordoned, back], T0, T0 + 60)
    assert found is not None
    assert (found.since, found.until) == (T0 + 10, T0 + 20)
    assert found.why.reason is Reason.NO_USABLE_NODE
    assert "2 NodeCordoned" in found.why.message
    assert everywhere([cordoned, back], T0 + 30, T0 + 60) is None


@given(st.lists(st.sampled_from([node(), node(cordoned=True)]), min_size=1, max_size=6))
def test_a_class_of_which_one_node_is_well_is_not_suppressed(states: list[Node]) -> None:
    histories: list[NodeHistory | None] = [observe(None, state, PROBE, T0) for state in states]
    wanted = all(state.spec.unschedulable for state in states)
    assert (everywhere(histories, T0 + 1, T0 + 2) is not None) is wanted


def test_the_long_suppressed_are_named_with_their_marks_and_what_to_do() -> None:
    assert long_suppressed([], 86_400)["status"] == "False"
    overdue = [
        Overdue(
            f"node-{i}", Suppression(Reason.NODE_TAINTED, "taint gpu:NoSchedule is not tolerated", T0), T0
        )
        for i in range(7)
    ]
    found = long_suppressed(overdue, 86_400)
    assert (found["status"], found["reason"]) == ("True", "NodeTainted")
    for words in (
        "7 suppressed for longer than 24 h",
        "node-0 (since 2023-11-14T22:14:00Z): taint gpu",
        "and 2 more",
        "toleration",
    ):
        assert words in found["message"]
