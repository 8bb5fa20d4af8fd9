"""`python -m testbed`: local Kubernetes clusters with real nodes, real volumes, and faults on demand."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from testbed import fault_commands, images
from testbed.build import binaries, usual_programs
from testbed.cluster import Cluster, running_names
from testbed.fault_commands import DEFAULT_NAME, Name, attach, run
from testbed.packages import debian_packages, missing

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(fault_commands.app, name="fault")


@app.command()
def up(
    name: Name = DEFAULT_NAME,
    nodes: Annotated[int, typer.Option(help="Real nodes: kubelet, containerd, runc.")] = 2,
    kwok_nodes: Annotated[int, typer.Option(help="Simulated nodes.")] = 0,
    attachable: Annotated[bool, typer.Option(help="Storage that must be attached, too.")] = False,
) -> None:
    """Start a testbed that runs until `down`. The first start on a machine builds Kubernetes."""
    cluster = Cluster(name=name, nodes=nodes, kwok_nodes=kwok_nodes, attachable=attachable)
    run(cluster.bring_up(detached=True))
    print(f"export KUBECONFIG={cluster.kubeconfig}")


@app.command()
def down(name: Name = DEFAULT_NAME) -> None:
    """Stop a testbed and remove all of it."""
    run(_down(name))


@app.command(name="list")
def list_() -> None:
    """List the testbeds that run on this machine."""
    table = Table("name", "real nodes", "simulated nodes", "kubeconfig")
    for name in running_names():
        cluster = Cluster.attach(name)
        table.add_row(name, str(cluster.spec.nodes), str(cluster.spec.kwok_nodes), str(cluster.kubeconfig))
    Console(soft_wrap=True).print(table)


@app.command()
def env(name: Name = DEFAULT_NAME) -> None:
    """Print the variables that a shell needs for the cluster: `eval "$(python -m testbed env)"`."""
    print(f"export KUBECONFIG={attach(name).kubeconfig}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def kubectl(context: typer.Context, name: Name = DEFAULT_NAME) -> None:
    """Run kubectl against the cluster: `python -m testbed kubectl -- get pods -A`."""
    program = Path(sys.executable).with_name("kubectl")
    environment = {**os.environ, "KUBECONFIG": str(attach(name).kubeconfig)}
    os.execve(program, ["kubectl", *context.args], environment)  # noqa: S606  no shell is wanted


@app.command()
def processes(name: Name = DEFAULT_NAME) -> None:
    """List the processes of a testbed; `stop`, `start`, `freeze` and `thaw` take their names."""
    table = Table("process", "runs", "log")
    cluster = attach(name)
    for process, runs in run(cluster.processes()).items():
        table.add_row(process, "yes" if runs else "no", str(cluster.log_directory / f"{process}.log"))
    Console(soft_wrap=True).print(table)


Process = Annotated[str, typer.Argument(help="A name that `processes` lists.")]


@app.command()
def stop(process: Process, name: Name = DEFAULT_NAME) -> None:
    """Stop one process of a testbed."""
    run(attach(name).stop(process))


@app.command()
def start(process: Process, name: Name = DEFAULT_NAME) -> None:
    """Start a process again that was stopped, or that ended."""
    run(attach(name).start(process))


@app.command()
def freeze(process: Process, name: Name = DEFAULT_NAME) -> None:
    """Freeze a process with SIGSTOP."""
    run(attach(name).freeze(process))


@app.command()
def thaw(process: Process, name: Name = DEFAULT_NAME) -> None:
    """Continue a frozen process."""
    run(attach(name).thaw(process))


NodeName = Annotated[str, typer.Argument(help="A real node.")]


@app.command()
def power_off(node: NodeName, name: Name = DEFAULT_NAME) -> None:
    """Power a real node off: all its processes end, and the API server is not informed."""
    run(attach(name).power_off(node))


@app.command()
def power_on(node: NodeName, name: Name = DEFAULT_NAME) -> None:
    """Boot a real node again, with a new boot ID."""
    run(attach(name).power_on(node))


@app.command()
def build() -> None:
    """Build the programs that tests need and the image's base layer now, so that later starts are fast."""
    for program in run(binaries(usual_programs())).values():
        print(program)
    if not missing(nodes=True):
        print(run(images.containerd_root()))


@app.command()
def packages() -> None:
    """Print the Debian packages that the testbed needs: `apt-get install $(python -m testbed packages)`."""
    print(" ".join(debian_packages()))


@app.command()
def doctor() -> None:
    """Print what is missing on this machine; exit with 1 if something is missing."""
    lines = missing(nodes=True)
    print("\n".join(lines) or "this machine has all that the testbed needs")
    raise typer.Exit(1 if lines else 0)


async def _down(name: str) -> None:
    await Cluster.attach(name).take_down()


if __name__ == "__main__":
    app()
