"""Real nodes: what runs on them, what they survive, and that nothing of them is left."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from testbed import cgroups
from testbed.api import Json
from testbed.cluster import Cluster, sweep
from testbed.images import PIE
from tests.conftest import demand_machine
from tests.testbed.waiting import until

pytestmark = pytest.mark.real
# The kernel takes a network namespace, and with it a pod's veth, down in its own time.
NETWORK_NAMESPACE_SECONDS = 60
PODS = "/api/v1/namespaces/restricted/pods"
# What the image must hold, told from inside a pod.
LOOK_AROUND = """
import importlib.util, json, os, shutil, subprocess, sys
import aiohttp, msgspec, pie.core, prometheus_client, structlog, typer, yaml
spec = importlib.util.find_spec("pie.core")
fio = subprocess.run(["fio", "--version"], capture_output=True, text=True)
with open("/dev/termination-log", "w") as log:
    json.dump({
        "user": os.getuid(),
        "fio": fio.stdout.strip(),
        "pie": shutil.which("pie"),
        "compiled": os.path.exists(spec.cached),
        "writable": os.access("/", os.W_OK),
        "resource loader": "pkg_resources" in sys.modules,
    }, log)
"""


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[str]:
    """Name of a testbed with two real nodes and a namespace of the `restricted` level."""
    demand_machine(nodes=True)
    cluster = Cluster(name=f"nodes-{os.getpid()}", nodes=2)
    asyncio.run(cluster.bring_up())
    traces = Traces.of(cluster)
    yield cluster.name
    asyncio.run(cluster.take_down())
    deadline = time.monotonic() + NETWORK_NAMESPACE_SECONDS
    while traces.found() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert traces.found() == []


@pytest.fixture
async def cluster(two_nodes: str) -> AsyncIterator[Cluster]:
    """Attach to the testbed; the pods of each test are gone after it."""
    async with Cluster.attach(two_nodes) as cluster:
        if await cluster.api.find("/api/v1/namespaces/restricted") is None:
            await cluster.create_namespace("restricted")
        yield cluster
        for pod in await cluster.api.items(PODS):
            await cluster.api.delete(f"{PODS}/{pod['metadata']['name']}?gracePeriodSeconds=0")


async def test_a_restricted_pod_runs_on_each_node_and_its_message_is_read_back(cluster: Cluster) -> None:
    for node in ("node-1", "node-2"):
        script = f'echo -n "{node} $(id -u)" > /dev/termination-log'
        await cluster.api.create(PODS, pod(node, node, ["sh", "-c", script]))
    for node in ("node-1", "node-2"):
        assert message(await ended(cluster, node)) == f"{node} 1001"


async def test_the_image_holds_pie_compiled_its_dependencies_and_fio(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod("look", "node-1", ["python3", "-IBc", LOOK_AROUND]))
    found = json.loads(message(await ended(cluster, "look")))
    assert found == {
        "user": 1001,
        "fio": found["fio"],
        "pie": "/usr/local/bin/pie",
        "compiled": True,
        "writable": False,
        "resource loader": False,
    }
    assert found["fio"].startswith("fio-3")


async def test_kubectl_reads_logs_and_runs_commands_in_a_pod(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod("talks", "node-2", ["sh", "-c", "echo hello; sleep 600"]))
    await phase(cluster, "talks", "Running")
    kubectl = (
        Path(sys.executable).with_name("kubectl"),
        "--kubeconfig",
        cluster.kubeconfig,
        "-n",
        "restricted",
    )
    # A container runs a moment before its command has printed.
    await until(lambda: asyncio.to_thread(_print, *kubectl, "logs", "talks"), lambda said: said == "hello\n")
    assert await asyncio.to_thread(_print, *kubectl, "exec", "talks", "--", "id", "-u") == "1001\n"


async def test_a_reboot_gives_the_node_another_boot_id_and_ends_its_containers(cluster: Cluster) -> None:
    await cluster.api.create(PODS, pod("before", "node-1", ["sleep", "600"]))
    await cluster.api.create(PODS, pod("elsewhere", "node-2", ["sleep", "600"]))
    for name in ("before", "elsewhere"):
        await phase(cluster, name, "Running")
    first = await boot_id(cluster, "node-1")

    await cluster.reboot("node-1")

    assert terminated(await ended(cluster, "before"))["exitCode"] != 0
    # The kubelet reports its pods and its node one after the other.
    await until(lambda: boot_id(cluster, "node-1"), lambda booted: booted != first)
    await cluster.api.create(PODS, pod("after", "node-1", ["true"]))
    assert terminated(await ended(cluster, "after"))["exitCode"] == 0
    assert (await cluster.api.get(f"{PODS}/elsewhere"))["status"]["phase"] == "Running"


async def test_containers_go_on_without_kubelet_and_are_found_again(cluster: Cluster) -> None:
    script = "trap 'echo -n released > /dev/termination-log; exit 0' TERM; sleep 600 & wait"
    await cluster.api.create(PODS, pod("steady", "node-2", ["sh", "-c", script]))
    before = (await phase(cluster, "steady", "Running"))["status"]["containerStatuses"][0]["containerID"]
    await cluster.stop("kubelet-node-2")
    assert not (await cluster.processes())["kubelet-node-2"]
    assert processes_of(cluster.directory / "node-2", before)

    await cluster.start("kubelet-node-2")
    await cluster.api.create(PODS, pod("next", "node-2", ["true"]))
    assert terminated(await ended(cluster, "next"))["exitCode"] == 0
    steady = await cluster.api.get(f"{PODS}/steady")
    assert steady["status"]["phase"] == "Running"
    assert steady["status"]["containerStatuses"][0]["containerID"] == before


async def test_nothing_of_a_node_is_left_when_everything_is_killed_at_once() -> None:
    demand_machine(nodes=True)
    cluster = Cluster(nodes=1)
    await cluster.bring_up()
    async with Cluster.attach(cluster.name) as attached:
        await attached.create_namespace("restricted")
        await attached.api.create(PODS, pod("doomed", "node-1", ["sleep", "600"]))
        await phase(attached, "doomed", "Running")
    traces = Traces.of(cluster)
    assert any("veth" in trace for trace in traces.found())

    assert cluster._janitor is not None
    os.kill(cluster._janitor.pid, signal.SIGKILL)
    await asyncio.to_thread(cluster._janitor.wait)
    await asyncio.to_thread(sweep)  # as the next testbed does

    async with asyncio.timeout(NETWORK_NAMESPACE_SECONDS):
        while traces.found():  # noqa: ASYNC110  the kernel's doing
            await asyncio.sleep(0.1)


def pod(name: str, node: str, command: list[str]) -> Json:
    """Make a pod that the `restricted` level allows."""
    container = {
        "name": "probe",
        "image": PIE,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "metadata": {"name": name},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }


async def phase(cluster: Cluster, name: str, *wanted: str) -> Json:
    """Wait until a pod is in one of the phases."""
    async with asyncio.timeout(120):
        while True:
            found = await cluster.api.get(f"{PODS}/{name}")
            if found["status"].get("phase") in wanted:
                return found
            await asyncio.sleep(0.1)


async def ended(cluster: Cluster, name: str) -> Json:
    """Wait until a pod has ended, well or not."""
    return await phase(cluster, name, "Succeeded", "Failed")


def terminated(ended_pod: Json) -> dict[str, Any]:
    """Return how a pod's container ended."""
    state: dict[str, Any] = ended_pod["status"]["containerStatuses"][0]["state"]["terminated"]
    return state


