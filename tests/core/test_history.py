"""Past runs are remembered in bounded memory, and failures outlive the good runs after them."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.history import BAD_RUNS, GOOD_RUNS, LETTERS, History, PastRun, Strip, measured
from pie.core.model import BAD, Kind, Stage, Target, Verdict
from pie.core.reasons import Reason
from pie.core.result import IoStats, Latency
from pie.core.trend import COLUMNS
from tests.core.build import MOUNT, T0

HAD = [verdict for verdict in Verdict if verdict not in {Verdict.PENDING, Verdict.UNKNOWN}]


def latency(seconds: float) -> Latency:
    return Latency(
        iops=1000, mean_seconds=seconds, p50_seconds=seconds, p99_seconds=seconds * 2, max_seconds=seconds * 3
    )


def run(number: int, verdict: Verdict = Verdict.OK, **more: object) -> PastRun:
    return PastRun(T0 + 60 * number, "schedule", verdict, Reason.OK, **more)  # type: ignore[arg-type]


def history(*runs: PastRun) -> History:
    kept = History()
    kept.follow(MOUNT, 60)
    for each in runs:
        kept.record(MOUNT, each)
    return kept


def test_a_failure_outlives_any_number_of_good_runs() -> None:
    kept = history(run(0, Verdict.FAILED), *(run(n) for n in range(1, 1000)))
    found = kept.runs(MOUNT)
    assert len(found) == GOOD_RUNS + 1
    assert found[-1].verdict is Verdict.FAILED
    assert found[0].due == T0 + 60 * 999


@given(st.lists(st.tuples(st.integers(0, 500), st.sampled_from(HAD)), max_size=80))
def test_it_is_bounded_newest_first_and_has_each_due_time_once(runs: list[tuple[int, Verdict]]) -> None:
    found = history(*(run(number, verdict) for number, verdict in runs)).runs(MOUNT)
    assert sum(each.verdict in BAD for each in found) <= BAD_RUNS
    assert sum(each.verdict not in BAD for each in found) <= GOOD_RUNS
    dues = [each.due for each in found]
    assert dues == sorted(set(dues), reverse=True)


def test_what_becomes_known_of_a_run_later_replaces_what_was_known() -> None:
    kept = history(run(1, Verdict.LATE, ended=False), run(1, Verdict.SUPPRESSED))
    assert [each.verdict for each in kept.runs(MOUNT)] == [Verdict.SUPPRESSED]


def test_a_retry_at_the_time_of_a_scheduled_run_is_a_run_of_its_own() -> None:
    kept = history(run(1), PastRun(T0 + 60, "retry", Verdict.OK, Reason.OK))
    assert len(kept.runs(MOUNT)) == 2


def test_what_was_measured_comes_back_and_what_was_not_stays_unknown() -> None:
    io = IoStats(read=latency(0.00012345), write=None, tool="pie")
    past = run(1, measured=measured({Stage.MOUNT: 1.25, Stage.IO: 0.5}, io), rough=True)
    assert past.stages == {Stage.MOUNT: 1.25, Stage.IO: 0.5}
    assert past.io == io
    assert run(1, measured=measured({Stage.QUEUE: 2.0}, None)).io is None
    assert run(1, measured=measured({Stage.QUEUE: 2.0}, None)).stages == {Stage.QUEUE: 2.0}
    assert run(1).stages == {}


@given(
    st.dictionaries(st.sampled_from([s for s in Stage if s is not Stage.TEARDOWN]), st.floats(0, 1e6)),
    st.floats(1e-9, 1e6),
)
def test_numbers_survive_packing_to_six_digits(stages: dict[Stage, float], seconds: float) -> None:
    packed = measured(stages, IoStats(read=latency(seconds), write=latency(seconds / 3)))
    past = run(1, measured=packed)
    assert past.stages == {stage: pytest.approx(each, rel=1e-5, abs=1e-3) for stage, each in stages.items()}
    assert past.io is not None
    assert past.io.write is not None
    assert past.io.write.p50_seconds == pytest.approx(seconds / 3, rel=1e-5)


# The strip.


@given(
    st.lists(st.tuples(st.integers(0, 3 * COLUMNS), st.sampled_from(HAD)), max_size=60),
    st.integers(0, 3 * COLUMNS),
    st.integers(1, COLUMNS),
)
def test_the_strip_shows_what_an_unbounded_one_would(
    marks: list[tuple[int, Verdict]], until: int, columns: int
) -> None:
    strip, plain = Strip(), {}
    newest = 0
    for column, verdict in marks:
        strip.mark(column, verdict)
        if column <= newest - COLUMNS:
            continue
        newest = max(newest, column)
        letter = {"suppressed": "s"}.get(verdict, verdict.value[0])
        before = plain.get(column, ".")
        plain[column] = letter if letter == "s" else max(before, letter, key=LETTERS.index)
    shown = [
        plain.get(c, ".") if c > newest - COLUMNS else "." for c in range(until - columns + 1, until + 1)
    ]
    assert strip.letters(until, columns) == "".join(shown)


def test_a_column_is_a_period_and_another_period_starts_the_strip_anew() -> None:
    kept = History()
    kept.follow(MOUNT, 120)
    for number, verdict in enumerate((Verdict.OK, Verdict.LATE, Verdict.HUNG)):
        kept.mark(MOUNT, T0 + 120 * number, verdict)
    assert kept.letters(MOUNT, T0 + 240, 4) == ".olh"
    kept.follow(MOUNT, 120)
    assert kept.letters(MOUNT, T0 + 240, 4) == ".olh"
    kept.follow(MOUNT, 60)
    assert kept.letters(MOUNT, T0 + 240, 4) == "...."


def test_a_verdict_that_is_not_known_yet_leaves_no_mark_and_a_forgotten_target_has_none() -> None:
    kept = history(run(1))
    kept.mark(MOUNT, T0, Verdict.PENDING)
    assert kept.letters(MOUNT, T0, 1) == "."
    kept.forget(MOUNT)
    kept.mark(MOUNT, T0, Verdict.OK)
    kept.record(MOUNT, run(2))
    assert kept.letters(MOUNT, T0, 1) == ""
    assert kept.runs(MOUNT) == []


def test_every_change_is_a_new_revision() -> None:
    kept = history()
    seen = {kept.revision}
    for change in (
        lambda: kept.record(MOUNT, run(1)),
        lambda: kept.mark(MOUNT, T0, Verdict.OK),
        lambda: kept.forget(MOUNT),
    ):
        change()
        assert kept.revision not in seen
        seen.add(kept.revision)


# The trend, and what it all costs.


def test_the_trend_is_that_of_the_probes_targets() -> None:
    kept = history()
    for thousandths in (1, 2, 100):
        kept.measure(MOUNT, T0, IoStats(read=latency(thousandths / 1000)))
    before, point = kept.trend(MOUNT.probe_id, T0, 2)
    assert before.read_median is None
    assert point.read_median == pytest.approx(0.002, rel=0.1)
    assert point.read_p99 == pytest.approx(0.2, rel=0.1)
    assert point.write_median is None
    kept.forget_probe(MOUNT.probe_id)
    assert kept.trend(MOUNT.probe_id, T0, 1)[0].read_median is None


def test_five_thousand_healthy_targets_take_less_than_twenty_megabytes() -> None:
    """docs/page.md says 3 KB for each."""
    targets = [Target("p", Kind.MOUNT, "c", f"node-{number:05}") for number in range(200)]
    io = IoStats(read=latency(0.001), write=latency(0.002))
    seconds = dict.fromkeys((Stage.QUEUE, Stage.SCHEDULE, Stage.MOUNT, Stage.START, Stage.IO), 1.0)
    tracemalloc.start()
    kept = History()
    for target in targets:
        kept.follow(target, 60)
        for number in range(2 * GOOD_RUNS):
            kept.mark(target, T0 + 60 * number, Verdict.OK)
            kept.record(target, run(number, node=target.node, measured=measured(seconds, io)))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / len(targets) < 3500


@pytest.mark.parametrize(
    ("marks", "letters"),
    [
        ([], "......"),
        ([(0, Verdict.OK)], "oooo.."),
        ([(3600, Verdict.OK)], "..oooo"),
        ([(0, Verdict.OK), (3600, Verdict.FAILED)], "ooffff"),
        ([(3600, Verdict.FAILED), (7200, Verdict.OK)], "..ffoo"),
    ],
)
def test_the_verdict_of_a_target_with_a_long_period_holds_until_the_next_one(
    marks: list[tuple[float, Verdict]], letters: str
) -> None:
    history, target = History(), Target("p", "block", "c")
    history.follow(target, 3600)
    for due, verdict in marks:
        history.mark(target, due, verdict)
    # Columns of half an hour: they end one and a half hours after the last due time that is marked here.
    assert history.letters(target, 7200 + 1800 + 60, 6, 1800.0) == letters


@given(st.integers(60, 7200), st.integers(60, 7200), st.integers(1, 240), st.integers(0, 10**6))
def test_a_row_has_a_letter_for_each_column_whatever_the_periods(
    period: int, step: int, columns: int, now: int
) -> None:
    history, target = History(), Target("p", "block", "c")
    history.follow(target, period)
    history.mark(target, now - now % period, Verdict.OK)
    found = history.letters(target, now, columns, float(step))
    assert len(found) == columns
    assert found[-1] == "o"
