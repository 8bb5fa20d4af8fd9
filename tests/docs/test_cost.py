"""docs/cost.md has the figures of the cost model."""

from pathlib import Path

import pytest

from pie.core.cost.lines import Actor, Line, run_lines
from pie.core.model import Kind, RunnerKind

PAGE = (Path(__file__).parents[2] / "docs/cost.md").read_text()


def total(lines: list[Line]) -> tuple[float, float]:
    return sum(each.writes for each in lines), sum(each.events for each in lines)


def cost(actor: Actor | None, runner: RunnerKind, kind: str, *, attach: bool) -> tuple[float, float]:
    return total([each for each in run_lines(runner, kind, attach=attach) if actor in {None, each.actor}])


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
