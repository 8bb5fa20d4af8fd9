"""docs/cost.md has the figures of the cost model."""

from pathlib import Path

import pytest

from pie.core.cost.lines import Actor, Line, run_lines
from pie.core.kinds import KINDS
from pie.core.model import Kind, RunnerKind

PAGE = (Path(__file__).parents[2] / "docs/cost.md").read_text()


def total(lines: list[Line]) -> tuple[float, float]:
    return sum(each.writes for each in lines), sum(each.events for each in lines)


def cost(actor: Actor | None, runner: RunnerKind, kind: str, *, attach: bool) -> tuple[float, float]:
    return total([each for each in run_lines(runner, kind, attach=attach) if actor in {None, each.actor}])


OPTIONAL = [row.name for row in KINDS.values() if row.optional]


@pytest.mark.parametrize("kind", OPTIONAL)
def test_the_table_of_canaries_and_resident_pods_has_the_figures_of_the_model(kind: str) -> None:
    table = PAGE.partition("### Canaries and resident pods")[2].partition("\n\nA resident pod")[0]
    header, _, *rows = (line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|"))
    column = next(i for i, cell in enumerate(header) if cell.strip(" `").startswith(kind))
    without, attached = (total([*run_lines(RunnerKind.POD, kind, attach=attach)]) for attach in (False, True))
    more = tuple(a - b for a, b in zip(attached, without, strict=True))
    assert [row[column].strip() for row in rows] == [f"{w:g} + {e:g}" for w, e in (without, more)]


@pytest.mark.parametrize("actor", [*Actor, None])
def test_the_table_of_who_writes_what_is_that_of_the_model(actor: Actor | None) -> None:
    found = [
        cost(actor, runner, kind, attach=False)
        for kind in (Kind.MOUNT, Kind.PROVISION)
        for runner in RunnerKind
    ]
    attached, plain = (cost(actor, RunnerKind.POD, Kind.MOUNT, attach=each) for each in (True, False))
    found.append((attached[0] - plain[0], attached[1] - plain[1]))
    cells = (f"{writes:g} + {events:g}" if writes or events else "0" for writes, events in found)
    assert f"| {actor or 'together'} | {' | '.join(cells)} |" in PAGE
