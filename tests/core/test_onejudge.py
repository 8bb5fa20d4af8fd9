"""There is one judge: the controller and `pie check` get their verdicts from the same code."""

import ast
from pathlib import Path

import pie

SOURCES = Path(pie.__file__).parent


def calls(path: Path) -> int:
    """Return how often a module calls the function `judge`, by whatever way it was imported."""
    called = (each.func for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.Call))
    names = [each.id if isinstance(each, ast.Name) else getattr(each, "attr", "") for each in called]
    return names.count("judge")


def test_judge_has_one_caller() -> None:
    found = {path.relative_to(SOURCES).as_posix(): calls(path) for path in SOURCES.rglob("*.py")}
    assert {path: count for path, count in found.items() if count} == {"core/target/judging.py": 1}
