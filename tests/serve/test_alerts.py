"""The alert on incidents of the storage fires once for each fault of it, as promtool evaluates it."""

from pathlib import Path

import pytest
from prometheus_client.samples import Sample

from pie.core.yamltext import read_yaml
from tests.alerts import ALERT, RULE, SERIES, Scrapes, Story, wrong

pytestmark = pytest.mark.usefixtures("promtool")

CHART = Path(__file__).parents[2] / "charts/pie"
SLOW = {"pie_probe_name": "p", "area": "storage", "scope": "node", "stage": "mount", "reason": "MountSlow"}
FAILED = {**SLOW, "reason": "MountFailed"}
IMAGE = {**SLOW, "area": "pie", "reason": "ImagePull"}
FAULT = (10.0, 40.0)


def scraped(*spans: tuple[dict[str, str], int, int], until: int = 60, every: int = 1) -> Scrapes:
    """Return the scrapes of a minute in which incidents were open from a second to another."""
    scrapes = Scrapes()
    for second in range(0, until, every):
        now = [Sample(SERIES, labels, 1.0) for labels, since, end in spans if since <= second < end]
        scrapes.add(1000.3 + second, [*now, Sample("pie_incidents_total", SLOW, 7.0)])
    return scrapes


def told(scrapes: Scrapes, fault: tuple[float, float] | None = FAULT) -> list[str]:
    return wrong([Story("row 7", scrapes, fault and (1000 + fault[0], 1000 + fault[1]))])


@pytest.mark.parametrize("every", [1, 5, 15])
def test_an_alert_that_fires_once_while_the_fault_lasts_and_then_ends_is_right(every: int) -> None:
    assert told(scraped((SLOW, 20, 45), every=every)) == []


def test_what_is_no_problem_of_the_storage_fires_no_alert() -> None:
    assert told(scraped((IMAGE, 20, 45)), fault=None) == []
    assert told(scraped(), fault=None) == []


@pytest.mark.parametrize(
    ("scrapes", "fault", "problems"),
    [
        (scraped(), FAULT, ["firings in all: nil", "firings during the fault: nil"]),
        (scraped((IMAGE, 20, 45)), FAULT, ["firings in all: nil", "firings during the fault: nil"]),
        (scraped((SLOW, 20, 45)), None, ["firings in all: {} 1E+00"]),
        (scraped((SLOW, 5, 45)), FAULT, ["firings during the fault: nil"]),
        (scraped((SLOW, 42, 45)), FAULT, ["firings during the fault: nil"]),
        (
            scraped((SLOW, 20, 25), (SLOW, 30, 45)),
            FAULT,
            ["firings in all: {} 2E+00", "firings during the fault: {} 2E+00"],
        ),
        (scraped((SLOW, 20, 45), (SLOW, 50, 55)), FAULT, ["firings in all: {} 2E+00"]),
        (
            scraped((SLOW, 20, 25), (FAILED, 25, 45)),
            FAULT,
            ["firings in all: {} 2E+00", "firings during the fault: {} 2E+00"],
        ),
        (scraped((SLOW, 20, 60)), FAULT, ["alerts that still fire after the end: {} 1E+00"]),
    ],
    ids=[
        "none",
        "of another area",
        "no fault",
        "before the fault",
        "after the fault",
        "twice",
        "again after the fault",
        "with other labels",
        "too long",
    ],
)
def test_any_other_alert_is_wrong(
    scrapes: Scrapes, fault: tuple[float, float] | None, problems: list[str]
) -> None:
    assert told(scrapes, fault) == [f"row 7: {each}" for each in problems]


def test_stories_are_evaluated_each_by_itself() -> None:
    right = Story("right", scraped((SLOW, 20, 45)), (1010, 1040))
    silent = Story('"silent"', scraped(), (1010, 1040))
    none = Story("none", scraped((FAILED, 20, 45)))
    assert [each.partition(": ")[0] for each in wrong([silent, right, none])] == [
        '\\"silent\\"',
        '\\"silent\\"',
        "none",
    ]


def test_scrapes_of_one_pieprobe_are_told_from_those_of_another() -> None:
    other = {**FAILED, "pie_probe_name": "p2"}
    both = scraped((SLOW, 20, 45), (other, 30, 35))
    cut = both.between(1005.0, 1050.0, pie_probe_name="p")
    assert (cut.taken[0][0], cut.taken[-1][0]) == (1005.3, 1049.3)
    assert told(cut) == []


def test_the_rule_is_the_one_that_the_chart_installs() -> None:
    groups = read_yaml((CHART / "files/rules.yaml").read_text())["groups"]
    (shipped,) = (rule for group in groups for rule in group["rules"] if rule.get("alert") == ALERT)
    series, limit = RULE.split(" > ")
    assert shipped["expr"] == f"sum without (pod, instance) ({series}) > {limit}"
