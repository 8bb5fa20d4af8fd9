"""`pie controller`: run the controller in the cluster of the kubeconfig, or the one it runs in."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pie.cli.output import USAGE, complain, first

if TYPE_CHECKING:
    from pie.core.probepods import ProbePods
    from pie.serve.webfile import WebFile

_DEPOSED = 1
_CANNOT_LISTEN = {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES}


def controller(  # noqa: PLR0917  Typer reads flags from parameters
    context: typer.Context,
    container_image: Annotated[
        str, typer.Option(envvar="PIE_CONTAINER_IMAGE", help="Image of the probe pods.")
    ],
    image_pull_secret: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Secret with which nodes pull that image; may be repeated."),
    ] = None,
    image_pull_policy: Annotated[
        Literal["Always", "IfNotPresent", "Never"] | None,
        typer.Option(help="When nodes pull that image. Default: as Kubernetes chooses by its tag."),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            envvar="POD_NAMESPACE",
            help="The namespace to serve; '' means all namespaces, with the rights for them."
            " Default: the kubeconfig's, or the pod's own.",
        ),
    ] = None,
    metrics_bind_address: Annotated[str, typer.Option(help="Address to serve /metrics on.")] = ":8080",
    health_probe_bind_address: Annotated[
        str, typer.Option(help="Address to serve /healthz and /readyz on.")
    ] = ":8081",
    web_config_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="TLS, client CA and users with passwords for the metrics address, in the format that"
            " exporters of Prometheus share. It is read again when it changes. Health is served without.",
        ),
    ] = None,
    leader_elect: Annotated[
        bool,
        typer.Option(help="Take part in leader election; needed with several replicas."),
    ] = True,
    kubeconfig: Annotated[
        str | None,
        typer.Option(help="Default: $KUBECONFIG, ~/.kube/config, or the service account of the pod."),
    ] = None,
    kube_api_qps: Annotated[
        float,
        typer.Option(
            "--kube-api-qps",
            min=1,
            help="The most writes a second that the controller itself sends to the API server.",
        ),
    ] = 200.0,
    budget: Annotated[
        float | None,
        typer.Option(
            min=1,
            metavar="WRITES",
            help="The most writes and Events in a second that all PieProbes may cause, counting those of"
            " everybody. Over it, runs of PieProbes with runner Pod are thinned. Default: no limit.",
        ),
    ] = None,
    image_architectures: Annotated[
        str,
        typer.Option(
            metavar="ARCH,…",
            help="The architectures that the image of the probe pods has, as in the label kubernetes.io/arch."
            " Nodes of other architectures are not probed.",
        ),
    ] = "amd64,arm64",
    probe_pods: Annotated[
        str,
        typer.Option(
            metavar="JSON",
            help="What all probe pods get: an object with labels, annotations, resources (for PieProbes that"
            " set none) and securityContext (changes of the pod's; null leaves a field to the cluster).",
        ),
    ] = "{}",
    allowed_priority_classes: Annotated[
        str | None,
        typer.Option(metavar="NAME,…", help="The only PriorityClasses that a PieProbe may name."),
    ] = None,
    allowed_tolerations: Annotated[
        str | None,
        typer.Option(
            metavar="KEY[=VALUE][:EFFECT],…",
            help="The only taints that a PieProbe may tolerate; a key may end in *.",
        ),
    ] = None,
    max_pvc_capacity: Annotated[
        str, typer.Option(metavar="QUANTITY", help="The greatest pvcCapacity that a PieProbe may have.")
    ] = "",
    max_resources: Annotated[
        str,
        typer.Option(
            metavar="NAME=QUANTITY,…",
            help="The most of each resource that a PieProbe may request, or set as a limit.",
        ),
    ] = "",
    max_targets: Annotated[
        int | None, typer.Option(min=1, help="The most targets that a PieProbe may have.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Record in files in this directory what the controller decides, for `pie replay`.",
        ),
    ] = None,
    record_size: Annotated[
        int,
        typer.Option(
            min=16, metavar="MIB", help="The most MiB that the files of --record use; the oldest are deleted."
        ),
    ] = 256,
    record_anonymous: Annotated[
        bool,
        typer.Option(
            "--record-anonymous",
            help="Hash names (PieProbes, nodes, StorageClasses, PVCs, pods) in the files of --record.",
        ),
    ] = False,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option(help="Log level; `debug` logs each due time when it is counted."),
    ] = "info",
) -> None:
    """Watch PieProbes, run their probes, and export the results.

    Example: pie controller --namespace pie --container-image registry.example.com/pie:1.0.0

    The flags of the Go implementation are accepted, too: those without a meaning here are ignored, and
    named once in the log (docs/migrating.md).

    Exit status: 0 after SIGTERM or SIGINT, 1 another replica leads now, 2 invalid configuration.
    """
    import structlog  # noqa: PLC0415  `pie --help` need not load it

    from pie.cli.logs import log_lines  # noqa: PLC0415
    from pie.controller.app import run  # noqa: PLC0415  `pie --help` need not load it
    from pie.controller.settings import Settings  # noqa: PLC0415
    from pie.core.authorbounds import AuthorBounds, names, size, sizes, taint_rules  # noqa: PLC0415
    from pie.kube.errors import ConfigError  # noqa: PLC0415
    from pie.kube.leader import Deposed  # noqa: PLC0415
    from pie.serve.http import parse_address  # noqa: PLC0415

    if not container_image:
        complain("pie controller", "--container-image: the image of the probe pods is empty")
        raise typer.Exit(USAGE)
    listening = {
        "--metrics-bind-address": metrics_bind_address,
        "--health-probe-bind-address": health_probe_bind_address,
    }
    for option, address in listening.items():
        with _refused(option):
            parse_address(address)
    architectures = tuple(each.strip() for each in image_architectures.split(","))
    if not all(each.isalnum() and each.isascii() and each.islower() for each in architectures):
        complain(
            "pie controller",
            f"--image-architectures: {image_architectures!r} is no list like amd64,arm64",
        )
        raise typer.Exit(USAGE)
    with _refused("--allowed-tolerations, --max-pvc-capacity or --max-resources"):
        author_bounds = AuthorBounds(
            priority_classes=names(allowed_priority_classes)
            if allowed_priority_classes is not None
            else None,
            tolerations=taint_rules(allowed_tolerations) if allowed_tolerations is not None else None,
            pvc_capacity=size(max_pvc_capacity),
            resources=sizes(max_resources),
            targets=max_targets,
        )
    settings = Settings(
        container_image=container_image,
        image_pull_secrets=tuple(image_pull_secret or ()),
        image_pull_policy=image_pull_policy or "",
        namespace=namespace,
        metrics_bind_address=metrics_bind_address,
        health_probe_bind_address=health_probe_bind_address,
        web_file=_web_file(web_config_file) if web_config_file is not None else None,
        leader_elect=leader_elect,
        kubeconfig=kubeconfig,
        kube_api_qps=kube_api_qps,
        budget=budget,
        image_architectures=architectures,
        probe_pods=_probe_pods(probe_pods),
        author_bounds=author_bounds,
        record=record,
        record_bytes=record_size * 2**20,
        record_anonymous=record_anonymous,
    )
    log_lines(log_level)
    if context.obj:
        structlog.get_logger().warning("flags of the Go implementation are ignored", flags=list(context.obj))
    try:
        asyncio.run(run(settings))
    except ExceptionGroup as group:
        expected, others = group.split(
            lambda error: isinstance(error, (ConfigError, Deposed)) or _deaf(error)
        )
        if expected is None or others is not None:
            raise
        why = first(expected)
        where = " or ".join(f"{option} {address}" for option, address in listening.items())
        complain("pie controller", f"cannot listen on {where}: {why}" if _deaf(why) else str(why))
        raise typer.Exit(_DEPOSED if isinstance(why, Deposed) else USAGE) from None


def _probe_pods(text: str) -> "ProbePods":
    from pie.core.probepods import probe_pods  # noqa: PLC0415

    with _refused("--probe-pods"):
        return probe_pods(text)


def _web_file(path: Path) -> "WebFile":
    from pie.serve.webfile import WebFile  # noqa: PLC0415

    with _refused("--web-config-file"):
        return WebFile(path)


@contextmanager
def _refused(option: str) -> Iterator[None]:
    """End the command with a line that names the option if its value cannot be used (ValueError)."""
    try:
        yield
    except ValueError as error:
        complain("pie controller", f"{option}: {error}")
        raise typer.Exit(USAGE) from None


def _deaf(error: BaseException) -> bool:
    """Tell whether an error means that pie cannot listen on an address."""
    return isinstance(error, socket.gaierror) or (
        isinstance(error, OSError) and error.errno in _CANNOT_LISTEN
    )
