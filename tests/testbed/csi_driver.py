"""One CSI driver process in a mount namespace of its own, and a client that plays provisioner and kubelet."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc

from testbed import faults
from testbed.csi import stubs
from testbed.csi.pool import RAW
from testbed.csi.server import TOPOLOGY_KEY
from testbed.janitor import ROOT

NODE = "node-1"
POOL_BYTES = 2 << 30
GROUP = 2000


@dataclass(frozen=True, slots=True)
class Published:
    """A volume on its way to a pod. `path` is where the pod would see it, as seen from outside."""

    id: str
    claim: str
    filesystem: str
    path: Path


class Driver:
    """The driver of one node, without kubelet. For `testbed.faults` it is a cluster with that node alone.

    What it mounts is seen from outside below /proc/PID/root of the process that holds the namespace.
    """

    def __init__(self, directory: Path, *, attach: bool = False) -> None:
        """`directory` must be short, and on a disk: unix sockets and backing files lie in it."""
        self.directory = directory
        self._attach = attach
        self._holder: asyncio.subprocess.Process | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._stubs = stubs.load()

    @property
    def socket(self) -> Path:
        return self.directory / "csi.sock"

    @property
    def pool(self) -> Path:
        return self.directory / "pool"

    def seen(self, path: Path) -> Path:
        """Return a path of the driver's namespace as it is reached from here."""
        assert self._holder is not None
        return Path(f"/proc/{self._holder.pid}/root{path}")

    async def __aenter__(self) -> Self:
        hold = ("unshare", "--mount", "--propagation=private", "sh", "-c", "echo ready; exec sleep infinity")
        self._holder = await asyncio.create_subprocess_exec(*hold, stdout=asyncio.subprocess.PIPE)
        assert self._holder.stdout is not None
        await self._holder.stdout.readline()
        await self.start(f"csi-{NODE}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            await faults.undo_all(self, node=NODE)
            await self.terminate()
        assert self._holder is not None
        self._holder.kill()
        await self._holder.wait()

    async def start(self, name: str) -> None:
        """Start the driver; return when it serves."""
        assert name == f"csi-{NODE}"
        assert self._holder is not None
        state = self.directory / NODE / "csi"
        state.mkdir(parents=True, exist_ok=True)
        (state / "control.sock").unlink(missing_ok=True)
        with (self.directory / "driver.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--"),
                *(sys.executable, "-m", "testbed.csi", "serve", "--driver=local.pie.test", f"--node={NODE}"),
                *(f"--socket={self.socket}", f"--state={state}", f"--registration={self.directory}/reg.sock"),
                *(f"--pool={self.pool}", f"--pool-bytes={POOL_BYTES}", *(["--attach"] * self._attach)),
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(60):
            while not await _answers(state / "control.sock"):  # noqa: ASYNC110  the other side is a process
                await asyncio.sleep(0.02)

    async def kill(self, name: str) -> None:
        """End the driver as a crash does."""
        assert name == f"csi-{NODE}"
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """End the driver in good order; return its exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        async with asyncio.timeout(60):
            return await self._process.wait()

    async def processes(self) -> dict[str, bool]:
        """Tell that the driver runs, or not."""
        return {f"csi-{NODE}": self._process is not None and self._process.returncode is None}

    async def call(self, method: str, *, timeout_seconds: float = 90, **fields: Any) -> Any:
        """Call a CSI method by its name."""
        services = self._stubs.csi.DESCRIPTOR.services_by_name
        service = next(each for each in services.values() if method in each.methods_by_name)
        request = getattr(self._stubs.csi, f"{method}Request")(**fields)
        answer = getattr(self._stubs.csi, f"{method}Response")
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            stub = channel.unary_unary(
                f"/{service.full_name}/{method}",
                request_serializer=type(request).SerializeToString,
                response_deserializer=answer.FromString,
            )
            return await stub(request, timeout=timeout_seconds)

    def capability(self, filesystem: str) -> dict[str, Any]:
        """Return what a pod with an fsGroup asks for, or one with a raw device."""
        mode = self._stubs.csi.VolumeCapability.AccessMode.SINGLE_NODE_WRITER
        if filesystem == RAW:
            return {"block": {}, "access_mode": {"mode": mode}}
        mount = {"fs_type": filesystem, "volume_mount_group": str(GROUP)}
        return {"mount": mount, "access_mode": {"mode": mode}}

    async def create(
        self, claim: str, filesystem: str = "ext4", size_bytes: int = 32 << 20, source: str = ""
    ) -> str:
        """Provision a volume for a claim of namespace `ns`, maybe a clone, return its id."""
        answer = await self.call(
            "CreateVolume",
            name=f"pvc-{claim}",
            capacity_range={"required_bytes": size_bytes},
            volume_capabilities=[self.capability(filesystem)],
            parameters=claim_parameters(claim),
            volume_content_source={"volume": {"volume_id": source}} if source else None,
            accessibility_requirements={"requisite": [{"segments": {TOPOLOGY_KEY: NODE}}]},
        )
        return str(answer.volume.volume_id)

    async def publish(self, volume_id: str, claim: str, filesystem: str = "ext4") -> Published:
        """Stage and publish a volume as kubelet does for a pod."""
        paths = self._paths(volume_id)
        capability = self.capability(filesystem)
        staging = paths["staging_target_path"]
        await self.call(
            "NodeStageVolume", volume_id=volume_id, staging_target_path=staging, volume_capability=capability
        )
        await self.call(
            "NodePublishVolume",
            volume_id=volume_id,
            staging_target_path=staging,
            target_path=paths["target_path"],
            volume_capability=capability,
        )
        return Published(volume_id, claim, filesystem, self.seen(Path(paths["target_path"])))

    async def unpublish(self, volume_id: str) -> None:
        """Unpublish and unstage a volume."""
        paths = self._paths(volume_id)
        await self.call("NodeUnpublishVolume", volume_id=volume_id, target_path=paths["target_path"])
        await self.call(
            "NodeUnstageVolume", volume_id=volume_id, staging_target_path=paths["staging_target_path"]
        )

    async def publish_again(self, volume: Published) -> Published:
        """Do what happens to a volume between two pods that use it."""
        await self.unpublish(volume.id)
        return await self.publish(volume.id, volume.claim, volume.filesystem)

    async def published(self, claim: str, filesystem: str = "ext4") -> Published:
        """Provision a volume and publish it."""
        return await self.publish(await self.create(claim, filesystem), claim, filesystem)

    def _paths(self, volume_id: str) -> Mapping[str, str]:
        return {
            "staging_target_path": f"{self.directory}/staging/{volume_id}",
            "target_path": f"{self.directory}/pods/{volume_id}/mount",
        }


@dataclass(frozen=True, slots=True)
class Writer:
    """A program that writes into a volume, in a process of its own, since it may hang."""

    process: asyncio.subprocess.Process = field(repr=False)

    @classmethod
    async def start(cls, path: Path, text: str) -> "Writer":
        """Begin to write `text` into a new file, and through to the disk."""
        program = (
            "import os,sys; f=open(sys.argv[1],'w'); f.write(sys.argv[2]); f.flush(); os.fsync(f.fileno())"
        )
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, path, text, stderr=asyncio.subprocess.PIPE
            )
        )

    async def error(self) -> str:
        """Wait for the end; return the last line of what it complained about (empty: written)."""
        _, complaint = await asyncio.wait_for(self.process.communicate(), 90)
        return complaint.decode().strip().rpartition("\n")[2]

    def hangs(self) -> bool:
        """Say whether it sleeps uninterruptibly."""
        return _state(self.process.pid) == "D"


async def _answers(path: Path) -> bool:
    """Say whether somebody listens: a socket's file is there a moment before that."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


def claim_parameters(claim: str) -> dict[str, str]:
    """Return what csi-provisioner tells about a claim."""
    return {"csi.storage.k8s.io/pvc/name": claim, "csi.storage.k8s.io/pvc/namespace": "ns"}


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split(" ")[0]
