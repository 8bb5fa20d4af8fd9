"""Due times of pods that pie starts itself: spread over the period, to the second, and always the same."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pie.core.model import Kind, Target
from pie.core.pace.budget import MOST_EVERY
from pie.core.pace.parts import EFFECTIVE_PERIOD, PacePart, stored_every
from pie.core.pods.calendar import Paced, paced, slowed
from tests.core.build import probe

PERIODS = st.integers(1, 3600)
MOMENTS = st.floats(0, 4e9)


@given(st.integers(0, 3599), PERIODS, MOMENTS)
def test_the_next_due_time_is_later_and_within_a_period(phase: int, period: int, after: float) -> None:
    calendar = Paced(phase % period, period)
    due = calendar.next_due(after)
    assert after - 1e-3 < due <= after + period + 1e-3
    assert due == int(due)
    assert (due - calendar.phase_seconds) % period == 0
    assert calendar.next_due(due) == due + period


@given(st.integers(0, 3599), PERIODS, MOMENTS, st.floats(0, 7200), st.integers(1, 20))
def test_due_times_between_two_moments_are_the_newest_in_order(
    phase: int, period: int, after: float, width: float, limit: int
) -> None:
    calendar = Paced(phase % period, period)
    found = calendar.dues_between(after, after + width, limit=limit)
    assert len(found) <= limit
    assert found == sorted(set(found))
    if found:
        assert calendar.next_due(found[-1]) > after + width
        assert all(after < due <= after + width for due in found)


@pytest.mark.parametrize("period_seconds", [60, 300, 3540])
def test_many_targets_are_spread_evenly_over_the_period(period_seconds: int) -> None:
    spec = probe(period_seconds=period_seconds)
    targets = [Target("p", Kind.MOUNT, "c", f"node-{i}") for i in range(50 * period_seconds)]
    starts = Counter(paced(each, spec).next_due(0.0) for each in targets)
    assert max(starts.values()) <= 2 * 50
    assert len(starts) == period_seconds


NUMBERED = [Target("p", Kind.MOUNT, "c", f"worker-{number:03}.example.com") for number in range(300)]


@pytest.mark.parametrize("period_seconds", [60, 120])
def test_numbered_nodes_are_spread_evenly_where_few_start_in_a_second(period_seconds: int) -> None:
    spec = probe(period_seconds=period_seconds)
    starts = Counter(paced(each, spec).next_due(0.0) for each in NUMBERED)
    assert max(starts.values()) <= 2 * len(NUMBERED) / period_seconds


def test_pieprobes_of_one_name_in_two_namespaces_start_their_runs_apart() -> None:
    spec = probe(period_seconds=300)
    here, there = (
        [paced(replace(each, namespace=namespace), spec) for each in NUMBERED] for namespace in ("a", "b")
    )
    assert sum(one == other for one, other in zip(here, there, strict=True)) <= len(NUMBERED) / 10


def test_in_a_demo_a_minute_lasts_as_long_as_its_minutes_do() -> None:
    target = Target("p", Kind.MOUNT, "c", "n1")
    assert paced(target, probe(period_seconds=120, minute_seconds=4.0)).every_seconds == 8


EVERY = st.lists(st.tuples(st.floats(1, 500), st.integers(1, 5)), max_size=5)


@given(EVERY, st.integers(30, 90), st.floats(0, 3000))
def test_where_the_pace_changes_due_times_are_in_order_and_at_least_a_period_apart(
    changes: list[tuple[float, int]], period: int, after: float
) -> None:
    since, parts = 1000.0, [PacePart()]
    for wait, every in changes:
        since += wait
        parts.append(PacePart(since, every))
    spec, target = probe(period_seconds=period), Target("p", Kind.MOUNT, "c", "n1")
    calendar = slowed(target, spec, parts)
    found = calendar.dues_between(0.0, 5000.0, limit=10_000)
    assert found == sorted(set(found))
    assert all(later - earlier >= period for earlier, later in pairwise(found))
    assert calendar.dues_between(after, 4000.0, limit=10_000) == [
        each for each in found if after < each <= 4000
    ]
    assert calendar.next_due(after) == next(each for each in found if each > after)
    last = [each for each in found if each > since + period]
    assert {later - earlier for earlier, later in pairwise(last)} == {period * parts[-1].every}


def test_a_status_of_another_period_or_of_nobody_slows_nothing_down() -> None:
    stored = [
        {},
        *({EFFECTIVE_PERIOD: each} for each in (None, True, "120", -60, 0, 90, 60, 180, 60 * 10**12)),
    ]
    assert [stored_every(each, 60) for each in stored] == [1, 1, 1, 1, 1, 1, 1, 1, 3, MOST_EVERY]
