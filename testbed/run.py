"""`make run-real`: a real local Kubernetes with pie, until Ctrl-C."""

import asyncio
import json
import re
import signal
import sys
import time
from asyncio.subprocess import Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from testbed.cluster import Cluster
from testbed.errors import TestbedError
from testbed.janitor import ROOT

NAME = "run"
NODES = 2
NAMESPACE = "pie"
CONTROLLER_LOG = "pie-controller.log"
IMAGE = "pie.test/pie:dev"
CRD = ROOT / "charts/pie/files/pieprobe.yaml"
PIEPROBE = ROOT / "testbed/pieprobe.yaml"
_SAMPLE = re.compile(r"^(pie_\w+\{pie_probe_name=[^}]*\}) (\S+)$", re.MULTILINE)
_START_TIMEOUT_SECONDS = 30
_INTRODUCTION = """
pie is at work. In another terminal:
    export KUBECONFIG={kubeconfig}
    .venv/bin/kubectl get -n {namespace} pieprobes,cronjobs,pods,pvc
    .venv/bin/kubectl describe -n {namespace} pieprobes
    curl {url}
Break something, and mend it (`.venv/bin/python -m testbed fault list` shows what else can break):
    .venv/bin/python -m testbed fault inflict node-plugin-gone --node node-1 -n {name}
    .venv/bin/python -m testbed fault undo node-plugin-gone --node node-1 -n {name}
Ctrl-C ends it all and leaves nothing behind. What changes on {url} (the first runs end within two minutes):
"""


async def main() -> None:
    """Start everything, print what changes on /metrics, and stop everything on a signal."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _say(f"starting a Kubernetes of {NODES} nodes (the first time it is built, which takes some 15 minutes)")
    work = asyncio.create_task(_run())
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
    if told.done():
        _say("taking everything down")
        work.cancel()
    told.cancel()
    try:
        await work
    except asyncio.CancelledError:
        _say("nothing is left")


async def _run() -> None:
    async with Cluster(name=NAME, nodes=NODES) as cluster:
        await _kubectl(cluster, "apply", "-f", str(CRD))
        await _kubectl(cluster, "wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRD))
        await cluster.create_namespace(NAMESPACE)
        async with _controller(cluster) as url:
            await _kubectl(cluster, "apply", "-n", NAMESPACE, "-f", str(PIEPROBE))
            introduction = _INTRODUCTION.format(
                kubeconfig=cluster.kubeconfig,
                namespace=NAMESPACE,
                name=NAME,
                url=url,
            )
            sys.stdout.write(introduction)
            await _follow(url, cluster.log_directory / CONTROLLER_LOG)


@asynccontextmanager
async def _controller(cluster: Cluster) -> AsyncIterator[str]:
    """Run the controller as a process beside the cluster; yields the URL of its metrics."""
    log = cluster.log_directory / CONTROLLER_LOG
    with log.open("wb") as stderr:
        process = await create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL"),  # it ends with this process, also if this process is killed
            *(sys.executable, "-m", "pie", "controller", "--kubeconfig", str(cluster.kubeconfig)),
            *("--namespace", NAMESPACE, "--container-image", IMAGE),
            *("--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0"),
            stderr=stderr,
            start_new_session=True,  # only this process gets Ctrl-C, and stops it in the right order
        )
    try:
        yield f"http://127.0.0.1:{await _metrics_port(process, log)}/metrics"
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _metrics_port(process: Process, log: Path) -> int:
    """Return the port of the controller's metrics, from its log."""
    async with asyncio.timeout(_START_TIMEOUT_SECONDS):
        while process.returncode is None:
            if port := _port_in(log):
                return port
            await asyncio.sleep(0.1)
    raise _ended(log)


def _port_in(log: Path) -> int | None:
    entries = (json.loads(line) for line in log.read_text().splitlines() if line.endswith("}"))
    return next((entry["metrics_port"] for entry in entries if entry["event"] == "serving"), None)


def _ended(log: Path) -> TestbedError:
    return TestbedError(f"the controller ended:\n{log.read_text()[-4000:]}")


async def _follow(url: str, log: Path) -> None:
    """Print every new or changed sample about a probe, until the controller ends."""
    before: dict[str, str] = {}
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    now = dict(_SAMPLE.findall(await response.text()))
            except aiohttp.ClientError as error:
                raise _ended(log) from error
            for series, value in now.items():
                if before.get(series) != value:
                    _say(f"{series} {value}")
            before = now
            await asyncio.sleep(1)


async def _kubectl(cluster: Cluster, *arguments: str) -> None:
    kubectl = Path(sys.executable).with_name("kubectl")
    process = await create_subprocess_exec(kubectl, "--kubeconfig", cluster.kubeconfig, *arguments)
    if await process.wait():
        raise TestbedError(f"kubectl {' '.join(arguments)} failed; its message is above")


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except TestbedError as error:
        sys.exit(f"make run-real: {error}")
