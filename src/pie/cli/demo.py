"""`pie demo`: a small cluster in this process, pie at work on it, and faults to watch it find."""

import asyncio
import errno
import shutil
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pie.cli.narrator import Narrator
    from pie.cli.stories import Said, Step, Story
    from pie.embedded.cluster import EmbeddedCluster

PROBE = "demo"
NAMESPACE = "pie"
_FIRST_STORY = "crash"
_NO_STORY = "none"
# Faults come so long before the next runs are due, and so in the calmest moment.
_BEFORE_DUE_SECONDS = 0.5
_PATIENCE_SECONDS = 90.0
_PATIENCE_MINUTES = 5.0
_LOOK_EVERY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class _Options:
    nodes: int
    story: "Story | None"
    headless: bool
    minute_seconds: float
    port: int


def demo(  # noqa: PLR0917  Typer reads flags from parameters
    nodes: Annotated[int, typer.Option(min=1, max=50, help="How many nodes.")] = 6,
    scenario: Annotated[
        str,
        typer.Option(help="The story to play: crash, maintenance, control-plane, disks, or none."),
    ] = "",
    duration: Annotated[
        float | None,
        typer.Option(min=1, help="End after so many seconds. Default: never; headless, with the story."),
    ] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="No panel for faults, and the end of the story is the end.")
    ] = False,
    minute_seconds: Annotated[
        float, typer.Option(min=2, help="How long a minute of the schedules lasts; 60 is real time.")
    ] = 10.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any that is free.")] = 0,
) -> None:
    """Show pie at work on a cluster in this process: real I/O on directories, no Kubernetes needed.

    Without --scenario it plays `crash`, and then is yours: break something in the panel, watch the page.

    Exits with 1 when pie did not say in time what the story has it say, or its cluster died of a defect.

    Examples: pie demo; pie demo --scenario maintenance; pie demo --headless --scenario disks
    """
    from rich.console import Console  # noqa: PLC0415  `pie --help` need not load it
    from rich.markup import escape  # noqa: PLC0415

    from pie.cli.narrator import Narrator  # noqa: PLC0415
    from pie.embedded.errors import ActorDied  # noqa: PLC0415

    story = _story(scenario, nodes, headless)
    if headless and story is None and duration is None:
        raise typer.BadParameter("without a story a headless demo has no end: give it --duration SECONDS")
    narrator = Narrator(Console(highlight=False))
    told = True
    try:
        told = asyncio.run(
            _demo(narrator, _Options(nodes, story, headless, minute_seconds, port), duration),
        )
    except TimeoutError:
        narrator.say("the time is over")
    except ActorDied as died:
        narrator.say(f"[bold red]{escape(str(died))}[/]; this is a defect of the demo, start it anew")
        told = False
    if not told:
        raise typer.Exit(1)


def _story(scenario: str, nodes: int, headless: bool) -> "Story | None":
    """Return the story to play, None for none. Raises typer.BadParameter."""
    from pie.cli.stories import STORIES  # noqa: PLC0415

    story = STORIES.get(scenario or _FIRST_STORY)
    if story is None:
        if scenario != _NO_STORY:
            known = ", ".join([*STORIES, _NO_STORY])
            raise typer.BadParameter(f"there is no story {scenario!r}; there are: {known}")
    elif nodes < story.nodes:
        if scenario or headless:
            raise typer.BadParameter(f"the story {story.name} takes {story.nodes} nodes or more, not {nodes}")
        typer.echo(f"No story is played: {story.name} takes {story.nodes} nodes or more, not {nodes}.")
        return None
    return story


async def _demo(narrator: "Narrator", options: _Options, duration: float | None) -> bool:
    """Bring all up and play; return whether pie said what the story has it say."""
    from pie.controller.app import run  # noqa: PLC0415
    from pie.controller.settings import Settings  # noqa: PLC0415
    from pie.embedded.cluster import EmbeddedCluster  # noqa: PLC0415
    from pie.embedded.panel import panel_app  # noqa: PLC0415
    from pie.serve.http import serving  # noqa: PLC0415

    narrator.listen()
    async with asyncio.timeout(duration), AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(
            EmbeddedCluster(
                nodes=options.nodes,
                minute_seconds=options.minute_seconds,
                probe_options=("--size", "8M"),
            )
        )
        cluster.store.listen(narrator.changed)
        panel_url = None
        if not options.headless:
            panel_port = await stack.enter_async_context(serving(panel_app(cluster), "127.0.0.1:0"))
            panel_url = f"http://127.0.0.1:{panel_port}"
        _apply_probe(cluster)
        settings = Settings(
            container_image="pie",
            kubeconfig=str(cluster.kubeconfig),
            metrics_bind_address=f"127.0.0.1:{options.port}",
            health_probe_bind_address="127.0.0.1:0",
            minute_seconds=options.minute_seconds,
            panel_url=panel_url,
        )
        controller = asyncio.create_task(run(settings))
        playing = asyncio.create_task(_play(narrator, cluster, options, panel_url))
        try:
            # A cluster that died says so when it is left.
            await asyncio.wait([controller, playing, cluster.running], return_when=asyncio.FIRST_COMPLETED)
        finally:
            playing.cancel()
            controller.cancel()
            await asyncio.wait([controller, playing])
        if not controller.cancelled() and (error := controller.exception()) is not None:
            raise _refusal(error, options.port) or error
        return playing.cancelled() or playing.result()


