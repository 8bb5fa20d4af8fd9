"""Due times of pods that pie starts itself: spread over the period, to the second, and always the same."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.model import Kind, Target
from pie.core.pods.calendar import Paced, paced
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


def test_in_a_demo_a_minute_lasts_as_long_as_its_minutes_do() -> None:
    target = Target("p", Kind.MOUNT, "c", "n1")
    assert paced(target, probe(period_seconds=120, minute_seconds=4.0)).every_seconds == 8
