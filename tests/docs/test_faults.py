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
    pages = PAGE.read_text(), rates.MAINTENANCE.read_text()
    assert rates.parts()[1] == rates.paragraph(*pages), f"run: {rates.COMMAND}"


@pytest.mark.parametrize(
    ("was", "wrong"), [("the same", "**nothing**"), ("nothing |", "a second incident |")]
)
def test_a_row_that_was_wrong_is_no_fault_that_was_found(was: str, wrong: str) -> None:
    page, maintenance = PAGE.read_text(), rates.MAINTENANCE.read_text()
    known = next(each for each in page.splitlines() if "| the same |" in each and "node-1" in each)

    def found(text: str) -> int:
        counted = re.search(r"nothing else \| (\d+) of", rates.paragraph(text, maintenance))
        assert counted is not None
        return int(counted[1])

    assert found(page.replace(known, known.replace(was, wrong))) == found(page) - 1
