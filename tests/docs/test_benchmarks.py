"""docs/benchmarks.md shows what the last `make bench` measured."""

import pytest

from bench.scale import page
from bench.scale.figures import Figures, known

SIZES = sorted({each.nodes for each in known()})


def figures(*starts: int) -> Figures:
    return Figures(
        nodes=2,
        runner="Pod",
        period_minutes=1,
        day="2026-01-01",
        machine="2 cores",
        objects=2,
        objects_per_second=1.0,
        floor_per_second=1.0,
        create_cpu_seconds=0.1,
        runs=2,
        writes_per_run=4.0,
        events_per_run=1.0,
        controller_manager_writes_per_run=0.0,
        pie_writes_per_run=2.0,
        reads_per_run=0.0,
        cpu_milliseconds_per_run=1.0,
        starts=starts,
        judged_p50_seconds=0.1,
        judged_p99_seconds=0.2,
        answer_p99_milliseconds=10.0,
        rest_bytes=1,
        busy_bytes=2,
        scrape_milliseconds=1.0,
        scrape_bytes=1,
        ready_seconds=1.0,
    )


def test_the_page_is_that_of_the_results() -> None:
    there = page.PAGE.read_text()
    assert page.text(there, known()) == there


@pytest.mark.parametrize("nodes", SIZES)
def test_the_chart_of_each_size_is_that_of_the_results(nodes: int) -> None:
    drawn = (page.DOCS / "images" / page.chart_name(nodes)).read_text()
    assert drawn == page.chart([each for each in known() if each.nodes == nodes])


@pytest.mark.parametrize(
    ("starts", "ratio"), [((1, 1, 1, 1), 1.0), ((4, 0, 0, 0), 4.0), ((0, 0), 0.0), ((3, 1), 1.5)]
)
def test_the_peak_is_compared_with_the_mean_of_all_seconds(starts: tuple[int, ...], ratio: float) -> None:
    assert figures(*starts).peak_over_mean == ratio


def test_a_figure_that_misses_its_goal_stands_out() -> None:
    rows = page.text("<!-- measured -->\n<!-- end of measured -->\n", [figures(1, 1)]).splitlines()
    assert any("| **4.00** |" in row for row in rows if "API writes of a healthy" in row)
    assert any("| 1.00 |" in row for row in rows if "and Events" in row)
