"""A dirty cluster: nothing crashes, each due time is counted once, and what pie says is expected."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.model import Verdict
from tests.controller.stories import (
    BEGIN_SECONDS,
    BUSY_SECONDS,
    END,
    Outcome,
    played,
    quick,
    storage,
)
from tests.dirty.dirt import ALL, UNTOLD, Dirt, dirts, soiled
from tests.dirty.expected import EXPECTED

COMES, GOES = 10, BEGIN_SECONDS + BUSY_SECONDS + 20
"""It goes when each run that it stopped has ended, and before the next is due."""


def unexpected(outcome: Outcome, *found: Dirt) -> set[tuple[str, str]]:
    """Return the bad verdicts and the incidents that no row of these kinds of dirt has."""
    rows = [row for row in EXPECTED if row.dirt in {each.name for each in found}]
    verdicts, incidents = (
        {(row.verdict, row.reason) for row in rows},
        {(row.stage, row.reason) for row in rows},
    )
    return (outcome.told - verdicts) | (outcome.incidents - incidents)


@pytest.mark.parametrize("dirt", ALL, ids=repr)
def test_each_kind_of_dirt_causes_what_the_table_says_and_nothing_else(dirt: Dirt) -> None:
    outcome = played(soiled([dirt], COMES, GOES))
    rows = [row for row in EXPECTED if row.dirt == dirt.name]
    assert outcome.errors(END) == []
    assert outcome.told == {(row.verdict, row.reason) for row in rows}
    assert outcome.incidents == {(row.stage, row.reason) for row in rows}
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}, "all is well in the end"


def test_the_table_names_kinds_of_dirt_that_there_are_and_each_row_once() -> None:
    told = {each.name for each in ALL if each.told}
    assert {row.dirt for row in EXPECTED} == told
    assert max(Counter(EXPECTED).values()) == 1


@quick
@given(dirts(ALL), st.integers(0, BEGIN_SECONDS + BUSY_SECONDS))
def test_several_kinds_at_once_cause_no_more_than_each_alone(found: list[Dirt], since: int) -> None:
    outcome = played(soiled(found, since, GOES))
    assert outcome.errors(END) == []
    assert unexpected(outcome, *found) == set()


@pytest.mark.parametrize("dirt", UNTOLD, ids=repr)
def test_a_fault_of_the_storage_is_found_in_dirt(dirt: Dirt) -> None:
    outcome = played([*soiled([dirt], COMES, GOES), (BEGIN_SECONDS, storage("fails"))])
    assert outcome.errors(END) == []
    assert ("io", "IOError") in outcome.incidents
