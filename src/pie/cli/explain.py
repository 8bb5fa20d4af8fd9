"""`pie explain`: explains the state of a target by its last runs."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pie.cli.options import ContextOption, KubeconfigOption, OutputOption, ServerOption
from pie.cli.output import USAGE, Output, complain, plain_errors, structured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pie.cli.ask import Whom
    from pie.cli.explaintable import Explanation
    from pie.core.apitypes import TargetView

_MOST_TARGETS = 5
_MOST_NAMED = 10


class NotThere(Exception):  # noqa: N818  the name says what happened
    """The controller does not know this PieProbe or target; the text lists those that it knows."""


def explain(  # noqa: PLR0917  Typer reads flags from parameters
    probe: Annotated[str, typer.Argument(metavar="PROBE", help="The name of the PieProbe.")],
    node: Annotated[
        str,
        typer.Option(
            help="Show this node's target. Default: the bad targets, or the provision probe if none is bad."
        ),
    ] = "",
    runs: Annotated[int, typer.Option(min=1, max=100, help="How many runs to show.")] = 5,
    output: OutputOption = Output.TABLE,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Namespace of the PieProbe. Default: the kubeconfig's."),
    ] = None,
    server: ServerOption = "",
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Show the last runs of a PieProbe, stage by stage: verdict, evidence, and what to look at next.

    \b
    Examples:
      pie explain local -n pie
      pie explain local -n pie --node node-17 --runs 20

    Exit status: 0 everything shown is healthy, 1 something is not, 2 the controller could not be reached.
    """  # noqa: D301  \b is Click's
    from pie.cli.ask import NoAnswer, Whom  # noqa: PLC0415  `pie --help` is quick
    from pie.core.model import BAD  # noqa: PLC0415

    whom = Whom(server, namespace or "", kubeconfig, context)
    with plain_errors("pie explain"):
        try:
            explanation = asyncio.run(_explanation(whom, probe, node, runs))
        except NotThere as error:
            complain("pie explain", str(error))
            raise typer.Exit(USAGE) from None
        except NoAnswer as error:
            stored = f"; for the stored status: kubectl describe pieprobe {probe}{whom.options}"
            complain("pie explain", f"{error}{'' if server else stored}")
            raise typer.Exit(USAGE) from None
    if output is Output.TABLE:
        from rich.console import Console  # noqa: PLC0415

        from pie.cli.explaintable import table  # noqa: PLC0415

        Console(highlight=False, markup=False).print(table(explanation))
    else:
        sys.stdout.write(f"{structured(explanation, output)}\n")
    raise typer.Exit(1 if any(each.target.verdict in BAD for each in explanation.targets) else 0)


async def _explanation(whom: "Whom", probe: str, node: str, runs: int) -> "Explanation":
    """Ask the controller. Raises NoAnswer, NotThere."""
    from msgspec.structs import replace  # noqa: PLC0415

    from pie.cli.ask import asking  # noqa: PLC0415
    from pie.cli.explaintable import Explanation  # noqa: PLC0415
    from pie.core.apitypes import Overview, TargetDetail, TargetList  # noqa: PLC0415

    async with asking(whom) as asked:
        known = (await asked.ask("overview", Overview)).probes
        found = [each for each in known if probe in {each.name, each.name.rpartition("/")[2]}]
        if len(found) != 1:
            names = ", ".join(each.name for each in known) or "none"
            why = f"several PieProbes have the name {probe}" if found else f"there is no PieProbe {probe}"
            raise NotThere(f"{why}; there are: {names}")
        probe, (namespace, _, name) = found[0].name, found[0].name.rpartition("/")
        targets = (await asked.ask("targets", TargetList, probe=probe)).targets
        chosen = _chosen(targets, node)
        if not chosen:
            nodes = ", ".join(sorted(each.node for each in targets if each.node)[:_MOST_NAMED]) or "none"
            raise NotThere(
                f"PieProbe {probe} has no target {f'on node {node}' if node else 'yet'}; nodes: {nodes}"
            )
        where = {"namespace": namespace} if namespace else {}
        details = [
            await asked.ask(
                f"targets/{name}/{each.kind}",
                TargetDetail,
                **{"node": each.node, "class": each.storage_class, **where},
            )
            for each in chosen[:_MOST_TARGETS]
        ]
    return Explanation(
        now=details[0].now,
        targets=tuple(replace(each, runs=each.runs[:runs]) for each in details),
        more=tuple(str(each.node or each.kind) for each in chosen[_MOST_TARGETS:]),
    )


def _chosen(targets: "Sequence[TargetView]", node: str) -> "list[TargetView]":
    """Return the targets of a node; without a node the bad ones, or the provision probe's if none is bad."""
    from pie.core.model import BAD  # noqa: PLC0415

    if node:
        return [each for each in targets if each.node == node]
    bad = [each for each in targets if each.verdict in BAD]
    return bad or [each for each in targets if not each.node] or list(targets[:1])
