"""What pie imports is declared, locked with hashes, and explained."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {"yaml": "pyyaml", "prometheus_client": "prometheus-client"}
"""Where a package is imported under another name than it is installed."""


def imported() -> set[str]:
    """Return the distributions that modules of pie import."""
    names: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    packages = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"pie"}
    return {DISTRIBUTIONS.get(name, name) for name in packages}


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {re.split(r"[<>=~! \[]", each)[0] for each in project["dependencies"]}


def test_what_is_imported_is_declared_and_nothing_else() -> None:
    assert imported() == declared()


def test_what_is_declared_is_locked_with_hashes() -> None:
    lock = (ROOT / "requirements/pie.lock").read_text()
    locked = set(re.findall(r"^([\w.-]+)==\S+ \\\n    --hash=sha256:", lock, re.MULTILINE))
    assert declared() <= locked


def test_what_is_declared_is_explained() -> None:
    page = (ROOT / "docs/dependencies.md").read_text().lower()
    rows = re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)
    assert declared() <= {name.strip() for row in rows for name in row.split(",")}
