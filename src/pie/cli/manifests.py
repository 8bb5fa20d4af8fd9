"""`pie manifests`: a plain-YAML installation, for those who do not use helm."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from pie.cli.output import USAGE, complain


class Part(StrEnum):
    """What to print."""

    ALL = "all"
    CRD = "crd"


def manifests(
    image: Annotated[
        str, typer.Option(help="Where the cluster pulls pie's image from: registry.example.com/pie:1.0.0")
    ] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace of pie.")] = "pie",
    image_pull_secret: Annotated[
        list[str] | None,
        typer.Option(help="Secret of the namespace for a private registry. Can be repeated."),
    ] = None,
    only: Annotated[Part, typer.Option(help="Print all, or the CRD alone.")] = Part.ALL,
) -> None:
    """Print an installation of pie as plain YAML: CRD, namespace, roles, Deployment, Service.

    It is what the helm chart installs with its default values. Nothing in a cluster is read or changed.

    \b
    Examples:
      pie manifests --image registry.example.com/pie:1.0.0 > pie.yaml
      kubectl apply --server-side -f pie.yaml

    Exit status: 0 printed, 2 the arguments cannot be used.
    """  # noqa: D301  \b is Click's
    from importlib.resources import files  # noqa: PLC0415  `pie --help` is quick

    from pie.core.plaininstall import IllegalName, filled  # noqa: PLC0415
    from pie.packaged import pieprobe_crd_text  # noqa: PLC0415

    crd = pieprobe_crd_text()
    if only is Part.CRD:
        sys.stdout.write(crd)
        return
    if not image:
        complain("pie manifests", "--image is missing: where does the cluster pull pie's image from?")
        raise typer.Exit(USAGE)
    rendered = (files("pie.cli") / "templates" / "install.yaml").read_text()
    try:
        more = filled(rendered, namespace=namespace, image=image, pull_secrets=tuple(image_pull_secret or ()))
    except IllegalName as error:
        complain("pie manifests", str(error))
        raise typer.Exit(USAGE) from None
    sys.stdout.write(f"---\n{crd.rstrip()}\n{more}")
