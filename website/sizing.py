"""The table of docs/sizing.md: what `pie plan` recommends for clusters of several sizes."""

import re
from pathlib import Path
from typing import Final

from pie.core.cost.ceilings import Cluster
from pie.core.cost.load import Demand
from pie.core.cost.report import report

PAGE: Final = Path(__file__).parents[1] / "docs/sizing.md"
NODES: Final = (10, 50, 100, 300, 1_000, 5_000)

_ROWS: Final = re.compile(r"(?:^\| [\d,]+ \| (?:no|yes) \|.*\n)+", re.MULTILINE)


def _row(nodes: int, *, attach: bool) -> str:
    found = report([Demand(nodes=nodes, attach=attach)], Cluster()).recommendation
    return f"| {nodes:,} | {'yes' if attach else 'no'} | {found.words} | {found.budget:,} |\n"


def page() -> str:
    """Return the page with the rows of the model as it is now."""
    rows = "".join(_row(nodes, attach=attach) for attach in (False, True) for nodes in NODES)
    return _ROWS.sub(lambda _: rows, PAGE.read_text())
