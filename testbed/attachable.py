"""Storage that must be attached before it is mounted, like Rook/Ceph: one pool that every node can reach.

The driver's controller runs once, as process `csi-attachable`, with the real external-provisioner and
external-attacher beside it; its node service runs on every node, as `csi-attachable-<node>`. Faults of the
controller (attach, detach, create) are those of node `attachable`; of mounts, of node `node-1/attachable`.
"""

import sys
from pathlib import Path

from testbed.api import Api
from testbed.build import binary
from testbed.janitor import ROOT
from testbed.node import Node
from testbed.processes import Processes
from testbed.storage import (
    RETRY_INTERVAL_MAX,
    plugin_sockets,
    wait_until_listening,
    wait_until_registered,
)

DRIVER = "attachable.pie.test"
NAME = "attachable"
"""The name of the StorageClass and of the directories."""


class Attachable:
    """The attachable storage of one testbed."""

    def __init__(self, directory: Path, processes: Processes, kubeconfig: Path, *, pool_bytes: int) -> None:
        """Nothing is started yet. `directory` is the testbed's."""
        self._directory = directory / NAME
        self._processes = processes
        self._kubeconfig = kubeconfig
        self._pool = [f"--pool={self._directory / 'pool'}", f"--pool-bytes={pool_bytes}"]

    async def start(self, api: Api) -> None:
        """Start the controller's three processes, and create CSIDriver and StorageClass."""
        self._directory.mkdir(exist_ok=True)
        await _apply_objects(api)
        socket = self._directory / "csi.sock"
        driver = [
            *_serve("--services=controller"),
            *(f"--node={NAME}", f"--state={self._directory / 'csi'}", f"--socket={socket}"),
            *self._pool,
        ]
        await self._processes.start(f"csi-{NAME}", driver, env={"PYTHONPATH": str(ROOT)})
        await wait_until_listening(socket, self._processes, f"csi-{NAME}")
        common = [
            f"--csi-address={socket}",
            f"--kubeconfig={self._kubeconfig}",
            "--leader-election=false",
            f"--retry-interval-max={RETRY_INTERVAL_MAX}",
        ]
        provisioner = [str(await binary("csi-provisioner")), *common, "--extra-create-metadata"]
        await self._processes.start(f"csi-provisioner-{NAME}", provisioner)
        await self._processes.start(f"csi-attacher-{NAME}", [str(await binary("csi-attacher")), *common])

    async def start_on(self, node: Node) -> None:
        """Start the node service on a node's machine."""
        socket, registration = plugin_sockets(node, DRIVER)
        driver = [
            *_serve("--services=node"),
            *(f"--node={node.name}", f"--state={node.directory / NAME / 'csi'}"),
            *(f"--socket={socket}", f"--registration={registration}"),
            *self._pool,
        ]
        argv = node.machine.argv(driver)
        await self._processes.start(f"csi-{NAME}-{node.name}", argv, env={"PYTHONPATH": str(ROOT)})

    async def wait_until_registered(self, node: Node, api: Api) -> None:
        """Wait until the kubelet has registered the driver on this node."""
        await wait_until_registered(api, node.name, DRIVER, self._processes, f"csi-{NAME}-{node.name}")


def _serve(services: str) -> list[str]:
    return [sys.executable, "-m", "testbed.csi", "serve", f"--driver={DRIVER}", "--attach", services]


async def _apply_objects(api: Api) -> None:
    driver = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": DRIVER},
        "spec": {"attachRequired": True, "podInfoOnMount": True, "fsGroupPolicy": "File"},
    }
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": NAME},
        "provisioner": DRIVER,
        "parameters": {"csi.storage.k8s.io/fstype": "ext4"},
        "volumeBindingMode": "Immediate",
        "reclaimPolicy": "Delete",
    }
    await api.apply(f"/apis/storage.k8s.io/v1/csidrivers/{DRIVER}", driver)
    await api.apply(f"/apis/storage.k8s.io/v1/storageclasses/{NAME}", storage_class)
