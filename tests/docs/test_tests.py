"""What several test modules need is in a module of its own."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
RUN_ELSEWHERE = "tests.embedded.test_controller"
"""Runs tests of other modules, as they are, on another cluster."""


def module(path: Path) -> str:
    return ".".join(path.relative_to(TESTS.parent).with_suffix("").parts)


def imported(path: Path) -> set[str]:
    """Return the modules that a module imports, and what it imports from them."""
    found: set[str] = set()
    for each in ast.walk(ast.parse(path.read_text())):
        if isinstance(each, ast.Import):
            found |= {alias.name for alias in each.names}
        elif isinstance(each, ast.ImportFrom) and each.module:
            found |= {each.module, *(f"{each.module}.{alias.name}" for alias in each.names)}
    return found


TEST_MODULES = {module(path): path for path in sorted(TESTS.rglob("test_*.py"))}


def test_no_module_imports_a_test_module() -> None:
    modules = {module(path): path for path in TESTS.rglob("*.py")}
    assert modules.pop(RUN_ELSEWHERE)
    found = {name: sorted(imported(path) & TEST_MODULES.keys()) for name, path in modules.items()}
    assert {name: imports for name, imports in found.items() if imports} == {}