def _refusal(error: BaseException, port: int) -> typer.BadParameter | None:
    """Return what to tell a user whose port is taken, if that is why the controller ended."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return typer.BadParameter(f"port {port} is in use; name another, or 0", param_hint="--port")
    return None


def _apply_probe(cluster: "EmbeddedCluster") -> None:
    from pie.embedded.kinds import PIE_PROBES  # noqa: PLC0415
    from pie.embedded.machines import STORAGE_CLASS  # noqa: PLC0415

    rule = {"key": "kubernetes.io/os", "operator": "Exists"}
    spec = {
        "monitoringStorageClass": STORAGE_CLASS,
        "nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]},
        "probeThreshold": "5s",
        # A run that waited for a fault to end has time left to finish.
        "deadline": "30s",
        # The nodes of a demo are always new.
        "suppression": {"newNodeGrace": "0s"},
    }
    cluster.registry.create(PIE_PROBES, {"metadata": {"name": PROBE}, "spec": spec}, NAMESPACE)


def _introduce(narrator: "Narrator", cluster: "EmbeddedCluster", panel_url: str | None) -> None:
    from pie.embedded.panel import HEADER  # noqa: PLC0415
    from pie.probe.volume import can_direct  # noqa: PLC0415

    def line(words: str) -> None:
        narrator.say(words, stamp=False)

    line(f"[bold]A cluster of {len(cluster.machines)} nodes[/], in memory, and pie at work on it.")
    if panel_url is not None:
        line(f"  The page:    [bold]http://127.0.0.1:{narrator.port}/[/]")
        line(f"  Make faults: [bold]{panel_url}/[/]")
        line(f"  By command:  curl -H '{HEADER}: 1' -X POST '{panel_url}/faults/hang?node=node-1'")
        line("               and with DELETE in the place of POST it is mended")
    line(f"  Metrics:     http://127.0.0.1:{narrator.port}/metrics")
    line(f"  Ask it:      pie status --server http://127.0.0.1:{narrator.port}")
    line(f"               pie explain {PROBE} --server http://127.0.0.1:{narrator.port}")
    line(f"  kubectl:     export KUBECONFIG={cluster.kubeconfig}; kubectl get pieprobes")
    if shutil.which("fio") is None:
        line("  fio is not installed: pie measures by itself, more roughly. On Debian: apt-get install fio")
    if not can_direct(cluster.kubeconfig):
        line(f"  O_DIRECT is not to be had in {cluster.directory}: pie measures memory rather than a disk")


async def _play(
    narrator: "Narrator", cluster: "EmbeddedCluster", options: _Options, panel_url: str | None
) -> bool:
    """Play the story; return whether pie said all it has it say. Without --headless, never return."""
    await narrator.serving.wait()
    _introduce(narrator, cluster, panel_url)
    told = True
    if options.story is not None:
        narrator.say(f"[bold]{options.story.name}[/]: {options.story.meaning}", stamp=False)
        for step in options.story.steps:
            told = await _take(narrator, cluster, step, options.minute_seconds) and told
        narrator.say(await _counted(narrator.port))
    if options.story is not None and options.headless:
        return told
    if panel_url is not None:
        narrator.say(f"[bold cyan]Now it is yours: break something at {panel_url}/ ; Ctrl-C ends it.[/]")
    await asyncio.Event().wait()
    return told


async def _take(
    narrator: "Narrator", cluster: "EmbeddedCluster", step: "Step", minute_seconds: float
) -> bool:
    """Take one step of a story; return whether pie said in time what it has to."""
    from pie.embedded.faults import FaultError  # noqa: PLC0415

    if step.inject:
        left = minute_seconds - time.time() % minute_seconds
        await asyncio.sleep(max(0.0, left - _BEFORE_DUE_SECONDS))
    narrator.say(f"[bold cyan]{step.words}[/]")
    try:
        await _break_and_mend(cluster, step)
    except FaultError as error:
        narrator.say(f"[bold red]{error}[/]")
        return False
    await asyncio.sleep(step.minutes * minute_seconds)
    if step.until is None:
        return True
    patience_seconds = _PATIENCE_SECONDS + _PATIENCE_MINUTES * minute_seconds
    give_up_at = time.monotonic() + patience_seconds
    while not _says(cluster, step.until):
        if time.monotonic() > give_up_at:
            wanted = ", ".join(f"{reason} at {stage}" for stage, reason in sorted(step.until))
            narrator.say(
                f"[bold red]pie has not said within {patience_seconds:.0f} s: {wanted or 'all is well'}[/]"
            )
            return False
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
    return True


async def _break_and_mend(cluster: "EmbeddedCluster", step: "Step") -> None:
    for act, faults in ((cluster.faults.inject, step.inject), (cluster.faults.clear, step.clear)):
        for fault in faults:
            name, _, where = fault.partition(" ")
            for node in sorted(cluster.machines)[1:] if where == "others" else [where]:
                await act(name, node)


def _says(cluster: "EmbeddedCluster", until: "Said") -> bool:
    """Tell whether pie has exactly these incidents open; if none, whether every target is well."""
    from pie.embedded.kinds import PIE_PROBES  # noqa: PLC0415

    probe = cluster.registry.find(PIE_PROBES, NAMESPACE, PROBE)
    status = (probe or {}).get("status", {})
    now_open = {
        (each["stage"], each["reason"]) for each in status.get("incidents", []) if "closedAt" not in each
    }
    targets = status.get("targets", {"total": 0})
    well = targets["total"] > 0 and targets["ok"] == targets["total"]
    return now_open == until and (bool(until) or well)


async def _counted(port: int) -> str:
    """Return what pie's own metrics say of all runs so far."""
    import aiohttp  # noqa: PLC0415

    from pie.cli.narrator import counted  # noqa: PLC0415

    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        return counted(await answer.text())
