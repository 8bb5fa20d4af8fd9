"""What pytest writes about a run (`--junitxml`), as the table and the stamp need it."""

from pathlib import Path
from xml.etree import ElementTree as ET

from tests.tiers.table import Case, Run

PROPERTY = "tier"
"""Property of each test: the name of its tier. `tests/conftest.py` sets it."""


def read(path: Path) -> Run:
    """Return a run. What failed before its tests were known has no tier, and is not among the cases."""
    suite = ET.parse(path).getroot().find("testsuite")  # noqa: S314  written by pytest, a moment ago
    if suite is None:
        raise ValueError(f"{path} has no testsuite")
    cases = (_case(each) for each in suite.iter("testcase"))
    return Run(float(suite.get("time", "0")), tuple(case for case in cases if case.tier))


def name_of(path: str, test: str) -> str:
    """Return the name that a test of a file has in a run."""
    return f"{path.removesuffix('.py').replace('/', '.')}::{test}"


def _case(element: ET.Element) -> Case:
    tiers = (each.get("value", "") for each in element.iter("property") if each.get("name") == PROPERTY)
    return Case(
        name=f"{element.get('classname')}::{element.get('name')}",
        tier=next(tiers, ""),
        seconds=float(element.get("time", "0")),
        outcome=_outcome(element),
    )


def _outcome(element: ET.Element) -> str:
    if element.find("failure") is not None or element.find("error") is not None:
        return "failed"
    return "skipped" if element.find("skipped") is not None else "passed"
