"""Options that several commands take, in the same words."""

from typing import Annotated

import typer

from pie.cli.output import Output

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Output format.")]
ServerOption = Annotated[
    str, typer.Option(help="Ask the controller at this address (http://127.0.0.1:8080) instead of a cluster.")
]
KubeconfigOption = Annotated[str | None, typer.Option(help="Default: $KUBECONFIG, ~/.kube/config.")]
ContextOption = Annotated[str | None, typer.Option(help="Context of the kubeconfig.")]
