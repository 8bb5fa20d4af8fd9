"""docs/faults.md is of the fault matrix as it is now, and README.md of docs/faults.md."""

import re

import pytest

from tests.faults import rates
from tests.faults.matrix import ROWS
from tests.faults.page import PAGE, beginning


@pytest.mark.parametrize("number", range(len(ROWS)))
def test_every_row_of_the_matrix_is_on_the_page_as_it_is_expected(number: int) -> None:
    assert beginning(number, ROWS[number]) in PAGE.read_text()


def test_the_page_has_no_other_rows() -> None:
    assert PAGE.read_text().count("\n| ") == len(ROWS) + 1


def test_each_fault_is_told_once() -> None:
    told = [(row.lane, row.title, row.moment) for row in ROWS]
    assert len(set(told)) == len(told)


def test_the_readme_leads_with_what_the_pages_say_was_measured() -> None:
    pages = PAGE.read_text(), rates.MAINTENANCE.read_text(), rates.WEATHER.read_text()
    assert rates.parts()[1] == rates.paragraph(*pages), f"run: {rates.COMMAND}"


@pytest.mark.parametrize(
    ("was", "wrong"), [("the same", "**nothing**"), ("nothing |", "a second incident |")]
)
def test_a_row_that_was_wrong_is_no_fault_that_was_found(was: str, wrong: str) -> None:
    page, *others = PAGE.read_text(), rates.MAINTENANCE.read_text(), rates.WEATHER.read_text()
    known = next(each for each in page.splitlines() if "| the same |" in each and "node-1" in each)

    def found(text: str) -> int:
        counted = re.search(r"nothing else \| (\d+) of", rates.paragraph(text, *others))
        assert counted is not None
        return int(counted[1])

    assert found(page.replace(known, known.replace(was, wrong))) == found(page) - 1


def test_the_page_of_the_maintenance_takes_what_the_next_one_reports() -> None:
    page = rates.MAINTENANCE.read_text()
    report = [
        *("counted as failures: 1 late, 2 failed", "incidents: ['x']", "alerts: []"),
        *("10 due times of 1 provision targets:", "20 due times of 2 mount targets:", "     20 on time"),
    ]
    changed = rates.with_replay(page, report)
    written = rates.paragraph(PAGE.read_text(), changed, rates.WEATHER.read_text())
    assert "| 3 of 30 due times, incidents |" in written
    assert len(changed.splitlines()) == len(page.splitlines()) - len(replay(page)) + len(report)
    assert replay(changed) == report
    assert rates.with_replay(changed, replay(page)) == page


def replay(page: str) -> list[str]:
    """Return the lines of the report."""
    lines = page.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("counted as failures"))
    return lines[begin : lines.index("```", begin)]


def test_a_page_without_the_report_is_refused() -> None:
    with pytest.raises(ValueError, match="0 reports of `make maintenance`, not one"):
        rates.with_replay("# Suppression\n", ["counted as failures: 0 late, 0 failed"])
