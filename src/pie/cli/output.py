"""What commands print besides tables: JSON and YAML as docs/api.md has it, and errors in one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NoReturn

import typer

USAGE = 2
"""Exit status: the command cannot be done as it was given, or there is no cluster to do it on."""


class Output(StrEnum):
    """How a command prints what it found."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def structured(thing: Any, output: str) -> str:
    """Return a Struct as JSON or YAML."""
    import msgspec  # noqa: PLC0415  `pie --help` need not load it

    if output == Output.JSON:
        return msgspec.json.format(msgspec.json.encode(thing), indent=2).decode()
    import yaml  # noqa: PLC0415

    return str(yaml.safe_dump(msgspec.to_builtins(thing), sort_keys=False, allow_unicode=True)).rstrip()


@contextmanager
def plain_errors(command: str) -> Iterator[None]:
    """Show what the cluster, or the way to it, refuses in one line, and end with status 2."""
    import structlog  # noqa: PLC0415

    from pie.kube.errors import KubeError  # noqa: PLC0415

    def drop(_logger: object, _level: str, _entry: object) -> NoReturn:
        raise structlog.DropEvent

    # What the layers below log is for those who run a controller; what matters here is said as an error.
    structlog.configure(processors=[drop])
    try:
        yield
    except KubeError as error:
        complain(command, str(error))
        raise typer.Exit(USAGE) from None


def complain(command: str, message: str) -> None:
    """Say in one line on standard error what is wrong."""
    from pie.core.text import MOST_CHARACTERS, one_line  # noqa: PLC0415  `pie --help` need not load it

    sys.stderr.write(f"{command}: {one_line(message, MOST_CHARACTERS)}\n")


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return one of the errors that ended tasks together: mostly they have one reason."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
