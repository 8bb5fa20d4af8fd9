"""What the YAML files of this directory say: of each reason, and of the commands that answer a question."""

from functools import cache
from pathlib import Path
from typing import Final

from msgspec import Struct

from pie.core.decode import convert
from pie.core.reasons import Reason
from pie.core.yamltext import read_yaml

HERE: Final = Path(__file__).parent
FILES: Final = ("starting", "nodes", "running", "setup")


class Check(Struct, frozen=True, forbid_unknown_fields=True):
    """A question, and the commands that answer it."""

    question: str
    commands: str


class Variable(Struct, frozen=True, forbid_unknown_fields=True):
    """A variable of a shell that commands use."""

    example: str
    meaning: str


class Commands(Struct, frozen=True, forbid_unknown_fields=True):
    """All checks by name, and the variables in their commands."""

    variables: dict[str, Variable]
    checks: dict[str, Check]


class Runbook(Struct, frozen=True, forbid_unknown_fields=True):
    """What to read at night about one reason.

    `knows`: how pie knows it. `check`: names of checks, in their order. `do`: steps, the first one first.
    `is_not`: what it is not, although it may look like that.
    """

    knows: str
    check: list[str]
    do: list[str]
    is_not: list[str] = []


@cache
def commands() -> Commands:
    """Return all checks."""
    return convert(read_yaml((HERE / "commands.yaml").read_text()), Commands)


@cache
def runbooks() -> dict[Reason, Runbook]:
    """Return the runbooks by reason."""
    found: dict[Reason, Runbook] = {}
    for name in FILES:
        found |= convert(read_yaml((HERE / f"{name}.yaml").read_text()), dict[Reason, Runbook])
    return found
