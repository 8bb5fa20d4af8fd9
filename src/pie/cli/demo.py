"""`pie demo`: a small cluster in this process, pie at work on it, and faults to watch it find."""

import asyncio
import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pie.embedded.cluster import EmbeddedCluster
    from pie.embedded.store import Change
    from pie.embedded.stories import Story

PROBE = "demo"
NAMESPACE = "pie"


def demo(
    nodes: Annotated[int, typer.Option(min=1, max=50, help="How many nodes.")] = 4,
    scenario: Annotated[
        str, typer.Option(help="A story to play: crash, maintenance, control-plane or disks.")
    ] = "",
    duration: Annotated[
        float | None,
        typer.Option(min=1, help="End after so many seconds. Default: with the story, or never."),
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No page (there is none yet).")] = False,  # noqa: ARG001
    minute_seconds: Annotated[
        float, typer.Option(min=2, help="How long a minute of the schedules lasts; 60 is real time.")
    ] = 10.0,
) -> None:
    """Show pie at work on a cluster in this process: real I/O on directories, no Kubernetes needed.

    Example: pie demo --scenario crash
    """
    from rich.console import Console  # noqa: PLC0415  `pie --help` need not load it

    from pie.embedded.stories import STORIES  # noqa: PLC0415

    if scenario and scenario not in STORIES:
        raise typer.BadParameter(f"there is no story {scenario!r}; there are: {', '.join(STORIES)}")
    console = Console(highlight=False)
    try:
        asyncio.run(_demo(console, nodes, STORIES.get(scenario), duration, minute_seconds))
    except TimeoutError:
        console.print("the time is over")


async def _demo(
    console: "Console", nodes: int, story: "Story | None", duration: float | None, minute_seconds: float
) -> None:
    from pie.controller.app import run  # noqa: PLC0415
    from pie.controller.settings import Settings  # noqa: PLC0415
    from pie.embedded.cluster import EmbeddedCluster  # noqa: PLC0415
    from pie.embedded.panel import panel  # noqa: PLC0415

    _tell_verdicts(console)
    async with asyncio.timeout(duration):
        cluster = EmbeddedCluster(nodes=nodes, minute_seconds=minute_seconds, probe_options=("--size", "8M"))
        async with cluster, panel(cluster.faults) as address:
            cluster.store.listen(lambda change: _tell_change(console, change))
            console.print(
                f"[bold]A cluster of {nodes} nodes[/], in memory. Look at it with the real kubectl:"
            )
            console.print(f"  export KUBECONFIG={cluster.kubeconfig}", soft_wrap=True)
            console.print(f"Faults: curl {address}/faults", soft_wrap=True)
            console.print(f"        curl -X POST '{address}/faults/hang?node=node-1'", soft_wrap=True)
            if shutil.which("fio") is None:
                console.print(
                    "fio is not installed: pie measures by itself, more roughly. apt-get install fio"
                )
            _apply_probe(cluster)
            settings = Settings(
                container_image="pie",
                kubeconfig=str(cluster.kubeconfig),
                metrics_bind_address="127.0.0.1:0",
                health_probe_bind_address="127.0.0.1:0",
            )
            controller = asyncio.create_task(run(settings))
            playing = asyncio.create_task(_play(console, cluster, story, minute_seconds))
            try:
                await asyncio.wait([controller, playing], return_when=asyncio.FIRST_COMPLETED)
            finally:
                playing.cancel()
                controller.cancel()
                await asyncio.wait([controller, playing])
            _raise_from(controller, playing)


def _raise_from(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        if not task.cancelled():
            task.result()


def _apply_probe(cluster: "EmbeddedCluster") -> None:
    from pie.embedded.kinds import PIE_PROBES  # noqa: PLC0415
    from pie.embedded.machines import STORAGE_CLASS  # noqa: PLC0415

    rule = {"key": "kubernetes.io/os", "operator": "Exists"}
    spec = {
        "monitoringStorageClass": STORAGE_CLASS,
        "nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]},
        "probeThreshold": "5s",
        "deadline": "10s",
    }
    cluster.registry.create(PIE_PROBES, {"metadata": {"name": PROBE}, "spec": spec}, NAMESPACE)


async def _play(
    console: "Console", cluster: "EmbeddedCluster", story: "Story | None", minute_seconds: float
) -> None:
    """Play a story to its end; without one, never end."""
    if story is None:
        await asyncio.Event().wait()
        return
    console.print(f"[bold]{story.name}[/]: {story.meaning}")
    for step in story.steps:
        await asyncio.sleep(step.after_minutes * minute_seconds)
        console.print(f"{_now()}  [bold cyan]{step.words}[/]")
        for act, faults in ((cluster.faults.inject, step.inject), (cluster.faults.clear, step.clear)):
            for fault in faults:
                name, _, where = fault.partition(" ")
                for node in sorted(cluster.machines.by_name)[1:] if where == "others" else [where]:
                    await act(name, node)


def _tell_verdicts(console: "Console") -> None:
    """Have the controller's logs shown as a person wants to read them: verdicts, and what goes wrong."""
    import structlog  # noqa: PLC0415

    colours = {"ok": "green", "suppressed": "yellow"}

    def show(_logger: Any, level: str, entry: Any) -> Any:
        if entry["event"] == "verdict":
            colour = colours.get(entry["verdict"], "red")
            said = f"{entry['reason']} {entry['message']}".removeprefix("OK").strip()
            console.print(
                f"{_now()}  [{colour}]{entry['verdict']:<10}[/] {entry['target']}  [dim]{_plain(said)}[/]",
                soft_wrap=True,
            )
        elif level in {"warning", "error", "critical"} and not entry["event"].startswith("incident"):
            words = " ".join(f"{key}={value}" for key, value in entry.items() if key != "event")
            console.print(f"{_now()}  [dim]{_plain(entry['event'])} {_plain(words)}[/]", soft_wrap=True)
        raise structlog.DropEvent

    structlog.configure(processors=[show], wrapper_class=structlog.make_filtering_bound_logger(20))


def _tell_change(console: "Console", change: "Change") -> None:
    """Show what pie writes to its PieProbe: Events (incidents open and close), and how its targets are."""
    from pie.embedded.kinds import EVENTS, PIE_PROBES  # noqa: PLC0415

    new, old = change.object, change.old or {}
    if change.kind is EVENTS and change.type == "ADDED" and new["involvedObject"]["kind"] == "PieProbe":
        colour = "red" if new["type"] == "Warning" else "green"
        console.print(f"{_now()}  [bold {colour}]{new['reason']}[/] {_plain(new['message'])}", soft_wrap=True)
    targets = new.get("status", {}).get("targets") if change.kind is PIE_PROBES else None
    if targets and targets != old.get("status", {}).get("targets"):
        counts = [f"{count} {word}" for word, count in targets.items() if count and word != "total"]
        console.print(f"{_now()}  [dim]{targets['total']} targets: {', '.join(counts)}[/]")


def _plain(text: str) -> str:
    from rich.markup import escape  # noqa: PLC0415

    return escape(str(text))


def _now() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")
