"""`pie plan`: what PieProbes will cost a cluster, before they are applied."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pie.cli.options import ContextOption, KubeconfigOption, OutputOption
from pie.cli.output import USAGE, Output, complain, plain_errors, structured

if TYPE_CHECKING:
    from pie.core.cost.report import CostReport


def plan(  # noqa: PLR0917  Typer reads flags from parameters
    nodes: Annotated[
        int | None,
        typer.Option(min=0, max=1_000_000, help="Number of nodes to probe; with -f for each PieProbe in it."),
    ] = None,
    period: Annotated[str, typer.Option(help="Period: minutes (5), or a duration (90s, 10m).")] = "1",
    runner: Annotated[str, typer.Option(help="CronJob or Pod.")] = "CronJob",
    attach: Annotated[
        bool, typer.Option("--attach", help="Volumes are attached to nodes (CSIDriver attachRequired).")
    ] = False,
    mount_only: Annotated[bool, typer.Option("--mount-only", help="No provision probe.")] = False,
    provision_only: Annotated[bool, typer.Option("--provision-only", help="No mount probes.")] = False,
    size: Annotated[str, typer.Option(help="Size of each volume.")] = "100Mi",
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", help="A manifest with PieProbes, instead of these flags; - is standard input."
        ),
    ] = None,
    from_cluster: Annotated[
        bool,
        typer.Option(
            "--from-cluster",
            help="Read nodes, StorageClasses and drivers of a cluster, and without -f its PieProbes.",
        ),
    ] = False,
    controller_qps: Annotated[
        float,
        typer.Option(min=0.1, help="--kube-api-qps of kube-controller-manager."),
    ] = 20.0,
    scheduler_qps: Annotated[float, typer.Option(min=0.1, help="Client qps of kube-scheduler.")] = 50.0,
    sidecar_qps: Annotated[float, typer.Option(min=0.1, help="--kube-api-qps of the CSI sidecars.")] = 5.0,
    event_ttl: Annotated[str, typer.Option(help="--event-ttl of kube-apiserver.")] = "1h",
    volumes_per_node: Annotated[int | None, typer.Option(min=1, help="Volumes that a node can have.")] = None,
    kubernetes: Annotated[
        str,
        typer.Option(
            metavar="VERSION",
            help="Version of Kubernetes: from 1.37 on a run costs more. Default: that of the nodes, or 1.36.",
        ),
    ] = "",
    output: OutputOption = Output.TABLE,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Namespace of the PieProbes. Default: the kubeconfig's."),
    ] = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Show what PieProbes cost a cluster, what the cluster can take, and which runner and period to use.

    It changes nothing, and with --from-cluster it only reads.

    \b
    Examples:
      pie plan --nodes 5000 --period 1
      pie plan -f probe.yaml --nodes 300 --attach
      pie plan -f probe.yaml --from-cluster
      pie plan --from-cluster -n pie -o json

    Exit status: 0 no ceiling is passed, 1 a ceiling is passed, 2 the cost cannot be calculated.
    """  # noqa: D301  \b is Click's
    import asyncio  # noqa: PLC0415  `pie --help` is quick

    from pie.cli.planinput import CannotPlan, Flags, asked  # noqa: PLC0415

    flags = Flags(
        nodes=nodes,
        period=period,
        runner=runner,
        attach=attach,
        mount=not provision_only,
        provision=not mount_only,
        size=size,
        controller_qps=controller_qps,
        scheduler_qps=scheduler_qps,
        sidecar_qps=sidecar_qps,
        event_ttl=event_ttl,
        volumes_per_node=volumes_per_node,
        kubernetes=kubernetes,
    )
    with plain_errors("pie plan"):
        try:
            manifest = _read(file) if file is not None else None
            if from_cluster:
                from pie.cli.plancluster import from_the_cluster  # noqa: PLC0415

                found = asyncio.run(from_the_cluster(flags, manifest, namespace or "", kubeconfig, context))
            else:
                found = asked(flags, manifest)
        except CannotPlan as error:
            complain("pie plan", str(error))
            raise typer.Exit(USAGE) from None
    _show(found, output)
    raise typer.Exit(1 if found.passed else 0)


def _read(file: Path) -> str:
    from pie.cli.planinput import CannotPlan  # noqa: PLC0415

    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotPlan(f"cannot read {file}: {error}") from None


def _show(found: "CostReport", output: Output) -> None:
    if output is not Output.TABLE:
        sys.stdout.write(f"{structured(found, output)}\n")
        return
    from rich.console import Console  # noqa: PLC0415

    from pie.cli.plantable import table  # noqa: PLC0415

    Console(highlight=False, markup=False).print(table(found), crop=False)
