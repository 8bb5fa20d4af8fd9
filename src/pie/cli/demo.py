"""`pie demo`: a small cluster in this process, with pie running on it, and faults for pie to find."""

import asyncio
import errno
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pie.cli.demofault import PANEL_FILE, fault

if TYPE_CHECKING:
    from pie.cli.narrator import Narrator
    from pie.cli.stories import Story
    from pie.embedded.cluster import EmbeddedCluster

PROBE = "demo"
NAMESPACE = "pie"
_FIRST_STORY = "crash"
_NO_STORY = "none"


class _Runner(StrEnum):
    """Values of spec.runner. `pie.core.model` has them too, but `--help` does not load it."""

    CRON_JOB = "CronJob"
    POD = "Pod"


@dataclass(frozen=True, slots=True)
class _Options:
    nodes: int
    story: "Story | None"
    headless: bool
    minute_seconds: float
    port: int
    runner: _Runner
    features: bool


app = typer.Typer(name="demo", rich_markup_mode=None)
app.command()(fault)


@app.callback(invoke_without_command=True)
def demo(  # noqa: PLR0917  Typer reads flags from parameters
    context: typer.Context,
    nodes: Annotated[int, typer.Option(min=1, max=50, help="Number of nodes.")] = 6,
    scenario: Annotated[
        str,
        typer.Option(help="The story to play: crash, maintenance, control-plane, disks, or none."),
    ] = "",
    duration: Annotated[
        float | None,
        typer.Option(
            min=1, help="End after this many seconds. Default: never; with --headless, when the story ends."
        ),
    ] = None,
    headless: Annotated[
        bool,
        typer.Option("--headless", help="End when the story ends, with its result as the exit status."),
    ] = False,
    minute_seconds: Annotated[
        float, typer.Option(min=2, help="Real seconds per minute of the schedules; 60 is real time.")
    ] = 10.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any free port.")] = 0,
    runner: Annotated[
        _Runner, typer.Option(help="What starts the probe pods: spec.runner of the PieProbe.")
    ] = _Runner.CRON_JOB,
    features: Annotated[
        bool,
        typer.Option(
            help="When the story has ended, probe also mounts that stay, and features of the class; not with"
            " --headless."
        ),
    ] = True,
) -> None:
    """Run a small cluster in this process, and pie on it: real I/O on directories, no Kubernetes needed.

    Without --scenario it plays the story `crash`. Then inject faults in the panel, and watch the page.

    Exit status: 0; 1 if its cluster failed. With --headless also 1 if pie did not report what the story
    expects, or reported something else, and 130 or 143 if it was interrupted before.

    Examples: pie demo; pie demo --scenario maintenance; pie demo --headless --scenario disks;
    while it runs, in another terminal: pie demo fault hang --node node-1
    """
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console  # noqa: PLC0415  `pie --help` need not load it
    from rich.markup import escape  # noqa: PLC0415

    from pie.cli.narrator import Narrator  # noqa: PLC0415
    from pie.embedded.errors import ActorDied  # noqa: PLC0415

    story = _story(scenario, nodes, headless)
    if headless and story is None and duration is None:
        raise typer.BadParameter("a headless demo without a story never ends: give --duration SECONDS")
    narrator = Narrator(Console(highlight=False))
    playing_for_result = headless and story is not None
    status = 0
    try:
        status = asyncio.run(
            _demo(
                narrator, _Options(nodes, story, headless, minute_seconds, port, runner, features), duration
            ),
        )
    except TimeoutError:
        narrator.say(f"the time is over{', before the end of the story' if playing_for_result else ''}")
        status = int(playing_for_result)
    except ActorDied as died:
        narrator.say(f"[bold red]{escape(str(died))}[/]; this is a defect of the demo; start it again")
        status = 1
    raise typer.Exit(status)


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
            raise typer.BadParameter(f"the story {story.name} needs {story.nodes} nodes or more, not {nodes}")
        typer.echo(f"No story is played: {story.name} needs {story.nodes} nodes or more, not {nodes}.")
        return None
    return story


