"""I/O that is slow for its target, and noise that is not."""

from hypothesis import given
from hypothesis import strategies as st

from pie.core.latency import (
    LEAST_SECONDS,
    RUNS_NEEDED,
    RUNS_REMEMBERED,
    SLOW_RUNS_IN_A_ROW,
    LatencyHistory,
    above_limit,
    judge_latency,
    recall_latency,
    typical_seconds,
)
from pie.core.result import IoStats, Latency


def after(*runs: float, history: LatencyHistory | None = None) -> tuple[str, LatencyHistory]:
    message, known = "", history or LatencyHistory()
    for seconds in runs:
        message, known = judge_latency(known, seconds)
    return message, known


USUAL = (0.001,) * RUNS_NEEDED


def test_the_typical_latency_is_that_of_a_read_and_a_write() -> None:
    side = Latency(iops=1, mean_seconds=9, p50_seconds=0.002, p99_seconds=9, max_seconds=9)
    assert typical_seconds(IoStats(read=side, write=side)) == 0.004
    assert typical_seconds(IoStats(write=side)) == 0.002
    assert typical_seconds(IoStats()) is None


def test_several_slow_runs_in_a_row_are_slow_and_say_how_much() -> None:
    assert not after(*USUAL, *(0.1,) * (SLOW_RUNS_IN_A_ROW - 1))[0]
    assert after(*USUAL, *(0.1,) * SLOW_RUNS_IN_A_ROW)[0] == (
        "a read and a write took 100.0 ms, usually 1.00 ms; 3 consecutive runs"
    )


def test_slowness_never_becomes_usual() -> None:
    assert after(*USUAL, *(0.1,) * 1000)[0]
    assert not after(*USUAL, *(0.1,) * 1000, 0.001)[0]


def test_without_a_history_nothing_is_slow() -> None:
    assert not after(0.001, 5, 5, 5, 5)[0]


def test_what_was_usual_for_an_earlier_controller_is_the_measure() -> None:
    told = after(*USUAL)[1].annotations({})
    assert not after(0.1, 0.1, history=recall_latency(told, slow=False))[0]
    assert after(0.1, 0.1, 0.1, history=recall_latency(told, slow=False))[0]
    assert after(0.1, history=recall_latency(told, slow=True))[0]
    assert not after(0.001, 0.1, history=recall_latency(told, slow=True))[0]


def test_what_is_usual_is_written_once_and_when_it_is_another_magnitude() -> None:
    assert after(*USUAL[1:])[1].annotations({}) == {}
    told = after(*USUAL)[1].annotations({})
    assert told == {"pie.topolvm.io/usual-latency-seconds": "0.001"}
    assert after(*(0.0019,) * RUNS_NEEDED)[1].annotations(told) == {}
    assert after(*(0.0021,) * RUNS_NEEDED)[1].annotations(told)
    assert after(*(0.0004,) * RUNS_NEEDED)[1].annotations(told)
    assert recall_latency(told, slow=False).annotations(told) == {}
    fastest = after(*(0.0,) * RUNS_NEEDED)[1]
    assert fastest.annotations(fastest.annotations({})) == {}


def test_runs_with_other_options_have_a_history_of_their_own() -> None:
    large = "--block-size 1M"
    told = after(*USUAL, history=LatencyHistory(options=large))[1].annotations({})
    assert told == {"pie.topolvm.io/usual-latency-seconds": "0.001 --block-size 1M"}
    assert recall_latency(told, slow=False, options=large).usual == 0.001
    assert recall_latency(told, slow=False).usual is None
    # What was written of other runs is replaced.
    assert after(*USUAL)[1].annotations(told) == {"pie.topolvm.io/usual-latency-seconds": "0.001"}


def test_reads_and_writes_are_held_to_the_limit_each() -> None:
    quick = Latency(iops=1, mean_seconds=0.001, p50_seconds=9, p99_seconds=9, max_seconds=9)
    slow = Latency(iops=1, mean_seconds=0.0505, p50_seconds=0, p99_seconds=0, max_seconds=9)
    assert above_limit(IoStats(read=quick, write=slow), 0.05) == (
        "a write took 50.5 ms on average, more than spec.io.maxLatency (50 ms)"
    )
    assert above_limit(IoStats(read=slow), 0.05).startswith("a read took 50.5 ms")
    assert above_limit(IoStats(read=slow, write=quick), 0.0505) == ""
    assert above_limit(IoStats(), 0.001) == ""


@given(st.text() | st.floats().map(str))
def test_an_annotation_that_is_no_latency_tells_nothing_that_is_not_finite(text: str) -> None:
    told = recall_latency({"pie.topolvm.io/usual-latency-seconds": text}, slow=True).told
    assert told is None or 0 < told < float("inf")


@given(st.lists(st.floats(1e-6, LEAST_SECONDS * 0.99), max_size=100))
def test_a_latency_that_applications_do_not_feel_is_never_slow(runs: list[float]) -> None:
    assert not any(after(*runs[: i + 1])[0] for i in range(len(runs)))


@given(st.lists(st.tuples(st.floats(0.001, 0.005), st.lists(st.floats(0, 60), max_size=2)), max_size=40))
def test_spikes_of_one_or_two_runs_are_noise_and_the_history_is_bounded(
    runs: list[tuple[float, list[float]]],
) -> None:
    known = after(*USUAL)[1]
    for usual, spikes in runs:
        for seconds in (*spikes, usual):
            message, known = judge_latency(known, seconds)
            assert not message
    assert len(known.seconds) <= RUNS_REMEMBERED
