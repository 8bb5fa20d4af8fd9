"""A real node: kubelet, containerd and runc on a machine of their own."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from testbed import images
from testbed.api import Api
from testbed.build import binary
from testbed.errors import TestbedError
from testbed.machine import Machine
from testbed.ports import Slot
from testbed.processes import Processes
from testbed.spec import IMAGES_DIRECTORY

KUBELET_STARTS = 3
READY_TIMEOUT_SECONDS = 120
MAX_NODES = 8
MAX_PODS = 60  # a node's subnet has 62 addresses
_NOT_READY = "node.kubernetes.io/not-ready"
# restrict_oom_score_adj: otherwise no sandbox starts without CAP_SYS_RESOURCE.
_CONTAINERD = Template("""version = 2
root = "$directory/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "$directory/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$directory/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
""")


class Node:
    """One real node of a testbed. Its processes are `containerd-<name>` and `kubelet-<name>`."""

    def __init__(
        self,
        name: str,
        *,
        index: int,
        testbed: Path,
        processes: Processes,
        slot: Slot,
        kubeconfig: Path,
        kubelet: str = "kubelet",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is started yet. `index` is the number of the node, from 0; `testbed` is its directory.

        `kubeconfig` is the kubelet's own, read when it starts; `kubelet` is its program.
        `labels` are put on the Node when it registers (of the `kubernetes.io` labels only those that a
        kubelet may set, such as `topology.kubernetes.io/zone`).
        """
        if index >= MAX_NODES:
            raise TestbedError(f"a testbed has at most {MAX_NODES} real nodes: {name} is one too many")
        self.name = name
        self.directory = testbed / name
        self.directory.mkdir(exist_ok=True)
        self.machine = Machine(name, self.directory, processes, cgroup=f"{testbed.name}/{name}")
        self.kubelet = f"kubelet-{name}"
        self.containerd = f"containerd-{name}"
        self._images = testbed / IMAGES_DIRECTORY
        self._processes = processes
        self._port = slot.port()
        self._kubeconfig = kubeconfig
        self._program = kubelet
        self._labels = labels or {}
        self._subnet = _subnet(slot.number, index)

    @property
    def kubelet_root(self) -> Path:
        """Kubelet's root directory, with `plugins`, `plugins_registry` and `pods` in it."""
        return self.directory / "kubelet"

    @property
    def containerd_socket(self) -> Path:
        """The socket of containerd; processes outside the machine can use it, too."""
        return self.directory / "containerd.sock"

    async def prepare(self) -> None:
        """Boot the machine, start containerd and import the images. The API server is not needed yet."""
        await self.machine.boot()
        await images.install(self._images, self.directory / "containerd")
        await self._start_containerd()
        await images.load(self._images, self.containerd_socket)

    async def start_kubelet(self) -> None:
        """Start the kubelet; it continues with the existing pods."""
        config = self.directory / "kubelet.json"
        config.write_text(json.dumps(self._kubelet_config(), indent=2))
        labels = ",".join(f"{key}={value}" for key, value in self._labels.items())
        command: list[str | Path] = [
            await binary(self._program),
            f"--config={config}",
            f"--kubeconfig={self._kubeconfig}",
            f"--hostname-override={self.name}",
            f"--root-dir={self.kubelet_root}",
            f"--cert-dir={self.directory / 'pki'}",
            *([f"--node-labels={labels}"] if labels else []),
        ]
        await self._processes.start(self.kubelet, self.machine.argv(command), env=_environment())

    async def until_kubelet_serves(self) -> None:
        """Wait until the kubelet answers. If what it needs is slow, it ends: as init does, start it again."""
        for _ in range(KUBELET_STARTS - 1):
            if await self._kubelet_serves():
                return
            await self._processes.start_again(self.kubelet)

    async def stop_kubelet(self) -> None:
        """Stop the kubelet only: containers and mounts stay as they are."""
        await self._processes.stop(self.kubelet)

    async def wait_until_ready(self, api: Api) -> None:
        """Wait until the node is Ready and pods can be scheduled onto it."""
        async with self._in_time(f"{self.name} is not ready"):
            while not _takes_pods(await api.find(f"/api/v1/nodes/{self.name}")):
                self._processes.pid(self.kubelet)  # raises, with the end of its log, when it has ended
                await asyncio.sleep(0.1)

    @contextlib.asynccontextmanager
    async def _in_time(self, what_is_wrong: str) -> AsyncIterator[None]:
        """Limit the time to wait for the kubelet; an error has the end of its log."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_SECONDS):
                yield
        except TimeoutError:
            tail = self._processes.log_tail(self.kubelet)
            raise TestbedError(
                f"{what_is_wrong} after {READY_TIMEOUT_SECONDS} s; kubelet's log ends:\n{tail}"
            ) from None

    async def power_off(self) -> None:
        """Power off: all processes and mounts of the machine end, and the API server is not informed."""
        await self.machine.power_off()
        for name in (self.kubelet, self.containerd):
            if name in self._processes:
                await self._processes.wait(name)

    async def power_on(self, *, boot_id: str | None = None) -> None:
        """Boot again with a new boot ID: the disk is as before, and no container runs."""
        await self.machine.boot(boot_id=boot_id)
        await self._start_containerd()
        await self.start_kubelet()
        await self.until_kubelet_serves()

    async def _kubelet_serves(self) -> bool:
        """Wait until the kubelet answers; False: it has ended."""
        async with self._in_time(f"{self.kubelet} does not serve"):
            while self._processes.running(self.kubelet):
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                    writer.close()
                    return True
                await asyncio.sleep(0.1)
        return False

    async def _start_containerd(self) -> None:
        config = self.directory / "containerd.toml"
        config.write_text(_CONTAINERD.substitute(directory=self.directory, pause=images.PAUSE))
        network = self.directory / "cni"
        network.mkdir(exist_ok=True)
        (network / "10-testbed.conflist").write_text(json.dumps(self._network()))
        self.containerd_socket.unlink(missing_ok=True)
        argv = self.machine.argv(["containerd", "--config", config])
        await self._processes.start(self.containerd, argv, env=_environment())
        while not await self._containerd_answers():
            self._processes.pid(self.containerd)  # raises when it has ended
            await asyncio.sleep(0.05)

    async def _containerd_answers(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self.containerd_socket)
        except OSError:
            return False
        writer.close()
        return True

    def _network(self) -> dict[str, Any]:
        """Give each pod a veth pair, which the kernel removes with the network namespace."""
        ipam = {
            "type": "host-local",
            "ranges": [[{"subnet": self._subnet}]],
            "dataDir": str(self.directory / "addresses"),
        }
        return {
            "cniVersion": "0.4.0",
            "name": self.name,
            "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}],
        }

    def _kubelet_config(self) -> dict[str, Any]:
        socket = f"unix://{self.containerd_socket}"
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": socket,
            "imageServiceEndpoint": socket,
            "address": "127.0.0.1",
            "port": self._port,
            "readOnlyPort": 0,
            "healthzPort": 0,
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupRoot": f"/{self.machine.cgroup}",
            "cgroupDriver": "cgroupfs",
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "makeIPTablesUtilChains": False,
            "localStorageCapacityIsolation": False,
            "evictionHard": {},
            "imageGCHighThresholdPercent": 100,  # never: a deleted image cannot be pulled again
            "clusterDNS": ["192.0.2.53"],  # not used; without a name server every pod gets a Warning Event
            "clusterDomain": "cluster.local",
            "maxPods": MAX_PODS,
            "podLogsDir": str(self.directory / "pod-logs"),
            "volumePluginDir": str(self.directory / "volume-plugins"),
        }


def _subnet(slot: int, index: int) -> str:
    """Divide 198.18.0.0/15 (RFC 2544, not routed): 256 testbeds with 8 nodes with 64 addresses."""
    block = slot * MAX_NODES + index
    return f"198.{18 + block // 1024}.{block // 4 % 256}.{block % 4 * 64}/26"


def _takes_pods(node: Mapping[str, Any] | None) -> bool:
    if node is None:
        return False
    conditions = node["status"].get("conditions", [])
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
    return ready and not any(taint["key"] == _NOT_READY for taint in node["spec"].get("taints", []))


def _environment() -> dict[str, str]:
    """Add the sbin directories to PATH, so that containerd finds runc and the kubelet finds mount."""
    return {"PATH": os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin"))}