async def _demo(narrator: "Narrator", options: _Options, duration: float | None) -> int:
    """Start everything and play the story; return the exit status."""
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
        panel_port = await stack.enter_async_context(serving(panel_app(cluster), "127.0.0.1:0"))
        panel_url = f"http://127.0.0.1:{panel_port}"
        (cluster.directory / PANEL_FILE).write_text(panel_url)
        _apply_probe(cluster, options.runner)
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
            # A cluster that failed raises an error when its context ends.
            await asyncio.wait([controller, playing, cluster.running], return_when=asyncio.FIRST_COMPLETED)
            signalled = controller.done()
        finally:
            playing.cancel()
            controller.cancel()
            await asyncio.wait([controller, playing])
        if not controller.cancelled() and (error := controller.exception()) is not None:
            raise _refusal(error, options.port) or error
        if not playing.cancelled():
            return 0 if playing.result() else 1
        # With --headless there is no result, which is an error; else this is the normal end of a demo.
        return 128 + controller.result() if signalled and options.headless else 0


def _refusal(error: BaseException, port: int) -> typer.BadParameter | None:
    """Return the message for a port that is in use, if that is why the controller ended."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return typer.BadParameter(f"port {port} is in use; name another, or 0", param_hint="--port")
    return None


def _apply_probe(cluster: "EmbeddedCluster", runner: _Runner) -> None:
    from pie.embedded.kinds import PIE_PROBES  # noqa: PLC0415
    from pie.embedded.machines import STORAGE_CLASS  # noqa: PLC0415

    rule = {"key": "kubernetes.io/os", "operator": "Exists"}
    spec = {
        "monitoringStorageClass": STORAGE_CLASS,
        "nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]},
        "runner": runner.value,
        "probeThreshold": "5s",
        # A run that waited for a fault to end has time left to finish.
        "deadline": "30s",
        # The nodes of a demo are always new.
        "suppression": {"newNodeGrace": "0s"},
    }
    cluster.registry.create(PIE_PROBES, {"metadata": {"name": PROBE}, "spec": spec}, NAMESPACE)


def _probe_features(cluster: "EmbeddedCluster") -> None:
    """Switch on what is off by default; the features of the class are tested every ten minutes."""
    from pie.embedded.kinds import PIE_PROBES  # noqa: PLC0415

    def edit(probe: dict[str, Any]) -> None:
        canaries = {name: {"period": "10m"} for name in ("block", "clone", "expand")}
        probe["spec"].update(residentProbe=True, canaries=canaries)

    cluster.registry.change(PIE_PROBES, NAMESPACE, PROBE, edit)


async def _play(narrator: "Narrator", cluster: "EmbeddedCluster", options: _Options, panel_url: str) -> bool:
    """Play the story; return whether pie reported everything it should. Without --headless, never return."""
    from pie.cli.storyteller import Storyteller  # noqa: PLC0415

    await narrator.serving.wait()
    _introduce(narrator, cluster, panel_url)
    if options.story is not None:
        teller = Storyteller(narrator, cluster, (NAMESPACE, PROBE), options.minute_seconds)
        told = await teller.play(options.story)
        if options.headless:
            return told
    if options.features:
        _probe_features(cluster)
        narrator.say("On now: mounts that stay (residentProbe), and the canaries block, clone and expand.")
    narrator.say(f"[bold cyan]Now inject faults yourself at {panel_url}/ ; Ctrl-C ends the demo.[/]")
    return await asyncio.Event().wait()


def _introduce(narrator: "Narrator", cluster: "EmbeddedCluster", panel_url: str) -> None:
    from pie.probe.volume import can_direct  # noqa: PLC0415

    def line(words: str) -> None:
        narrator.say(words, stamp=False)

    line(f"[bold]A cluster of {len(cluster.machines)} nodes[/], in memory, with pie running on it.")
    line(f"  The page:    [bold]http://127.0.0.1:{narrator.port}/[/]")
    line(f"  Faults:      [bold]{panel_url}/[/]")
    line("  By command:  pie demo fault hang --node node-1")
    line("               --undo ends the fault; without a name, it lists the faults")
    line(f"  Metrics:     http://127.0.0.1:{narrator.port}/metrics")
    line(f"  Status:      pie status --server http://127.0.0.1:{narrator.port}")
    line(f"               pie explain {PROBE} --server http://127.0.0.1:{narrator.port}")
    line(f"  kubectl:     export KUBECONFIG={cluster.kubeconfig}; kubectl get pieprobes")
    if shutil.which("fio") is None:
        line("  fio is not installed: pie measures roughly by itself. On Debian: apt-get install fio")
    if not can_direct(cluster.kubeconfig):
        line(f"  {cluster.directory} does not support O_DIRECT: pie measures memory rather than a disk")
