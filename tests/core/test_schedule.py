"""Due times: what the cron expression means, in UTC."""

import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.batch.cron import cron, cron_schedule, phase_minutes
from pie.core.model import Kind, Target
from pie.core.schedule import CLEAR_OF_DUE_SECONDS, early_wait_seconds

periods = st.integers(1, 59).map(lambda minutes: minutes * 60)
moments = st.floats(1.6e9, 2.0e9)
targets = st.builds(
    Target, st.text(min_size=1, max_size=5), st.just(Kind.MOUNT), st.just("c"), st.text(max_size=5)
)


def test_the_schedule_has_go_pies_phase() -> None:
    target = Target("p1", Kind.MOUNT, "fake-sc", "node-00000")
    phase = zlib.crc32(b"p1fake-scnode-00000") % 7
    assert cron_schedule(target, 7 * 60) == f"{phase}-59/7 * * * *"


def cron_minutes(target: Target, period_seconds: int) -> set[int]:
    minutes, step = cron_schedule(target, period_seconds).split()[0].split("/")
    return set(range(int(minutes.split("-")[0]), 60, int(step)))


@given(targets, periods, moments)
def test_the_next_due_time_is_the_next_minute_that_the_cron_expression_names(
    target: Target, period_seconds: int, after: float
) -> None:
    due = cron(target, period_seconds).next_due(after)
    minutes = cron_minutes(target, period_seconds)
    assert due > after
    assert due % 60 == 0
    assert datetime.fromtimestamp(due, UTC).minute in minutes
    between = range(int(after // 60) + 1, int(due // 60))
    assert not any(minute % 60 in minutes for minute in between)


@given(targets, periods, moments)
def test_due_times_are_those_after_and_up_to(target: Target, period_seconds: int, after: float) -> None:
    calendar = cron(target, period_seconds)
    first = calendar.next_due(after)
    second = calendar.next_due(first)
    assert calendar.dues_between(after, second, limit=10) == [first, second]
    assert calendar.dues_between(first, second, limit=10) == [second]
    assert calendar.dues_between(first, second - 1, limit=10) == []


@pytest.mark.parametrize("limit", [1, 3])
def test_a_count_over_a_long_silence_is_bounded(limit: int) -> None:
    target = Target("p", Kind.PROVISION, "c")
    newest = 1.8e9 - 1.8e9 % 60
    assert (
        cron(target, 60).dues_between(1.7e9, 1.8e9, limit=limit)
        == [newest - 60 * i for i in range(limit)][::-1]
    )


@given(targets, periods)
def test_the_phase_lies_within_the_period(target: Target, period_seconds: int) -> None:
    assert 0 <= phase_minutes(target, period_seconds) < period_seconds // 60


@given(targets, periods, moments)
def test_early_runs_are_few_ever_further_apart_and_clear_of_the_next_due_time(
    target: Target, period_seconds: int, ended_at: float
) -> None:
    due = cron(target, period_seconds).next_due(ended_at)
    now, waits = ended_at, [0.0]
    while (wait := early_wait_seconds(period_seconds, due - now, waits[-1])) is not None:
        assert wait >= max(30, 2 * waits[-1])
        waits.append(wait)
        now += wait
    assert now == ended_at or now <= due - CLEAR_OF_DUE_SECONDS
    assert len(waits) <= 1 + 3


def test_with_a_period_of_a_minute_the_next_due_time_is_near_enough() -> None:
    assert early_wait_seconds(60, 59, 0.0) is None
