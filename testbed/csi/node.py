"""CSI's Node service: create the filesystem, mount it, bind it to the pod's path, and undo that."""

import asyncio
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from testbed.csi import filesystems
from testbed.csi.armed import Armed, MountFault, MountsNothing
from testbed.csi.backing import BackingFiles
from testbed.csi.bites import Bites
from testbed.csi.calls import CallError
from testbed.csi.capabilities import INVALID, refusal, require, require_capability
from testbed.csi.locks import VolumeLocks
from testbed.csi.pool import RAW, Pool, Volume
from testbed.csi.stubs import Stubs

Code = grpc.StatusCode
GROUP_MAY_WRITE = stat.S_ISGID | stat.S_IRWXG


@dataclass(frozen=True, slots=True)
class Node:
    """The methods of csi.v1.Node. `segments`: this node's topology; empty: any volume is reachable."""

    stubs: Stubs
    node: str
    pool: Pool
    armed: Armed
    locks: VolumeLocks
    bites: Bites
    backing: BackingFiles
    segments: dict[str, str]
    attach: bool

    async def NodeGetInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Return the node's name and topology."""
        topology = {"segments": self.segments} if self.segments else None
        return self.stubs.csi.NodeGetInfoResponse(node_id=self.node, accessible_topology=topology)

    async def NodeGetCapabilities(self, _request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Return what this node can do.

        VOLUME_MOUNT_GROUP: the driver gives the volume to the pod's fsGroup. So the kubelet opens no file
        after the publish, and a fault at that moment affects the pod, not the kubelet.
        """
        csi = self.stubs.csi
        rpc = csi.NodeServiceCapability.RPC
        types = (rpc.STAGE_UNSTAGE_VOLUME, rpc.GET_VOLUME_STATS, rpc.VOLUME_MOUNT_GROUP, rpc.EXPAND_VOLUME)
        capabilities = [csi.NodeServiceCapability(rpc=rpc(type=kind)) for kind in types]
        return csi.NodeGetCapabilitiesResponse(capabilities=capabilities)

    async def NodeStageVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Mount the volume once for the node; format it if it is empty."""
        require(volume_id=request.volume_id, staging_target_path=request.staging_target_path)
        mount, volume = self._mount_of(request), self._find(request.volume_id)
        _check_access(request, volume)
        if self.attach and volume.attached_to != self.node:
            raise CallError(
                Code.FAILED_PRECONDITION, f"volume {volume.id} is not attached to node {self.node}"
            )
        target = filesystems.make_directory(request.staging_target_path)
        async with self.locks[volume.id]:
            if volume.filesystem == RAW:
                await self._device(volume)
            elif not self._pretends(volume):
                await self._stage(volume, target, mount)
        return self.stubs.csi.NodeStageVolumeResponse()

    async def NodeUnstageVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Unmount the volume from the node."""
        require(volume_id=request.volume_id, staging_target_path=request.staging_target_path)
        target = Path(request.staging_target_path)
        volume = self.pool.find(request.volume_id)
        async with self.locks[request.volume_id]:
            if volume and not await self.bites.unstaging(volume):
                raise CallError(
                    Code.DEADLINE_EXCEEDED, f"volume {volume.id} hangs; unmounting {target} would not end"
                )
            await filesystems.unmount(target)
            if volume and volume.filesystem == RAW:
                await filesystems.detach(self.pool.backing_file(volume.id))
            if volume:
                await self.backing.settle(volume)
        return self.stubs.csi.NodeUnstageVolumeResponse()

    async def NodePublishVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Bind the staged volume to the pod's path."""
        require(volume_id=request.volume_id, target_path=request.target_path)
        mount, volume = self._mount_of(request), self._find(request.volume_id)
        _check_access(request, volume)
        if not request.staging_target_path:
            raise CallError(
                Code.FAILED_PRECONDITION, "staging_target_path is missing; volumes must be staged"
            )
        async with self.locks[volume.id]:
            if volume.filesystem == RAW:
                await self._publish_device(volume, Path(request.target_path))
                return self.stubs.csi.NodePublishVolumeResponse()
            target = filesystems.make_directory(request.target_path)
            if self._pretends(volume):
                await _give_to_group(target, mount.volume_mount_group)
                return self.stubs.csi.NodePublishVolumeResponse()
            staging = Path(request.staging_target_path)
            # After a NodeStageVolume that did nothing (fault), the kubelet takes the volume for staged.
            await self._stage(volume, filesystems.make_directory(str(staging)), mount)
            if not filesystems.mount_at(target):
                await filesystems.bind(staging, target, readonly=request.readonly)
                await self.bites.published(volume, target)
        return self.stubs.csi.NodePublishVolumeResponse()

    async def NodeUnpublishVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Unmount the volume from the pod's path, and remove the path."""
        require(volume_id=request.volume_id, target_path=request.target_path)
        target = Path(request.target_path)
        async with self.locks[request.volume_id]:
            await filesystems.unmount(target)
            await asyncio.to_thread(_remove, target)
        return self.stubs.csi.NodeUnpublishVolumeResponse()

    async def NodeGetVolumeStats(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Return how full a mounted volume is."""
        require(volume_id=request.volume_id, volume_path=request.volume_path)
        volume = self._find(request.volume_id)
        path = Path(request.volume_path)
        image = self.pool.backing_file(volume.id)
        if volume.filesystem == RAW and filesystems.is_device_of(image, path):
            return self._size_of(volume)
        if not filesystems.is_mounted_on(image, path):
            raise CallError(Code.NOT_FOUND, f"volume {volume.id} is not mounted on {path}")
        usage = await asyncio.to_thread(os.statvfs, path)
        csi = self.stubs.csi
        by_unit = (
            (csi.VolumeUsage.BYTES, usage.f_frsize, usage.f_blocks, usage.f_bfree, usage.f_bavail),
            (csi.VolumeUsage.INODES, 1, usage.f_files, usage.f_ffree, usage.f_favail),
        )
        return csi.NodeGetVolumeStatsResponse(
            usage=[
                csi.VolumeUsage(
                    unit=unit, total=total * size, used=(total - free) * size, available=available * size
                )
                for unit, size, total, free, available in by_unit
            ]
        )

    async def NodeExpandVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Have the device and the filesystem of a volume in use grow to the size of the backing file."""
        require(volume_id=request.volume_id, volume_path=request.volume_path)
        volume = self._find(request.volume_id)
        image = self.pool.backing_file(volume.id)
        async with self.locks[volume.id]:
            if not filesystems.loop_device(image):
                raise CallError(Code.NOT_FOUND, f"volume {volume.id} is not in use on node {self.node}")
            await filesystems.grow(image, volume.filesystem)
        return self.stubs.csi.NodeExpandVolumeResponse(capacity_bytes=volume.capacity_bytes)

    def _size_of(self, volume: Volume) -> Any:
        """Return the statistics of a raw volume: its size. The used part is not known."""
        csi = self.stubs.csi
        usage = csi.VolumeUsage(unit=csi.VolumeUsage.BYTES, total=volume.capacity_bytes)
        return csi.NodeGetVolumeStatsResponse(usage=[usage])

    async def _device(self, volume: Volume) -> Path:
        """Return the device of a raw volume."""
        await self.backing.settle(volume)
        faults = (fault.kind for _, fault in self.armed.concerning(MountFault, volume.claim))
        return await filesystems.attach(self.pool.backing_file(volume.id), readonly="read-only" in faults)

    async def _publish_device(self, volume: Volume, target: Path) -> None:
        """Bind the device of a raw volume to a file, which the kubelet gives to the pod."""
        device = await self._device(volume)
        if not filesystems.mount_at(target):
            await filesystems.bind(device, filesystems.make_file(target), readonly=False)

    async def _stage(self, volume: Volume, target: Path, mount: Any) -> None:
        image = self.pool.backing_file(volume.id)
        if filesystems.is_mounted_on(image, target):
            return
        await self.backing.settle(volume)
        if not await filesystems.has_filesystem(image):
            await filesystems.make(image, volume.filesystem)
        await filesystems.mount(image, target, volume.filesystem, mount.mount_flags)
        await _give_to_group(target, mount.volume_mount_group)

    def _mount_of(self, request: Any) -> Any:
        """Return how the volume should be mounted; refuse what is not supported."""
        capability = require_capability(request)
        if why := refusal(self.stubs, [capability]):
            raise CallError(INVALID, why)
        return capability.mount

    def _pretends(self, volume: Volume) -> bool:
        return next(self.armed.concerning(MountsNothing, volume.claim), None) is not None

    def _find(self, volume_id: str) -> Volume:
        if volume := self.pool.find(volume_id):
            return volume
        raise CallError(Code.NOT_FOUND, f"there is no volume {volume_id}")


def _check_access(request: Any, volume: Volume) -> None:
    """Refuse to use a filesystem as a raw device, and the other way round."""
    if request.volume_capability.HasField("block") is not (volume.filesystem == RAW):
        raise CallError(INVALID, f"volume {volume.id} was created for another kind of access")


def _remove(target: Path) -> None:
    """Remove the file of a device, or the directory of a mount with what a pod wrote there without one."""
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


async def _give_to_group(root: Path, group: str) -> None:
    """Let a group write in a volume's root; pods of the group created everything below."""
    if group:
        await asyncio.to_thread(_chgrp, root, int(group))


def _chgrp(root: Path, group: int) -> None:
    now = root.stat()
    wanted = stat.S_IMODE(now.st_mode) | GROUP_MAY_WRITE
    if (now.st_gid, stat.S_IMODE(now.st_mode)) != (group, wanted):
        os.chown(root, -1, group)
        root.chmod(wanted)
