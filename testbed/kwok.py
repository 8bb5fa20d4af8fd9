"""Simulated nodes (KWOK): for the API server they are like real ones, and a probe on them succeeds.

Pods that should end do so after a second, with a result of pie's probe as their termination message.
"""

import asyncio
import sys
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import yaml

from testbed.api import Api, Json
from testbed.build import binary
from testbed.janitor import ROOT
from testbed.kwok_stages import PROVISIONER, stages
from testbed.processes import Processes

KWOK = "kwok"
BINDER = "testbed-binder"
STORAGE_CLASS = "kwok"
ZONES = 3
# A Lease is renewed after a quarter of this: rarely enough for hundreds of nodes on a small machine, and
# often enough for the node controller, which calls a node unreachable after 50 s.
LEASE_SECONDS = 120
_ANNOTATION = "kwok.x-k8s.io/node"
_CSI_NODES = "/apis/storage.k8s.io/v1/csinodes"
_PARALLEL_REQUESTS = 16


class Kwok:
    """The simulated nodes of one testbed, and the processes that simulate them and create volumes."""

    def __init__(self, directory: Path, processes: Processes, kubeconfig: Path) -> None:
        """Nothing is started yet."""
        self._directory = directory
        self._processes = processes
        self._kubeconfig = kubeconfig

    async def start(self, names: Iterable[str]) -> None:
        """Start KWOK and the binder, create the nodes, and return when pods can run on all of them."""
        file = self._directory / "kwok.yaml"
        file.write_text(yaml.safe_dump_all(stages()))
        kwok = [
            *(str(await binary("kwok")), f"--kubeconfig={self._kubeconfig}", f"--config={file}"),
            f"--manage-nodes-with-annotation-selector={_ANNOTATION}=fake",
            f"--node-lease-duration-seconds={LEASE_SECONDS}",
        ]
        await self._processes.start(KWOK, kwok, env={"HOME": str(self._directory)})
        binder = [sys.executable, "-m", "testbed.binder", str(self._kubeconfig), PROVISIONER]
        await self._processes.start(BINDER, binder, env={"PYTHONPATH": str(ROOT)})
        async with Api(self._kubeconfig) as api:
            await api.apply(f"/apis/storage.k8s.io/v1/storageclasses/{STORAGE_CLASS}", _storage_class())
            await add_nodes(api, names)


async def add_nodes(
    api: Api, names: Iterable[str], *, oddities: Mapping[str, str] | None = None, driver: bool = True
) -> None:
    """Create simulated nodes and return when pods can be scheduled onto all of them.

    `oddities`: other values of labels; an empty one: the label is missing. `driver`: CSINode lists the driver
    of the StorageClass. What happens to pods depends on the node's name, see `testbed.kwok_stages`.
    """
    free = asyncio.Semaphore(_PARALLEL_REQUESTS)

    async def add(number: int, name: str) -> None:
        async with free:
            node = _node(name, zone=f"zone-{number % ZONES + 1}", oddities=oddities or {})
            created = await api.create("/api/v1/nodes", node)
            await api.create(_CSI_NODES, _csi_node(name, created["metadata"]["uid"], driver=driver))
            # Every new node has the not-ready taint. The node controller would remove it, but that
            # takes a minute for hundreds of nodes: it writes no more than 20 times a second.
            await api.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})

    async with asyncio.TaskGroup() as group:
        for number, name in enumerate(names):
            group.create_task(add(number, name))


async def report_ready(api: Api, name: str, status: str, *, boot_id: str = "") -> None:
    """Report a simulated node as its kubelet would: whether it is Ready, and that it was booted again."""
    now = _now()
    ready = {"type": "Ready", "status": status, "lastHeartbeatTime": now, "lastTransitionTime": now}
    body: Json = {"status": {"conditions": [ready]}}
    if boot_id:
        body["status"]["nodeInfo"] = {"bootID": boot_id}
    await api.patch(f"/api/v1/nodes/{name}/status", body, patch="strategic")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _csi_node(name: str, uid: str, *, driver: bool) -> Json:
    """Return the CSINode that a kubelet writes about its registered drivers."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    drivers = [{"name": PROVISIONER, "nodeID": name, "topologyKeys": None}] if driver else []
    return {"metadata": {"name": name, "ownerReferences": [owner]}, "spec": {"drivers": drivers}}


def _node(name: str, *, zone: str, oddities: Mapping[str, str]) -> Json:
    """Return a node as a healthy kubelet registers it."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        # The node controller adds these two, and the TTL controller its annotation: one write each, per node.
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": zone,
        "type": "kwok",
        **oddities,
    }
    labels = {key: value for key, value in labels.items() if value}
    annotations = {_ANNOTATION: "fake", "node.alpha.kubernetes.io/ttl": "0"}
    now = _now()
    good = {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}
    resources = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "status": {
            "addresses": [{"type": "Hostname", "address": name}],
            "allocatable": resources,
            "capacity": resources,
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": "KWOK",
                    "message": "simulated",
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                }
                for kind, status in good.items()
            ],
            "nodeInfo": {
                "architecture": labels.get("kubernetes.io/arch", "amd64"),
                "bootID": str(uuid.uuid4()),
                "containerRuntimeVersion": "kwok",
                "kernelVersion": "kwok",
                "kubeProxyVersion": "",
                "kubeletVersion": "kwok",
                "machineID": name,
                "operatingSystem": labels.get("kubernetes.io/os", "linux"),
                "osImage": "kwok",
                "systemUUID": name,
            },
        },
    }


def _storage_class() -> Json:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS},
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }
