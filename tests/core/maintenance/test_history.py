"""What a node went through during a run's life."""

from hypothesis import given
from hypothesis import strategies as st

from pie.core.maintenance.history import MOST_SPANS, NodeHistory, observe, prove
from pie.core.model import SuppressionRules
from pie.core.reasons import Reason
from pie.core.wire import Node, Taint
from tests.core.build import T0, probe
from tests.core.nodes import node

PROBE = probe()


def seen(*states: tuple[float, Node | None]) -> NodeHistory:
    """Fold states, each seen so many seconds after T0."""
    history: NodeHistory | None = None
    for when, state in states:
        history = observe(history, state, PROBE, T0 + when)
    assert history is not None
    return history


def reason(history: NodeHistory, since: float, until: float) -> Reason | None:
    """Return why the node was suppressed at a moment of [since, until]."""
    span = history.during(T0 + since, T0 + until)
    return span.why.reason if span else None


def test_a_node_that_was_away_in_the_middle_of_a_run_was_away_in_that_run_only() -> None:
    history = seen((0, node()), (10, node(cordoned=True)), (20, node()))
    assert history.current is None
    assert reason(history, 0, 9) is None
    assert reason(history, 5, 30) is Reason.NODE_CORDONED
    assert reason(history, 15, 16) is Reason.NODE_CORDONED
    assert reason(history, 20, 20) is Reason.NODE_CORDONED
    assert reason(history, 21, 60) is None


def test_what_lasts_has_no_end_and_counts_from_when_the_object_says() -> None:
    history = seen((0, node()), (50, node(ready="Unknown", ready_since=10)))
    assert history.current is not None
    assert reason(history, 9, 10) is Reason.NODE_NOT_READY
    assert reason(history, 0, 9) is None
    assert reason(history, 1000, 1001) is Reason.NODE_NOT_READY


def test_a_node_whose_clock_is_ahead_became_ready_once_and_is_judged_from_then_on() -> None:
    back = node(ready_since=130)
    history = seen((0, node(ready="Unknown")), (10, back), (20, back), (30, back))
    assert reason(history, 5, 15) is Reason.NODE_NOT_READY
    assert reason(history, 11, 60) is None


def test_a_boot_explains_a_run_that_our_clock_which_is_behind_has_created_after_it() -> None:
    no_grace = probe(suppression=SuppressionRules(reboot_grace_seconds=0.0))
    history = observe(None, node(boot_id="boot-1"), no_grace, T0 - 10)
    history = observe(history, node(boot_id="boot-2"), no_grace, T0 - 0.4)
    assert history.current is None
    assert reason(history, 0, 20) is Reason.NODE_REBOOTED
    assert reason(history, 1, 20) is None


def test_a_change_of_reasons_does_not_end_the_suppression() -> None:
    history = seen(
        (0, node()),
        (10, node(cordoned=True)),
        (20, node(ready="False", cordoned=False, ready_since=18)),
        (30, node(cordoned=True)),
    )
    assert history.suppressed_since == T0 + 10
    assert [span.why.reason for span in history.spans[1:]] == [
        Reason.NODE_CORDONED,
        Reason.NODE_NOT_READY,
        Reason.NODE_CORDONED,
    ]
    assert seen((0, node(cordoned=True)), (5, node())).suppressed_since is None


def test_a_reboot_is_seen_by_its_boot_id_and_a_good_run_ends_its_grace() -> None:
    history = seen((0, node()), (100, node(boot_id="boot-2")))
    assert history.current is not None
    assert (history.current.reason, history.current.blocks) == (Reason.NODE_REBOOTED, False)
    assert reason(history, 50, 84) is None
    assert reason(history, 50, 90) is Reason.NODE_REBOOTED  # what the reboot did may be told before it
    assert reason(history, 50, 101) is Reason.NODE_REBOOTED
    assert reason(history, 250, 280) is Reason.NODE_REBOOTED
    assert prove(history, T0 + 90, T0 + 120).current is not None
    proven = prove(history, T0 + 110, T0 + 130)
    assert proven.current is None
    assert reason(proven, 50, 120) is Reason.NODE_REBOOTED
    assert reason(proven, 131, 200) is None
    assert observe(proven, node(boot_id="boot-2"), PROBE, T0 + 140).current is None


def test_a_reboot_suppresses_the_run_it_cut_short_even_without_any_grace() -> None:
    rules = probe(suppression=SuppressionRules(reboot_grace_seconds=0))
    history = observe(observe(None, node(), rules, T0), node(boot_id="boot-2"), rules, T0 + 100)
    assert history.current is None
    assert reason(history, 90, 110) is Reason.NODE_REBOOTED
    assert reason(history, 102, 110) is None


def test_a_grace_ends_when_the_node_is_seen_after_it() -> None:
    history = seen((0, node(created=-10)), (290, node(created=-10)))
    assert history.current is None
    assert reason(history, 280, 285) is Reason.NODE_NEW
    assert reason(history, 291, 300) is None


def test_a_good_run_does_not_end_a_cordon() -> None:
    assert prove(seen((0, node(cordoned=True))), T0 + 5, T0 + 10).current is not None


def test_a_node_that_goes_is_suppressed_from_then_on() -> None:
    history = seen((0, node()), (10, None))
    assert reason(history, 0, 9) is None
    assert reason(history, 5, 12) is Reason.NODE_DELETED


def test_a_node_seen_for_the_first_time_tells_when_it_became_ready() -> None:
    history = seen((100, node(created=-500, ready_since=50)))
    assert history.current is None
    assert reason(history, 40, 90) is Reason.NODE_NOT_READY
    assert reason(history, 51, 90) is None


def test_a_node_that_was_away_while_nobody_looked_tells_until_when() -> None:
    history = seen((0, node()), (100, node(ready_since=60)))
    assert history.current is None
    assert reason(history, 50, 70) is Reason.NODE_NOT_READY
    assert reason(history, 61, 99) is None
    assert reason(seen((0, node()), (100, node())), 0, 200) is None


states = st.sampled_from(
    [
        node(),
        node(cordoned=True),
        node(ready="False"),
        node(taints=(Taint("gpu", "NoSchedule"),)),
        node(boot_id="boot-2"),
        None,
    ]
)
times = st.lists(st.tuples(st.floats(1, 100), states), max_size=40)


@given(times)
def test_history_is_bounded_and_ordered_and_its_last_word_is_the_last_state(
    steps: list[tuple[float, Node | None]],
) -> None:
    history, now = seen((0, node())), T0
    for step, state in steps:
        now += step
        history = observe(history, state, PROBE, now)
        current = history.current
        assert (current is not None and current.blocks) == (
            state is None or state not in (node(), node(boot_id="boot-2"))
        )
    assert len(history.spans) <= MOST_SPANS
    ends = [span.until for span in history.spans[:-1]]
    assert None not in ends
    assert all(span.until is None or span.until >= span.since for span in history.spans)


@given(st.lists(st.tuples(st.floats(0.1, 1000), st.booleans()), max_size=40))
def test_a_ready_node_without_marks_is_never_suppressed(steps: list[tuple[float, bool]]) -> None:
    history, now = None, T0
    for step, proven in steps:
        now += step
        history = observe(history, node(ready_since=-3600), PROBE, now)
        history = prove(history, now - 1, now) if proven else history
        assert history.during(T0, now + 1000) is None


def test_a_node_that_came_back_before_anybody_watched_has_the_grace_of_a_reboot() -> None:
    history = seen((100, node(ready_since=50)))
    assert history.current is not None
    assert (history.current.reason, history.current.blocks) == (Reason.NODE_REBOOTED, False)
    assert reason(history, 60, 90) is Reason.NODE_REBOOTED
    assert prove(history, T0 + 40, T0 + 110).current is not None, "the run began before the node came back"
    assert prove(history, T0 + 101, T0 + 110).current is None
    assert observe(history, node(ready_since=50), PROBE, T0 + 351).current is None
    assert seen((400, node(ready_since=50))).current is None


def test_whoever_takes_over_suppresses_after_a_reboot_what_the_one_before_would_have() -> None:
    away, back = node(ready="Unknown", ready_since=20), node(boot_id="boot-2", ready_since=60)
    stayed = seen((0, node()), (20, away), (60, back), (70, back))
    came = seen((70, back))
    for since, until in ((30, 65), (61, 69), (65, 100), (200, 300)):
        assert reason(came, since, until) is not None
        assert (reason(stayed, since, until) is None) is (reason(came, since, until) is None)
