"""`pie demo fault`: inject a fault into the running demo, or end it."""

import asyncio
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pie.cli.output import USAGE, Output, complain, structured

if TYPE_CHECKING:
    from pie.cli.panelclient import Panel, State

PANEL_FILE = "panel"
"""In the directory of a demo's cluster: the address of its panel, by which this command finds it."""
_DIRECTORIES = "pie-embedded-*"


def fault(
    name: Annotated[str, typer.Argument(help="The fault. Default: list the faults.")] = "",
    node: Annotated[
        str, typer.Option(help="The node. Default: all nodes; with --undo, the nodes that have the fault.")
    ] = "",
    undo: Annotated[bool, typer.Option("--undo", help="End the fault.")] = False,
    server: Annotated[
        str, typer.Option(help="Address of the demo's page. Default: the one demo that runs here.")
    ] = "",
    output: Annotated[Output, typer.Option(help="Format of the list.")] = Output.TABLE,
) -> None:
    """Inject a fault into the running demo, or end it. Without a name, list the faults and their nodes.

    Exit status: 0 done, 2 it could not be done, or no demo is running.

    Examples: pie demo fault; pie demo fault hang --node node-2; pie demo fault hang --undo
    """
    from pie.cli.panelclient import NoPanel  # noqa: PLC0415  `pie --help` need not load it

    try:
        state = asyncio.run(_ask(name, node, undo, server))
    except NoPanel as error:
        complain("pie demo fault", str(error))
        raise typer.Exit(USAGE) from None
    if name:
        typer.echo(f"{name}, {node or 'every node where possible'}: {'ended' if undo else 'injected'}")
    elif output is Output.TABLE:
        typer.echo(_listed(state))
    else:
        typer.echo(structured(state, output))


async def _ask(name: str, node: str, undo: bool, server: str) -> "State":
    """Inject or end the fault, and return the active faults. Raises NoPanel."""
    from pie.cli.panelclient import panels  # noqa: PLC0415

    async with panels() as (at, of_page):
        panel = await of_page(server) if server else await _only([at(url) for url in addresses(_files())])
        if not name:
            return await panel.state()
        return await (panel.mend(name, node) if undo else panel.make(name, node))


async def _only(found: "list[Panel]") -> "Panel":
    """Return the panel that answers, if there is exactly one: a killed demo leaves its address behind."""
    from pie.cli.panelclient import NoPanel  # noqa: PLC0415

    alive = []
    for panel in found:
        try:
            await panel.state()
        except NoPanel:
            continue
        alive.append(panel)
    if not alive:
        raise NoPanel(
            "no demo runs here: start one with `pie demo`, or give the address of its page with --server"
        )
    if len(alive) > 1:
        raise NoPanel(f"{len(alive)} demos run here: give the address of one's page with --server")
    return alive[0]


def _files() -> list[Path]:
    """Return the address files of demos: also those of other users, and of demos that were killed."""
    return sorted(Path(tempfile.gettempdir()).glob(f"{_DIRECTORIES}/{PANEL_FILE}"))


def addresses(files: Iterable[Path]) -> list[str]:
    """Return the contents of the files that belong to this user and still exist."""
    found = []
    for file in files:
        with suppress(FileNotFoundError):  # the demo has ended since the files were listed
            if file.stat().st_uid == os.getuid():
                found.append(file.read_text())
    return found


def _listed(state: "State") -> str:
    """Return the faults in a table: name, where it is, meaning."""
    rows = []
    for known in state.faults:
        nodes = [each.node or "the cluster" for each in state.active if each.fault == known.name]
        rows.append((known.name, ", ".join(nodes) or "-", known.meaning))
    widths = [max(len(row[column]) for row in [*rows, ("FAULT", "BROKEN ON", "")]) for column in (0, 1)]
    lines = [("FAULT", "BROKEN ON", "MEANING"), *rows]
    return "\n".join(
        f"{first:<{widths[0]}}  {second:<{widths[1]}}  {third}" for first, second, third in lines
    )
