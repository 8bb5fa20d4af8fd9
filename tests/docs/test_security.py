"""SECURITY.md names tests for everything that it says others cannot do, and they exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.endswith("| Test |")]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def functions_of(path: Path) -> set[str]:
    """Return the names of the functions in a module."""
    return {
        each.name
        for each in ast.parse(path.read_text()).body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("row", ROWS)
def test_whatever_others_cannot_do_is_tested(row: str) -> None:
    named = TEST.findall(row)
    assert named
    assert len(named) == row.count("::")
    assert [name for file, name in named if name not in functions_of(ROOT / file)] == []


def test_every_kind_of_attacker_has_its_rows() -> None:
    parts = PAGE.split("\n## ")[1:]
    titles = [part.splitlines()[0] for part in parts if "| Test |" in part]
    assert titles == [
        "What pie has",
        "A hostile pod in pie's namespace",
        "A hostile node",
        "An author of PieProbes",
        "An author of Events",
        "A scraper",
        "A web page in the browser of an operator",
    ]
