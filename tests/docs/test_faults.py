"""docs/faults.md is of the fault matrix as it is now."""

import pytest

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
