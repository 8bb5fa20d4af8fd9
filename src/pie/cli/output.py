"""Output of commands besides tables: JSON and YAML as in docs/api.md, and errors in one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NoReturn

import typer

USAGE = 2
"""Exit status: the command cannot be done with these arguments, or there is no cluster for it."""


class Output(StrEnum):
    """Output format of a command."""

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
    """Print an error of the cluster, or of the connection to it, in one line, and exit with 2."""
    import structlog  # noqa: PLC0415

    from pie.kube.errors import KubeError  # noqa: PLC0415

    def drop(_logger: object, _level: str, _entry: object) -> NoReturn:
        raise structlog.DropEvent

    # Logs of the layers below are for a controller; here everything important is an error.
    structlog.configure(processors=[drop])
    try:
        yield
    except KubeError as error:
        complain(command, str(error))
        raise typer.Exit(USAGE) from None


def complain(command: str, message: str) -> None:
    """Print an error in one line on standard error."""
    from pie.core.text import MOST_CHARACTERS, one_line  # noqa: PLC0415  `pie --help` need not load it

    sys.stderr.write(f"{command}: {one_line(message, MOST_CHARACTERS)}\n")


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return one of the errors that ended several tasks: usually they have the same cause."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
