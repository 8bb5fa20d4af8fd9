"""The report: availability, incidents, suppressed time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.cli.reporttext import written
from pie.core.prometheus import Sample, Series
from pie.core.report import columns, observed, runs, spans
from pie.core.reportqueries import INSTANT, RANGE, in_words, since_seconds
from tests.core.reports import WINDOW, made, mount
from tests.harness import ROOT


@pytest.mark.parametrize(
    ("on_time", "late", "bad", "availability"),
    [
        (0, 0, 0, None),
        (10, 0, 0, 1.0),
        (9, 1, 0, 0.9),
        (10, 0, 2, 0.8),
        (9, 1, 1, 0.8),
        (0, 3, 3, 0.0),
    ],
)
def test_availability_is_the_share_of_runs_on_time_and_good(
    on_time: float, late: float, bad: float, availability: float | None
) -> None:
    assert runs(on_time, late, bad).availability == availability


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_availability_is_a_share_and_whole_only_without_a_bad_run(
    on_time: float, late: float, bad: float
) -> None:
    found = runs(on_time, late, bad).availability
    assert found is None or 0 <= found <= 1
    if on_time + late > 0 and not late and not bad:
        assert found == 1.0


def test_the_worst_nodes_come_first_and_the_totals_are_of_all() -> None:
    samples = [each for i in range(3000) for each in mount(f"n{i}", 100, i % 10)]
    found = made({"mount": samples})
    assert (len(found.nodes), found.nodes_total) == (3000, 3000)
    assert {each.runs.late for each in found.nodes[:50]} == {9}
    (only,) = found.classes
    assert (only.nodes, only.mount.total, only.mount.late) == (3000, 313_500, 13_500)


def test_a_node_that_was_suppressed_has_its_time_and_no_availability() -> None:
    labels = {"storage_class": "c", "node": "n"}
    found = made({"mount": mount("n", 0, 0), "suppressed_moments": [Sample(labels, 120)]})
    (node,) = found.nodes
    assert node.runs.availability is None
    assert node.suppressed_seconds == 120 * WINDOW.fine
    assert found.classes[0].suppressed_seconds == node.suppressed_seconds


def test_classes_have_their_own_runs_latencies_stages_and_suppressed_runs() -> None:
    def io(storage_class: str, node: str, seconds: float) -> Sample:
        return Sample({"storage_class": storage_class, "node": node, "direction": "read"}, seconds)

    stage = {"storage_class": "a", "probe": "mount", "stage": "mount"}
    found = made(
        {
            "mount": [*mount("n", 9, 1, "a"), *mount("n", 5, 0, "b")],
            "provision": [Sample({"storage_class": "a", "on_time": "false"}, 2.0)],
            "p50": [io("a", "n", 0.001), io("a", "m", 0.003), io("b", "n", 9)],
            "p99": [io("a", "n", 0.01), io("a", "m", 0.03)],
            "stage_0.99": [Sample(stage, 2.5)],
            "suppressed_runs": [Sample({"storage_class": "a", "reason": "NodeCordoned"}, 3.6)],
        }
    )
    first, second = found.classes
    assert (first.mount.availability, second.mount.availability) == (0.9, 1.0)
    assert first.provision.availability == 0
    assert (first.latency.read_p50_seconds, first.latency.read_p99_seconds) == (0.001, 0.01)
    assert [(each.stage, each.p50_seconds, each.p99_seconds) for each in first.stages] == [
        ("mount", None, 2.5)
    ]
    assert first.suppressed_runs == {"NodeCordoned": 4}


def test_features_and_mounts_that_stay_are_of_their_class() -> None:
    def canary(storage_class: str, name: str, on_time: str, count: float) -> Sample:
        return Sample({"storage_class": storage_class, "probe": name, "on_time": on_time}, count)

    found = made(
        {
            "mount": [*mount("n", 9, 1, "a"), *mount("n", 5, 0, "b")],
            "canaries": [
                *(canary("a", "clone", "true", 3.1), canary("a", "clone", "false", 1.0)),
                canary("a", "block", "true", 4.0),
            ],
            "residents": [Sample({"storage_class": "b"}, 0.75)],
        }
    )
    first, second = found.classes
    assert {name: (each.total, each.late) for name, each in first.canaries.items()} == {
        "block": (4, 0),
        "clone": (4, 1),
    }
    assert (first.residents, second.residents, second.canaries) == (None, 0.75, {})
    text = " ".join(written(found, "markdown").split())
    assert "a: block worked in 100 % of 4 runs" in text
    assert "b: mounts that stay worked for 75.00 % of the time" in text


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], []),
        ([(10, 0), (20, 0)], []),
        ([(10, 1), (20, 1), (30, 0)], [(0, 20)]),
        ([(10, 1), (30, 1), (500, 1)], [(0, 30), (490, None)]),
        ([(490, 2), (500, 2)], [(480, None)]),
        ([(10, 1)], [(0, 10)]),
        ([(10, 1), (20, 0), (30, 1), (40, 0)], [(0, 10), (20, 30)]),
    ],
)
def test_an_incident_lasts_from_its_first_to_its_last_moment_over_short_gaps(
    points: list[tuple[float, float]], expected: list[tuple[float, float | None]]
) -> None:
    assert spans(points, 10, 500) == expected


def test_incidents_are_newest_first() -> None:
    points = tuple((9000.0 + i, float(i % 2)) for i in range(1001))
    labels = {"storage_class": "c", "scope": "node", "stage": "io", "reason": "Hung", "pie_probe_name": "p"}
    found = made(ranges={"incidents": [Series(labels, points)]})
    assert (len(found.incidents), found.incidents_total) == (500, 500)
    assert found.incidents[0].opened > found.incidents[-1].opened
    assert (found.incidents[0].stage, found.incidents[0].reason) == ("io", "Hung")


def test_each_incident_has_its_area_and_inconclusive_runs_are_no_suppressed_ones() -> None:
    def incident(**labels: str) -> Series:
        return Series(labels, ((9000.0, 1.0),))

    found = made(
        {
            "provision": [Sample({"storage_class": "c", "on_time": "true"}, 9.0)],
            "suppressed_runs": [Sample({"storage_class": "c", "reason": "NodeCordoned"}, 3.0)],
            "inconclusive_runs": [Sample({"storage_class": "c", "reason": "ImagePull"}, 4.0)],
        },
        {
            "incidents": [
                incident(area="pie", storage_class="c", reason="ImagePull"),
                incident(area="control-plane", reason="ControlPlaneLate"),
            ]
        },
    )
    assert {(each.area, each.storage_class) for each in found.incidents} == {
        ("pie", "c"),
        ("control-plane", ""),
    }
    (only,) = found.classes
    assert only.suppressed_runs == {"NodeCordoned": 3}
    assert only.inconclusive_runs == {"ImagePull": 4}


def test_trends_have_a_value_for_each_column_and_gaps_where_nothing_was() -> None:
    last, before = WINDOW.end, WINDOW.end - WINDOW.column
    labels = {"storage_class": "c", "on_time": "true"}
    late = {"storage_class": "c", "on_time": "false"}
    found = made(
        {"mount": mount("n", 1, 0)},
        {"mount_trend": [Series(labels, ((before, 1.0), (last, 3.0))), Series(late, ((last, 1.0),))]},
    )
    (trend,) = found.classes[0].availability_trends
    assert trend.name == "mount"
    assert trend.values == (None,) * (columns(WINDOW) - 2) + (1.0, 0.75)


def test_how_much_of_the_time_was_observed() -> None:
    assert observed([(9500.0 + i, 1.0) for i in range(500)], WINDOW, 1) == (0.5, 9500.0)
    assert observed([], WINDOW, 1) == (0.0, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("7d", 604_800), ("1d12h", 129_600), ("90m", 5400), ("45s", 45), ("2w", 1_209_600)]
)
def test_a_length_of_time_is_understood(text: str, seconds: int) -> None:
    assert since_seconds(text) == seconds


@given(st.text(alphabet="0123456789smhdwy. -", max_size=12))
def test_any_other_length_is_refused_with_an_example(text: str) -> None:
    try:
        assert since_seconds(text) > 0
    except ValueError as error:
        assert "7d" in str(error)


@given(st.integers(1, 366 * 86_400))
def test_a_length_in_words_is_understood_again_and_never_longer(seconds: int) -> None:
    words = in_words(seconds).replace(" ", "")
    assert 0.96 * seconds <= since_seconds(words) <= seconds


def test_the_page_has_every_query_as_it_is_asked() -> None:
    page = " ".join((ROOT / "docs" / "report.md").read_text().split())
    for query in (*INSTANT.values(), *RANGE.values()):
        text = query.replace("{{", "{").replace("}}", "}")
        for quantile in ("0.5", "0.95", "0.99"):
            text = text.replace(f"histogram_quantile({quantile},", "histogram_quantile(0.99,")
        for name, shown in (("window", "7d"), ("fine", "fine"), ("coarse", "coarse"), ("column", "column")):
            text = text.replace(f"{{{name}}}", shown)
        assert text in page, text
