"""The command line: one module per command."""

import typer

import pie
from pie.cli.check import check
from pie.cli.controller import controller
from pie.cli.demo import app as demo
from pie.cli.explain import explain
from pie.cli.goflags import GoFlagsCommand
from pie.cli.manifests import manifests
from pie.cli.pausing import resume, stop
from pie.cli.plan import plan
from pie.cli.replay import replay
from pie.cli.report import report
from pie.cli.status import status

app = typer.Typer(
    help="Proves around the clock that Kubernetes storage works, as an application sees it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.command()(check)
app.command(cls=GoFlagsCommand)(controller)
app.add_typer(demo)
app.command()(status)
app.command()(explain)
app.command()(manifests)
app.command()(stop)
app.command()(resume)
app.command()(report)
app.command()(plan)
app.command()(replay)


@app.callback(invoke_without_command=True)
def version(
    show: bool = typer.Option(False, "--version", help="Show the version.", is_eager=True),
) -> None:
    """Proves around the clock that Kubernetes storage works, as an application sees it."""
    if show:
        typer.echo(f"pie {pie.__version__}")
        raise typer.Exit


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def probe(context: typer.Context) -> None:
    """Check a mounted volume, inside a probe pod: pie probe mount|provision --path DIR."""
    from pie.probe.main import main  # noqa: PLC0415  the door goes there without this command line

    raise typer.Exit(main(context.args))