def message(ended_pod: Json) -> str:
    """Return a container's termination message."""
    return str(terminated(ended_pod)["message"])


async def boot_id(cluster: Cluster, node: str) -> str:
    """Return what the API server knows of a node's last boot."""
    return str((await cluster.api.get(f"/api/v1/nodes/{node}"))["status"]["nodeInfo"]["bootID"])


def processes_of(node: Path, container: str) -> set[int]:
    """Return the processes of a container, by the ID in its pod's status, from the cgroups of its node."""
    root = cgroups.hierarchies()[0]
    (cgroup,) = (root / node.parent.name / node.name).rglob(container.removeprefix("containerd://"))
    return cgroups.processes(str(cgroup.relative_to(root)))


@dataclass(frozen=True)
class Traces:
    """Where to look for what a testbed has on this machine, outside its own namespaces."""

    directory: Path
    networks: list[IPv4Network]

    @classmethod
    def of(cls, cluster: Cluster) -> "Traces":
        """Note a running testbed's directory and its pods' networks."""
        files = cluster.directory.glob("node-*/cni/*.conflist")
        ranges = [json.loads(file.read_text())["plugins"][0]["ipam"]["ranges"] for file in files]
        return cls(cluster.directory, [IPv4Network(nets[0][0]["subnet"]) for nets in ranges])

    def found(self) -> list[str]:
        """List what is there: directory, cgroups, mounts, processes, routes to pods by way of a veth."""
        paths = [self.directory, *(root / self.directory.name for root in cgroups.hierarchies())]
        mounts = Path("/proc/self/mounts").read_text()
        processes = _print("ps", "-eo", "args")
        lines = [line for line in (mounts + processes).splitlines() if str(self.directory) in line]
        routes = [line for line in _print("ip", "route").splitlines() if self._leads_to_pod(line)]
        return [str(path) for path in paths if path.exists()] + lines + routes

    def _leads_to_pod(self, route: str) -> bool:
        destination = route.split(maxsplit=1)[0].partition("/")[0]
        return destination != "default" and any(IPv4Address(destination) in net for net in self.networks)


def _print(*argv: str | Path) -> str:
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout
