"""A dirty cluster: nothing crashes, each due time is counted once, and what pie says is expected."""

from collections import Counter
from collections.abc import Iterable
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.model import Verdict
from tests.alerts import Story, wrong
from tests.controller.stories import (
    BEGIN_SECONDS,
    BUSY_SECONDS,
    END,
    QUIET_SECONDS,
    Outcome,
    played,
    quick,
    storage,
    with_gaps,
)
from tests.controller.world import PERIOD_SECONDS, T0, World
from tests.dirty.dirt import ALL, BY_NAME, UNTOLD, Dirt, dirts, soiled
from tests.dirty.expected import EXPECTED, RIGHT, TRUE, Right, Row

COMES, GOES = 10, BEGIN_SECONDS + BUSY_SECONDS + 20
"""It goes when each run that it stopped has ended, and before the next is due."""


FAILS, MENDED = BEGIN_SECONDS, GOES + 2 * PERIOD_SECONDS
"""When the storage fails: it outlasts dirt that hides it."""
TOGETHER = [row for row in EXPECTED if " + " in row.dirt]


def verdicts(rows: Iterable[Row | Right]) -> set[tuple[str, str]]:
    return {(row.verdict, row.reason) for row in rows}


def incidents(rows: Iterable[Row | Right]) -> set[tuple[str, str]]:
    return {(row.stage, row.reason) for row in rows}


def rows_of(found: Iterable[Dirt]) -> list[Row | Right]:
    """Return what each of these kinds of dirt causes alone."""
    return [row for row in (*EXPECTED, *RIGHT) if row.dirt in {each.name for each in found}]


def unexpected(outcome: Outcome, found: Iterable[Dirt]) -> set[tuple[str, str]]:
    """Return the bad verdicts and incidents that no row of these kinds has, nor one of several kinds."""
    # Which of its objects says first that a run was deleted, and where it stood, depends on who deletes them.
    deletions = [
        Right("", stage, reason)
        for stage in ("queue", "start", "io")
        for reason in ("JobDeleted", "PodDeleted")
    ]
    rows = [*rows_of(found), *TOGETHER, *(deletions if any(each.deletes for each in found) else ())]
    # Where other dirt lets no run be good, no node is known to have the driver: it may be missing everywhere.
    if BY_NAME["a node without the driver"] in found and len(found) > 1:
        rows.append(Right("a node without the driver", "mount", "DriverNotReady", "late"))
    return ((outcome.told - verdicts(rows)) | (outcome.incidents - incidents(rows))) - TRUE


@cache
def alone(dirt: Dirt) -> Outcome:
    """Return what the controller makes of this dirt, while all else is well."""
    return played(soiled([dirt], COMES, GOES), scraped=True)


@cache
def with_fault(*found: Dirt, state: str = "fails", nodes: tuple[str, ...] = ()) -> Outcome:
    """Return what the controller makes of a fault of the storage in this dirt."""
    script = [*soiled(found, COMES, GOES), (FAILS, storage(state)), (MENDED, storage("well"))]
    return played(script, quiet=QUIET_SECONDS + 2 * PERIOD_SECONDS, nodes=nodes, scraped=True)


@pytest.mark.parametrize("dirt", ALL, ids=repr)
def test_each_kind_of_dirt_causes_what_the_table_says_and_nothing_else(dirt: Dirt) -> None:
    outcome, rows = alone(dirt), rows_of([dirt])
    assert outcome.errors(END) == []
    assert outcome.told == verdicts(rows)
    assert outcome.incidents == incidents(rows)
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}, "all is well in the end"


@pytest.mark.parametrize("row", TOGETHER, ids=lambda row: row.dirt)
def test_each_row_of_several_kinds_occurs(row: Row) -> None:
    found = [BY_NAME[name] for name in row.dirt.split(" + ")]
    outcome = played(soiled(found, COMES, GOES))
    assert outcome.errors(END) == []
    assert verdicts([row]) <= outcome.told
    assert unexpected(outcome, found) == set()


def test_the_table_names_kinds_of_dirt_that_there_are_and_each_row_once() -> None:
    named = {row.dirt for row in (*EXPECTED, *RIGHT)} - {row.dirt for row in TOGETHER}
    assert {each.name for each in ALL if each.told} <= named <= {each.name for each in ALL}
    assert max(Counter((*EXPECTED, *RIGHT)).values(), default=1) == 1


@quick
@given(dirts(ALL), st.integers(0, BEGIN_SECONDS + BUSY_SECONDS))
def test_several_kinds_at_once_cause_nothing_that_the_table_does_not_list(
    found: list[Dirt], since: int
) -> None:
    outcome = played(soiled(found, since, GOES))
    assert outcome.errors(END) == []
    assert unexpected(outcome, found) == set()


@pytest.mark.parametrize("dirt", UNTOLD, ids=repr)
def test_a_fault_of_the_storage_is_found_in_dirt(dirt: Dirt) -> None:
    outcome = with_fault(dirt)
    assert outcome.errors(END) == []
    assert ("io", "IOError") in outcome.incidents


@pytest.mark.usefixtures("promtool")
def test_the_alert_fires_once_for_each_fault_of_the_storage_and_never_for_dirt() -> None:
    lasted = (T0 + FAILS, T0 + MENDED)
    no_fault = [Story(dirt.name, alone(dirt).scrapes) for dirt in ALL]
    faults = [Story(f"fault, {dirt.name}", with_fault(dirt).scrapes, lasted) for dirt in UNTOLD]
    clean = [
        Story(f"storage {state}", with_fault(state=state, nodes=("n2",)).scrapes, lasted)
        for state in ("does not mount", "hangs", "fails")
    ]
    assert wrong([*no_fault, *faults, *clean]) == []


def test_a_node_that_the_watch_does_not_show_as_it_is_is_not_read_without_end() -> None:
    # Without a pause between reads, virtual time does not pass, and this never ends.
    script = [(87, storage("fails")), (130, World.uncordon)]
    outcome = played(script, with_gaps([("nodes", 105, 37)]))
    assert outcome.io["false"] >= 1
