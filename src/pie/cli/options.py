"""Options that several commands take, in the same words."""

from typing import Annotated

import typer

from pie.cli.output import Output

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
ServerOption = Annotated[
    str, typer.Option(help="Ask a controller at this address (http://127.0.0.1:8080), and no cluster.")
]
KubeconfigOption = Annotated[str | None, typer.Option(help="Default: $KUBECONFIG, ~/.kube/config.")]
ContextOption = Annotated[str | None, typer.Option(help="Context of the kubeconfig.")]
