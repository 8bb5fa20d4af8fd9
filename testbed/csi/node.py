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
from testbed.csi.armed import Armed, MountsNothing
from testbed.csi.backing import BackingFiles
from testbed.csi.bites import Bites
from testbed.csi.calls import CallError
from testbed.csi.capabilities import INVALID, refusal, require, require_capability
from testbed.csi.locks import VolumeLocks
from testbed.csi.pool import Pool, Volume
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
        types = (rpc.STAGE_UNSTAGE_VOLUME, rpc.GET_VOLUME_STATS, rpc.VOLUME_MOUNT_GROUP)
        capabilities = [csi.NodeServiceCapability(rpc=rpc(type=kind)) for kind in types]
        return csi.NodeGetCapabilitiesResponse(capabilities=capabilities)

    async def NodeStageVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Mount the volume once for the node; format it if it is empty."""
        require(volume_id=request.volume_id, staging_target_path=request.staging_target_path)
        mount = self._mount_of(request)
        volume = self._find(request.volume_id)
        if self.attach and volume.attached_to != self.node:
            raise CallError(
                Code.FAILED_PRECONDITION, f"volume {volume.id} is not attached to node {self.node}"
            )
        target = filesystems.make_directory(request.staging_target_path)
        async with self.locks[volume.id]:
            if not self._pretends(volume):
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
            if volume:
                await self.backing.settle(volume)
        return self.stubs.csi.NodeUnstageVolumeResponse()

    async def NodePublishVolume(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Bind the staged volume to the pod's path."""
        require(volume_id=request.volume_id, target_path=request.target_path)
        mount = self._mount_of(request)
        volume = self._find(request.volume_id)
        if not request.staging_target_path:
            raise CallError(
                Code.FAILED_PRECONDITION, "staging_target_path is missing; volumes must be staged"
            )
        async with self.locks[volume.id]:
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
            await asyncio.to_thread(_remove_directory, target)
        return self.stubs.csi.NodeUnpublishVolumeResponse()

    async def NodeGetVolumeStats(self, request: Any, _context: Any) -> Any:  # noqa: N802  CSI's name
        """Return how full a mounted volume is."""
        require(volume_id=request.volume_id, volume_path=request.volume_path)
        volume = self._find(request.volume_id)
        path = Path(request.volume_path)
        if not filesystems.is_mounted_on(self.pool.backing_file(volume.id), path):
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


def _remove_directory(target: Path) -> None:
    """Remove the directory of a mount, and what a pod wrote there while nothing was mounted."""
    if target.exists():
        shutil.rmtree(target)


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
