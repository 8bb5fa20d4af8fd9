"""`pie report`: how the storage worked, from the metrics that a Prometheus has scraped from pie."""

import asyncio
import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pie.cli.output import USAGE, complain


class Form(StrEnum):
    """Formats of a report."""

    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"
    YAML = "yaml"


def report(  # noqa: PLR0917  Typer reads flags from parameters
    prometheus: Annotated[
        str,
        typer.Option(envvar="PROMETHEUS_URL", help="Address of Prometheus, such as http://localhost:9090."),
    ],
    since: Annotated[str, typer.Option(help="Length of the reported time: 7d, 12h, 90m.")] = "7d",
    output: Annotated[Form, typer.Option("--output", "-o", help="Format of the report.")] = Form.MARKDOWN,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a bearer token for Prometheus. Default: $PROMETHEUS_TOKEN holds the token.",
            dir_okay=False,
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the CA certificates that signed Prometheus' certificate.", dir_okay=False
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="File to write the report to. Default: standard output.", dir_okay=False),
    ] = None,
) -> None:
    """Report availability, suppressed time, incidents and latencies, per StorageClass and node.

    Exit status: 0 reported, 2 nothing to report: no Prometheus, no metrics of pie, or too few.

    Examples: pie report --prometheus http://localhost:9090
    pie report --since 30d --prometheus http://localhost:9090 --output html --file storage.html
    """
    from pie.cli.prometheus import Access, ReportError, fetch  # noqa: PLC0415  `pie --help` need not load it
    from pie.cli.reporttext import written  # noqa: PLC0415
    from pie.core.reportqueries import since_seconds  # noqa: PLC0415

    try:
        seconds = since_seconds(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
    try:
        access = Access(_token(token_file), ca_file)
        text = written(asyncio.run(fetch(prometheus, seconds, time.time(), access)), output)
    except ReportError as error:
        complain("pie report", str(error))
        raise typer.Exit(USAGE) from None
    if file is None:
        typer.echo(text)
        return
    try:
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        complain("pie report", f"cannot write {file}: {error.strerror}")
        raise typer.Exit(USAGE) from None


def _token(file: Path | None) -> str:
    """Return the bearer token; never from the command line, which every user of the machine can read."""
    if file is None:
        return os.environ.get("PROMETHEUS_TOKEN", "").strip()
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        complain("pie report", f"cannot read the token file {file}: {why}")
        raise typer.Exit(USAGE) from None
