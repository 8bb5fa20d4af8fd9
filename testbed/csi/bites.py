"""Faults of mounted volumes: hang, slow, I/O errors, read-only, full; their beginning and their undo."""

import asyncio
import time
from pathlib import Path
from typing import assert_never

import msgspec
import structlog

from testbed.csi import filesystems, throttle
from testbed.csi.armed import Armed, MountFault, matches
from testbed.csi.filesystems import CommandError
from testbed.csi.first_use import FirstUse
from testbed.csi.pool import Pool, Volume

BALLAST = ".testbed-ballast"  # the file that fills a volume
_BITE_AN_OPENING = {"io-error", "slow"}
FILLED = "filled"  # marks, beside the backing file, that the ballast is written
BUSY_RETRY_SECONDS = 0.02

log = structlog.get_logger()


class Bite(msgspec.Struct, frozen=True):
    """A fault has taken effect on a volume, at this Unix time; `error`: why it could not."""

    fault: str
    volume: str
    claim: str
    at_seconds: float
    error: str = ""


class Bites:
    """Waits for each published volume until its armed faults take effect."""

    def __init__(self, pool: Pool, armed: Armed, tasks: asyncio.TaskGroup) -> None:
        """Let the `armed` faults take effect on volumes of `pool`; `tasks` wait for the moments."""
        self._pool = pool
        self._armed = armed
        self._tasks = tasks
        self._biting: dict[tuple[str, str], asyncio.Task[None]] = {}
        self.bitten: list[Bite] = []

    async def published(self, volume: Volume, target: Path) -> None:
        """Let faults take effect on a volume that was just published, now or at their moment.

        Faults at the publish have taken effect when this returns: the pod never sees a good volume.
        """
        for name, fault in self._armed.concerning(MountFault, volume.claim):
            if fault.when == "use":
                self._start(name, fault, volume, FirstUse(target))
            elif fault.after_seconds:
                self._start(name, fault, volume, None)
            else:
                await self._bite(name, fault, volume, None)

    def armed(self, name: str, fault: MountFault) -> None:
        """Let a fault take effect on all mounted volumes that it concerns."""
        for volume in self._mounted(fault):
            self._start(name, fault, volume, None)

    async def disarmed(self, name: str, fault: MountFault, volume: Volume) -> None:
        """Undo the faults of a volume. After I/O errors it works when it is mounted again."""
        await self._stop(name, volume.id)
        await self._heal(fault, volume)

    async def unstaging(self, volume: Volume) -> bool:
        """End the faults of a volume that is unmounted next. False: it hangs, and so would unmounting it."""
        mounts = filesystems.mounts_of(self._pool.backing_file(volume.id))
        for name, fault in self._armed.concerning(MountFault, volume.claim):
            await self._stop(name, volume.id)
            if fault.kind == "slow":
                self._speed_up(volume)
            if fault.kind == "hang" and mounts and await filesystems.is_frozen(mounts[0]):
                return False
        return True

    async def stop(self) -> None:
        """Stop waiting. Faults that have taken effect stay."""
        for name, volume_id in tuple(self._biting):
            await self._stop(name, volume_id)

    def _speed_up(self, volume: Volume) -> None:
        if device := filesystems.loop_device(self._pool.backing_file(volume.id)):
            throttle.speed_up(device)

    def _mounted(self, fault: MountFault) -> list[Volume]:
        concerned = (volume for volume in self._pool.volumes() if matches(fault.claims, volume.claim))
        return [volume for volume in concerned if filesystems.mounts_of(self._pool.backing_file(volume.id))]

    def _start(self, name: str, fault: MountFault, volume: Volume, use: FirstUse | None) -> None:
        key = (name, volume.id)
        running = self._biting.get(key)
        if running and not running.done():
            if use:
                use.close()
            return
        self._biting[key] = self._tasks.create_task(self._bite(name, fault, volume, use))

    async def _stop(self, name: str, volume_id: str) -> None:
        task = self._biting.pop((name, volume_id), None)
        if task:
            task.cancel()
            await asyncio.wait([task])

    async def _bite(self, name: str, fault: MountFault, volume: Volume, use: FirstUse | None) -> None:
        try:
            if use:
                await use.wait()
                if fault.kind not in _BITE_AN_OPENING or fault.after_seconds:
                    use.close()  # other faults cannot take effect while the opening of a file is held
            await asyncio.sleep(fault.after_seconds)
            mounts = filesystems.mounts_of(self._pool.backing_file(volume.id))
            if mounts:
                log.info("biting", fault=name, kind=fault.kind, volume=volume.id, claim=volume.claim)
                await self._strike(fault, volume, mounts[0])
                self.bitten.append(Bite(name, volume.id, volume.claim, time.time()))
        except (OSError, CommandError) as error:
            log.exception("the fault could not bite", fault=name, volume=volume.id)
            self.bitten.append(Bite(name, volume.id, volume.claim, time.time(), str(error)))
        finally:
            if use:
                use.close()

    async def _strike(self, fault: MountFault, volume: Volume, mount: Path) -> None:
        match fault.kind:
            case "hang":
                await filesystems.freeze(mount)
            case "slow":
                if device := filesystems.loop_device(self._pool.backing_file(volume.id)):
                    throttle.slow_down(device)
            case "io-error":
                await filesystems.shut_down(mount)
            case "read-only":
                await _make_readonly(mount)
            case "full":
                self._pool.beside(volume.id, FILLED).touch()
                await filesystems.fill(mount, BALLAST)
            case _:
                assert_never(fault.kind)

    async def _heal(self, fault: MountFault, volume: Volume) -> None:
        image = self._pool.backing_file(volume.id)
        mounts = filesystems.mounts_of(image)
        if fault.kind == "hang" and mounts:
            await filesystems.thaw(mounts[0])
        elif fault.kind == "slow":
            self._speed_up(volume)
        elif fault.kind == "read-only" and mounts:
            await filesystems.remount(mounts[0], readonly=False)
        elif fault.kind == "full" and self._pool.beside(volume.id, FILLED).exists():
            if mounts:
                await asyncio.to_thread((mounts[0] / BALLAST).unlink, missing_ok=True)
            else:
                async with filesystems.mounted(image, volume.filesystem) as mount:
                    (mount / BALLAST).unlink(missing_ok=True)
            self._pool.beside(volume.id, FILLED).unlink()


async def _make_readonly(mount: Path) -> None:
    """Remount read-only; wait until no file is open for writing, since the kernel refuses before."""
    while True:
        try:
            await filesystems.remount(mount, readonly=True)
        except CommandError as error:
            if "busy" not in str(error):
                raise
        else:
            return
        await asyncio.sleep(BUSY_RETRY_SECONDS)
