"""Magnitudes: quantiles of any number of values, to within a tenth, in bounded memory."""

from statistics import median_low

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.result import IoStats, Latency
from pie.core.trend import COLUMNS, Magnitudes, Trend

SECONDS = st.floats(1e-7, 1e4)


@given(st.lists(SECONDS, min_size=1))
def test_the_median_is_known_to_within_a_tenth(values: list[float]) -> None:
    counted = Magnitudes()
    for each in values:
        counted.add(each)
    assert counted.quantile(0.5) == pytest.approx(median_low(values), rel=0.1)
    assert counted.quantile(1.0) == pytest.approx(max(values), rel=0.1)


def test_nothing_has_no_quantile_and_nothing_is_too_short_to_count() -> None:
    counted = Magnitudes()
    assert counted.quantile(0.5) is None
    counted.add(0.0)
    assert counted.quantile(0.5) == pytest.approx(0, abs=1e-8)


def test_old_columns_make_way() -> None:
    one = Latency(iops=1, mean_seconds=1, p50_seconds=1, p99_seconds=1, max_seconds=1)
    trend = Trend(60)
    for number in range(10 * COLUMNS):
        trend.add(60 * number, IoStats(write=one))
    assert len(trend._columns) == COLUMNS
    points = trend.points(60 * (10 * COLUMNS - 1), COLUMNS)
    assert all(point.write_p99 == pytest.approx(1, rel=0.1) for point in points)
