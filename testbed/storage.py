"""Dynamic provisioning on real nodes: each has the testbed's CSI driver and the real external-provisioner."""

import asyncio
import sys
from pathlib import Path

from testbed.api import Api, Json
from testbed.build import binary
from testbed.errors import TestbedError
from testbed.janitor import ROOT
from testbed.node import Node
from testbed.processes import Processes

DRIVER = "local.pie.test"
STORAGE_CLASSES = {"local": "ext4", "local-xfs": "xfs"}
"""StorageClass by the filesystem of its volumes; all are node-local, like those of TopoLVM."""
GROW = frozenset({"local-xfs"})
"""StorageClasses with allowVolumeExpansion: ext4 grows only where root has the capability SYS_RESOURCE."""
REGISTRATION_TIMEOUT_SECONDS = 120
# The default of 5 minutes is too long for tests of a provisioner that comes back.
RETRY_INTERVAL_MAX = "10s"


class Storage:
    """The storage of one real node. Its processes are `csi-<node>` and `csi-provisioner-<node>`."""

    def __init__(self, node: Node, processes: Processes, kubeconfig: Path, *, pool_bytes: int) -> None:
        """Nothing is started yet. `pool_bytes` is the capacity for all volumes of the node."""
        self.driver = f"csi-{node.name}"
        self.provisioner = f"csi-provisioner-{node.name}"
        self._node = node
        self._processes = processes
        self._kubeconfig = kubeconfig
        self._pool_bytes = pool_bytes

    @property
    def state(self) -> Path:
        """The driver's own directory, with its control socket, on which faults are armed."""
        return self._node.directory / "csi"

    @property
    def pool(self) -> Path:
        """Directory with the volumes' backing files."""
        return self._node.directory / "pool"

    async def start(self) -> None:
        """Start both processes on the node's machine; csi-provisioner needs a driver that answers."""
        socket, registration = plugin_sockets(self._node, DRIVER)
        driver = [
            *(sys.executable, "-m", "testbed.csi", "serve"),
            *(f"--driver={DRIVER}", f"--node={self._node.name}", f"--state={self.state}"),
            *(f"--socket={socket}", f"--registration={registration}"),
            *(f"--pool={self.pool}", f"--pool-bytes={self._pool_bytes}"),
        ]
        await self._start(self.driver, driver, {"PYTHONPATH": str(ROOT)})
        await wait_until_listening(socket, self._processes, self.driver)
        provisioner = [
            *(str(await binary("csi-provisioner")), f"--kubeconfig={self._kubeconfig}"),
            f"--csi-address={socket}",
            "--node-deployment=true",
            "--feature-gates=Topology=true",
            "--strict-topology=true",
            "--immediate-topology=false",
            "--leader-election=false",
            "--extra-create-metadata",
            f"--retry-interval-max={RETRY_INTERVAL_MAX}",
        ]
        environment = {"NODE_NAME": self._node.name, "NAMESPACE": "kube-system"}
        await self._start(self.provisioner, provisioner, environment)

    async def wait_until_registered(self, api: Api) -> None:
        """Wait until the kubelet has registered the driver on this node."""
        await wait_until_registered(api, self._node.name, DRIVER, self._processes, self.driver)

    async def _start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        await self._processes.start(name, self._node.machine.argv(command), env=environment)


async def apply_classes(api: Api) -> None:
    """Create the CSIDriver and the StorageClasses."""
    driver = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": DRIVER},
        "spec": {
            "attachRequired": False,
            "podInfoOnMount": True,
            "fsGroupPolicy": "File",
            "volumeLifecycleModes": ["Persistent"],
        },
    }
    await api.apply(f"/apis/storage.k8s.io/v1/csidrivers/{DRIVER}", driver)
    for name, filesystem in STORAGE_CLASSES.items():
        storage_class = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": DRIVER,
            "parameters": {"csi.storage.k8s.io/fstype": filesystem},
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
            "allowVolumeExpansion": name in GROW,
        }
        await api.apply(f"/apis/storage.k8s.io/v1/storageclasses/{name}", storage_class)


def plugin_sockets(node: Node, driver: str) -> tuple[Path, Path]:
    """Return the sockets of a driver on a node: for CSI, and for its registration."""
    root = node.kubelet_root
    return root / "plugins" / driver / "csi.sock", root / "plugins_registry" / f"{driver}-reg.sock"


async def wait_until_listening(socket: Path, processes: Processes, process: str) -> None:
    """Wait until a driver listens; if it does not, raise an error with its log."""
    try:
        async with asyncio.timeout(REGISTRATION_TIMEOUT_SECONDS):
            while not await _listens(socket):
                processes.pid(process)  # raises, with the end of its log, when it has ended
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TestbedError(
            f"{process} does not listen on {socket} after {REGISTRATION_TIMEOUT_SECONDS} s; its log ends:\n"
            f"{processes.log_tail(process)}"
        ) from None


async def _listens(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.close()
    return True


async def wait_until_registered(api: Api, node: str, driver: str, processes: Processes, process: str) -> None:
    """Wait until the CSINode lists the driver; if it does not, raise an error with the driver's log."""
    try:
        async with asyncio.timeout(REGISTRATION_TIMEOUT_SECONDS):
            while not _lists(await api.find(f"/apis/storage.k8s.io/v1/csinodes/{node}"), driver):
                processes.pid(process)  # raises, with the end of its log, when it has ended
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TestbedError(
            f"{node}: kubelet has not registered the CSI driver {driver} after "
            f"{REGISTRATION_TIMEOUT_SECONDS} s; the driver's log ends:\n{processes.log_tail(process)}"
        ) from None


def _lists(csi_node: Json | None, driver: str) -> bool:
    if csi_node is None:
        return False
    return any(each["name"] == driver for each in csi_node["spec"].get("drivers") or [])
