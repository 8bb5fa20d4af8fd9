"""`pie check`: one-shot check of a StorageClass, with the user's own rights."""

import asyncio
import signal
import sys
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pie.cli.options import ContextOption, KubeconfigOption
from pie.cli.output import USAGE, complain, plain_errors, structured

if TYPE_CHECKING:
    from pie.core.oneshot import CheckReport, Order


class Format(StrEnum):
    """Format of the report."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    JUNIT = "junit"


def check(  # noqa: PLR0917  Typer reads flags from parameters
    storage_class: Annotated[str, typer.Argument(metavar="STORAGECLASS", help="The StorageClass to check.")],
    nodes: Annotated[
        str,
        typer.Option(
            help="Node names (a,b) or a label selector (zone=a). Default: all nodes with the class's driver."
        ),
    ] = "",
    provision: Annotated[
        bool,
        typer.Option("--provision", help="Only check that new volumes are provisioned (with --mount: both)."),
    ] = False,
    mount: Annotated[
        bool,
        typer.Option(
            "--mount",
            help="Only check that each node can mount a volume twice and do I/O (with --provision: both).",
        ),
    ] = False,
    features: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Also check these features of the class, for example block; all: every one that pie knows.",
        ),
    ] = "",
    each_node: Annotated[
        bool, typer.Option("--each-node", help="Provision a new volume on each node, not on only one.")
    ] = False,
    image: Annotated[
        str,
        typer.Option(
            envvar="PIE_CONTAINER_IMAGE",
            help="Image of the pods. Needed without --pie-namespace.",
        ),
    ] = "",
    image_pull_secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Secret in the namespace of the pods, to pull the image; may be repeated."
        ),
    ] = None,
    pie_namespace: Annotated[
        str,
        typer.Option(
            metavar="NAMESPACE",
            help="Without --image: use the image of the probes of the pie that runs in this namespace.",
        ),
    ] = "",
    size: Annotated[str, typer.Option(help="Size of each volume.")] = "100Mi",
    timeout: Annotated[
        str, typer.Option(help="How long a run may take to start, and again for its I/O.")
    ] = "60s",
    parallel: Annotated[
        int, typer.Option(min=1, max=200, help="How many nodes to check at the same time.")
    ] = 10,
    keep_on_failure: Annotated[
        bool,
        typer.Option(
            "--keep-on-failure",
            help="Keep the pods and PVCs of failed targets, so that you can look at them.",
        ),
    ] = False,
    output: Annotated[Format, typer.Option("--output", "-o", help="Form of the report.")] = Format.TABLE,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", "-n", help="Namespace of the pods. Default: the kubeconfig's."),
    ] = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Check a StorageClass once, now, on every node. Installs nothing and leaves nothing behind.

    Use it to accept a new cluster, node or driver version. On each node it provisions a volume, mounts it,
    writes to it, unmounts it, mounts it again and reads the data back. It also provisions a new volume as an
    application would.

    \b
    Examples:
      pie check topolvm-provisioner --image registry.example.com/pie:1.0.0
      pie check ceph-block --nodes node-17,node-18 --mount
      pie check ceph-block --features all
      pie check ceph-block --nodes 'topology.kubernetes.io/zone=a' --output junit > report.xml

    Exit status: 0 everything is healthy, 1 something is not, 2 the check could not be done,
    130 or 143 interrupted.
    """  # noqa: D301  \b is Click's
    from pie.controller.oneshot.perform import INTERRUPTED, Interrupted  # noqa: PLC0415  `pie --help` is quick
    from pie.controller.oneshot.survey import CannotCheck  # noqa: PLC0415
    from pie.core.kinds import ALWAYS, KINDS  # noqa: PLC0415
    from pie.core.model import Kind  # noqa: PLC0415
    from pie.core.oneshot import Order  # noqa: PLC0415
    from pie.core.parse import SpecError, duration_seconds  # noqa: PLC0415

    try:
        timeout_seconds = duration_seconds(timeout, "--timeout")
    except SpecError as error:
        raise typer.BadParameter(str(error)) from None
    known = {name for name, kind in KINDS.items() if kind.canary}
    wanted_features = known if features == "all" else {name for name in features.split(",") if name}
    if unknown := ", ".join(sorted(wanted_features - known)):
        named = ", ".join(sorted(known))
        raise typer.BadParameter(
            f"there is no feature {unknown}; there are: {named}", param_hint="--features"
        )
    asked = {kind for kind, wanted in ((Kind.PROVISION, provision), (Kind.MOUNT, mount)) if wanted}
    order = Order(
        storage_class=storage_class,
        namespace=namespace or "",
        nodes=nodes,
        kinds=frozenset(asked or ALWAYS) | wanted_features,
        each_node=each_node,
        image=image,
        image_pull_secrets=tuple(image_pull_secret or ()),
        pie_namespace=pie_namespace,
        timeout_seconds=timeout_seconds,
        parallel=parallel,
        keep_on_failure=keep_on_failure,
        pvc_capacity=size,
    )
    signals: list[int] = []
    with plain_errors("pie check"):
        try:
            report = asyncio.run(_check(order, kubeconfig, context, signals))
        except CannotCheck as error:
            complain("pie check", str(error))
            raise typer.Exit(USAGE) from None
        except Interrupted:
            raise typer.Exit(128 + signals[0]) from None
    _show(report, output)
    if report.error == INTERRUPTED:
        raise typer.Exit(128 + signals[0])
    if report.error:
        complain("pie check", report.error)
        raise typer.Exit(USAGE)
    raise typer.Exit(0 if report.ok else 1)


async def _check(
    order: "Order", kubeconfig: str | None, context: str | None, signals: list[int]
) -> "CheckReport":
    """Perform the check. The first signal ends the check, the second one ends the clean-up."""
    from pie.cli.checkprogress import progress  # noqa: PLC0415
    from pie.controller.oneshot.perform import perform  # noqa: PLC0415
    from pie.kube.client import Client  # noqa: PLC0415
    from pie.kube.config import load  # noqa: PLC0415

    config = load(kubeconfig, context)
    stop = asyncio.Event()

    def told(number: int) -> None:
        signals.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told, number)
    order = replace(order, namespace=order.namespace or config.namespace)
    async with Client(config) as client:
        with progress() as shown:
            return await perform(client, order, shown, stop)


def _show(report: "CheckReport", output: Format) -> None:
    """Print the report on standard output."""
    from pie.cli.checkreport import junit, table  # noqa: PLC0415

    if output is Format.TABLE:
        table(report)
    else:
        text = junit(report) if output is Format.JUNIT else structured(report, output)
        sys.stdout.write(f"{text}\n")
