"""`pie status`: whether everything is fine, and if not, what is broken."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pie.cli.options import ContextOption, KubeconfigOption, OutputOption, ServerOption
from pie.cli.output import USAGE, Output, complain, plain_errors, structured

if TYPE_CHECKING:
    from pie.cli.ask import Cluster, NoAnswer, Server, Whom
    from pie.core.apitypes import Overview

_EVERY_SECONDS = 2.0
_INTERRUPTED = 130


def status(  # noqa: PLR0917  Typer reads flags from parameters
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Update the output until Ctrl-C.")] = False,
    output: OutputOption = Output.TABLE,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Namespace of the PieProbes. Default: the kubeconfig's."),
    ] = None,
    server: ServerOption = "",
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Show the PieProbes of a namespace: targets by verdict, incidents, the slowest nodes.

    It asks the leading controller, through the API server. If it cannot reach the controller, it shows the
    status that is stored in the PieProbes, and says so. If no controller leads, the present state is unknown.

    \b
    Examples:
      pie status -n pie
      pie status -n pie -w
      pie status --server http://127.0.0.1:8080 --output json

    Exit status: 0 no incident is open, 1 an incident is open, 2 the controller could not be reached,
    130 interrupted (with --watch).
    """  # noqa: D301  \b is Click's
    from pie.cli.ask import NoAnswer, Whom  # noqa: PLC0415  `pie --help` is quick

    whom = Whom(server, namespace or "", kubeconfig, context)
    with plain_errors("pie status"):
        try:
            ends = asyncio.run(_watch(whom, output) if watch else _once(whom, output))
        except NoAnswer as error:
            complain("pie status", str(error))
            raise typer.Exit(USAGE) from None
        except KeyboardInterrupt:
            raise typer.Exit(_INTERRUPTED) from None
    raise typer.Exit(ends)


async def _once(whom: "Whom", output: Output) -> int:
    """Print the overview; return the exit status."""
    from pie.cli.ask import asking  # noqa: PLC0415

    async with asking(whom) as asked:
        overview, note, known = await _overview(asked, whom)
    with _screen(output, whom, live=False) as show:
        show(overview, note)
    return 1 if overview.state == "bad" else 0 if known else USAGE


async def _watch(whom: "Whom", output: Output) -> int:
    """Show the overview, and again whenever it changes, until interrupted."""
    from pie.cli.ask import NoAnswer, asking  # noqa: PLC0415
    from pie.core.stored_overview import outdated  # noqa: PLC0415
    from pie.kube.errors import KubeError  # noqa: PLC0415

    clock = asyncio.get_running_loop().time
    async with asking(whom) as asked:
        heard, note, _ = await _overview(asked, whom)
        shown, heard_at = heard, clock()
        with _screen(output, whom, live=True) as show:
            while True:
                show(shown, note)
                await asyncio.sleep(_EVERY_SECONDS)
                try:
                    heard, note, _ = await _overview(asked, whom)
                    shown, heard_at = heard, clock()
                except (NoAnswer, KubeError) as error:
                    shown, note = outdated(heard, _age(clock() - heard_at)), f"no answer now: {error}"


async def _overview(asked: "Server | Cluster", whom: "Whom") -> "tuple[Overview, str, bool]":
    """Return the overview, why it is not the controller's own (empty: it is), and whether it is current."""
    from pie.cli.ask import NoAnswer, Server  # noqa: PLC0415
    from pie.core.apitypes import Overview  # noqa: PLC0415

    try:
        return await asked.ask("overview", Overview), "", True
    except NoAnswer as error:
        if isinstance(asked, Server):
            raise
        return await _stored(asked, whom, error)


async def _stored(asked: "Cluster", whom: "Whom", why: "NoAnswer") -> "tuple[Overview, str, bool]":
    """Return the stored overview. It is current while a controller leads and updates the PieProbes."""
    from pie.cli.ask import NoAnswer  # noqa: PLC0415
    from pie.core.stored_overview import last_change, outdated, stored_overview  # noqa: PLC0415
    from pie.kube.leader import DEFAULT_LEASE_TIMING  # noqa: PLC0415

    stored = await asked.stored()
    if not stored and (elsewhere := await asked.elsewhere()):
        there = ", ".join(sorted(elsewhere))
        raise NoAnswer(f"there is no PieProbe in the namespace {asked.namespace}; there are some in: {there}")
    now, led_at = asked.client.now(), await asked.led_at()
    overview = stored_overview(stored, asked.namespace, now)
    asking = f"the controller cannot be reached ({why})"
    if why.barred and led_at is not None and now - led_at <= DEFAULT_LEASE_TIMING.lease_duration_seconds:
        return overview, f"{asking}; it leads, and this is the status that it wrote into the PieProbes", True
    last = max((each for each in (led_at, last_change(stored)) if each is not None), default=None)
    age = _age(now - last) if last is not None else ""
    look = f"does it run? kubectl get pods -l app.kubernetes.io/name=pie{whom.options}"
    return outdated(overview, age), f"{asking}; this is its last status in the PieProbes; {look}", False


def _age(seconds: float) -> str:
    """Return an age in whole minutes, so that `--watch` does not print a change every second."""
    from pie.cli.words import seconds_text  # noqa: PLC0415

    if seconds < 60:  # noqa: PLR2004  a minute
        return "less than 1 min"
    return seconds_text(seconds // 60 * 60).removesuffix(" 0 s")


@contextmanager
def _screen(output: Output, whom: "Whom", *, live: bool) -> "Iterator[Callable[[Overview, str], None]]":
    """Yield a function that shows an overview: in place on a terminal, else if it has changed."""
    from msgspec.structs import replace  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    from pie.cli.statustable import table  # noqa: PLC0415

    console = Console(highlight=False, markup=False)
    if live and console.is_terminal and output is Output.TABLE:
        with Live(console=console, auto_refresh=False) as screen:
            yield lambda overview, note: screen.update(table(overview, whom.options, note), refresh=True)
        return
    shown: tuple[Overview, str] | None = None

    def show(overview: "Overview", note: str) -> None:
        nonlocal shown
        if shown == (now := (replace(overview, now=0.0), note)):
            return
        shown = now
        if note:
            complain("pie status", note)
        if output is Output.TABLE:
            console.print(table(overview, whom.options), crop=False)
        else:
            separator = "---\n" if live and output is Output.YAML else ""
            sys.stdout.write(f"{separator}{structured(overview, output)}\n")
            sys.stdout.flush()

    yield show
