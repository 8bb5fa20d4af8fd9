"""`python -m testbed fault …`: break a real node or its storage, show what is broken, and repair it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar, cast

import typer
from rich.console import Console
from rich.table import Table

from testbed import faults
from testbed.cluster import Cluster
from testbed.errors import TestbedError

app = typer.Typer(help=__doc__, no_args_is_help=True)
DEFAULT_NAME = "dev"
T = TypeVar("T")
Name = Annotated[str, typer.Option("--name", "-n", help="Which testbed.")]
Node = Annotated[str, typer.Option("--node", help="Which node.")]
NodeOrNone = Annotated[str, typer.Option("--node", help="Which node; a fault of pods has none.")]
Fault = Annotated[str, typer.Argument(help="A name that `fault list` shows.")]
Claims = Annotated[
    str, typer.Option(help="Whose volumes: a shell pattern for claims, <namespace>/<name> or <name>.")
]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it; print an error of the testbed as a message, without a traceback."""
    try:
        return asyncio.run(work)
    except TestbedError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error


def attach(name: str) -> Cluster:
    """Find a running testbed."""

    async def find() -> Cluster:
        return Cluster.attach(name)

    return cast(Cluster, run(find()))


async def _within(name: str, work: Callable[[Cluster], Awaitable[T]]) -> T:
    """Do something with a running testbed."""
    async with Cluster.attach(name) as cluster:
        return await work(cluster)


@app.command(name="list")
def list_() -> None:
    """List all faults."""
    table = Table("fault", "what happens")
    for name, fault in faults.FAULTS.items():
        table.add_row(name, fault.meaning)
    Console(soft_wrap=True).print(table)


@app.command()
def inflict(  # noqa: PLR0917  Typer passes them by name
    fault: Fault,
    node: NodeOrNone = "",
    name: Name = DEFAULT_NAME,
    claims: Claims = "*",
    after_seconds: Annotated[float, typer.Option(help="Bite so long after a publish.")] = 0,
    delay_seconds: Annotated[float, typer.Option(help="How long slow calls take.")] = 60,
    other: Annotated[str, typer.Option(help="Claim whose volume is swapped in.")] = "",
    taint: Annotated[str, typer.Option(help="Of a tainted node: key=value:Effect.")] = faults.TAINT,
    pods: Annotated[str, typer.Option(help="Whose pods: <namespace>/<key>=<value>,…")] = "",
    one_in: Annotated[int, typer.Option(help="Of what is deleted at random: hit one in so many.")] = 1,
) -> None:
    """Cause a fault of a node or of pods: mounted volumes fail at once, others when they are mounted next."""
    options = faults.Options(
        claims=claims,
        after_seconds=after_seconds,
        delay_seconds=delay_seconds,
        other=other,
        taint=taint,
        pods=pods,
        one_in=one_in,
    )
    run(_within(name, lambda cluster: faults.inflict(cluster, fault, node=node, options=options)))


@app.command()
def undo(fault: Fault, node: NodeOrNone = "", name: Name = DEFAULT_NAME) -> None:
    """End a fault and undo its effects."""
    run(_within(name, lambda cluster: faults.undo(cluster, fault, node=node)))


@app.command()
def undo_all(node: Node, name: Name = DEFAULT_NAME) -> None:
    """End all faults of a node."""
    run(_within(name, lambda cluster: faults.undo_all(cluster, node=node)))


@app.command()
def snapshot(node: Node, claims: Claims, name: Name = DEFAULT_NAME) -> None:
    """Copy volumes; the fault `stale` goes back to the copy."""
    copies = run(_within(name, lambda cluster: faults.snapshot(cluster, node=node, claims=claims)))
    for claim, path in copies.items():
        print(claim, path)


@app.command()
def show(node: Node, name: Name = DEFAULT_NAME) -> None:
    """Show a node's volumes, its armed faults, and which have taken effect."""
    state = run(_within(name, lambda cluster: faults.state(cluster, node=node)))
    volumes = Table("claim", "filesystem", "bytes", "backing file", "mounts")
    for each in state.volumes:
        volume = each.volume
        size = str(volume.capacity_bytes)
        volumes.add_row(volume.claim, volume.filesystem, size, each.backing_file, str(len(each.mounts)))
    console = Console(soft_wrap=True)
    console.print(volumes)
    print("free in the pool:", state.available_bytes, "bytes")
    for name_, armed in state.armed.items():
        print("armed:", name_, armed)
    for bite in state.bitten:
        when = datetime.fromtimestamp(bite.at_seconds, UTC).isoformat(timespec="seconds")
        print("bitten:", when, bite.fault, bite.claim, bite.error)
