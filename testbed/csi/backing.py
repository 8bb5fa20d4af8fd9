"""Faults of backing files: corrupted, swapped, emptied, stale.

They change it while the volume is not mounted.
"""

import asyncio
import os
from pathlib import Path
from typing import assert_never

import msgspec

from testbed.csi import filesystems
from testbed.csi.armed import Armed, BackingFault
from testbed.csi.extents import extents
from testbed.csi.pool import RAW, Pool, Volume, make_empty, replace
from testbed.errors import TestbedError

ORIGINAL = "original"  # the backing file that another one replaces
DAMAGE = "damage"  # what was corrupted, and what was there before
SNAPSHOT = "snapshot"
LARGEST_CORRUPTED_FILE_BYTES = 4 << 20  # records are small; a larger file is one of a load generator
SECTOR_BYTES = 512


class _Damage(msgspec.Struct, frozen=True):
    offset_bytes: int
    before: bytes


class BackingFiles:
    """Changes backing files as the armed faults say. It must be called under the lock of the volume."""

    def __init__(self, pool: Pool, armed: Armed) -> None:
        """Change the volumes of `pool` as `armed` says."""
        self._pool = pool
        self._armed = armed

    async def settle(self, volume: Volume) -> None:
        """Do or undo what the armed faults say, unless the volume is mounted."""
        image = self._pool.backing_file(volume.id)
        if filesystems.loop_device(image):
            return
        wanted = next((fault for _, fault in self._armed.concerning(BackingFault, volume.claim)), None)
        done = self._original(volume).exists() or self._damage(volume).exists()
        if wanted and not done:
            await self._apply(volume, wanted)
        elif done and not wanted:
            self._take_back(volume)

    async def snapshot(self, volume: Volume) -> Path:
        """Copy the backing file, for the fault `stale`; return the path of the copy."""
        copy = self._pool.beside(volume.id, SNAPSHOT)
        await self.copy(volume, copy)
        return copy

    async def copy(self, volume: Volume, copy: Path) -> None:
        """Copy the backing file, and freeze a mounted volume meanwhile."""
        image = self._pool.backing_file(volume.id)
        mounts = filesystems.mounts_of(image)
        try:
            frozen = bool(mounts) and await filesystems.freeze(mounts[0])
        except OSError:  # it is shut down by a fault: nothing writes to it
            frozen = False
        try:
            await filesystems.copy(image, copy)
        finally:
            if frozen:
                await filesystems.thaw(mounts[0])

    def check(self, volume: Volume, fault: BackingFault) -> None:
        """Refuse a fault that is not possible for the volume."""
        if fault.kind == "stale" and not self._pool.beside(volume.id, SNAPSHOT).exists():
            raise TestbedError(f"the volume of {volume.claim} has no snapshot to go back to; take one first")
        if fault.kind == "swapped" and not Path(fault.source).is_file():
            raise TestbedError(f"the file to swap in does not exist: {fault.source!r}")

    async def _apply(self, volume: Volume, fault: BackingFault) -> None:
        image = self._pool.backing_file(volume.id)
        match fault.kind:
            case "corrupted":
                await self._corrupt(volume)
            case "emptied":
                image.rename(self._original(volume))
                make_empty(image, volume.capacity_bytes)
                if volume.filesystem != RAW:
                    await filesystems.make(image, volume.filesystem)
            case "swapped":
                await self._stand_in(volume, Path(fault.source))
            case "stale":
                await self._stand_in(volume, self._pool.beside(volume.id, SNAPSHOT))
            case _:
                assert_never(fault.kind)

    async def _stand_in(self, volume: Volume, source: Path) -> None:
        copy = self._pool.beside(volume.id, "stand-in")
        await filesystems.copy(source, copy)
        image = self._pool.backing_file(volume.id)
        image.rename(self._original(volume))
        copy.rename(image)

    async def _corrupt(self, volume: Volume) -> None:
        """Invert some bytes in each sector of each small file; the filesystem itself stays intact."""
        image = self._pool.backing_file(volume.id)
        if not await filesystems.has_filesystem(image):  # nothing was written yet
            return
        async with filesystems.mounted(image, volume.filesystem) as target:
            places = await asyncio.to_thread(_sectors_of_small_files, target)
        with image.open("r+b") as file:
            before = [_Damage(place, os.pread(file.fileno(), SECTOR_BYTES, place)) for place in places]
            replace(self._damage(volume), msgspec.json.encode(before))
            for damage in before:
                os.pwrite(file.fileno(), corrupted(damage.before), damage.offset_bytes)

    def _take_back(self, volume: Volume) -> None:
        image = self._pool.backing_file(volume.id)
        if self._original(volume).exists():
            self._original(volume).rename(image)
        damage_file = self._damage(volume)
        if damage_file.exists():
            with image.open("r+b") as file:
                for damage in msgspec.json.decode(damage_file.read_bytes(), type=list[_Damage]):
                    now = os.pread(file.fileno(), SECTOR_BYTES, damage.offset_bytes)
                    if now == corrupted(damage.before):  # not written again since
                        os.pwrite(file.fileno(), damage.before, damage.offset_bytes)
            damage_file.unlink()

    def _original(self, volume: Volume) -> Path:
        return self._pool.beside(volume.id, ORIGINAL)

    def _damage(self, volume: Volume) -> Path:
        return self._pool.beside(volume.id, DAMAGE)


def corrupted(sector: bytes) -> bytes:
    """Invert every eighth byte: this changes each record in the sector; doing it again restores it."""
    return bytes(byte if index % 8 else byte ^ 0xFF for index, byte in enumerate(sector))


def _sectors_of_small_files(root: Path) -> list[int]:
    """Return the device offsets of all written sectors of the small files below `root`."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink())
    small = (path for path in files if path.stat().st_size <= LARGEST_CORRUPTED_FILE_BYTES)
    return [
        offset
        for path in small
        for extent in extents(path)
        for offset in range(extent.offset_bytes, extent.offset_bytes + extent.length_bytes, SECTOR_BYTES)
    ]
