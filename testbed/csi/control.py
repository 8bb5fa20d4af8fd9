"""The commands of a driver's control socket: arm and disarm faults, show volumes and faults.

The protocol is that of the supervisor, see `testbed.control`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import msgspec
import structlog

from testbed.control import Handler
from testbed.csi import filesystems
from testbed.csi.armed import Armed, BackingFault, Fault, MountFault, RpcFault, matches
from testbed.csi.backing import BackingFiles
from testbed.csi.bites import Bite, Bites
from testbed.csi.calls import Calls
from testbed.csi.locks import VolumeLocks
from testbed.csi.pool import Pool, Volume
from testbed.errors import TestbedError

log = structlog.get_logger()


class VolumeState(msgspec.Struct, frozen=True):
    """A volume as it is now; `mounts`: where it is mounted on the node, in the order of mounting."""

    volume: Volume
    backing_file: str
    mounts: list[str]


class State(msgspec.Struct, frozen=True):
    """The answer to `show`."""

    available_bytes: int
    volumes: list[VolumeState]
    armed: dict[str, Fault]
    bitten: list[Bite]


@dataclass(frozen=True, slots=True)
class Control:
    """The commands to one driver."""

    pool: Pool
    armed: Armed
    locks: VolumeLocks
    bites: Bites
    backing: BackingFiles
    calls: Calls

    def commands(self) -> dict[str, Handler]:
        """Return the commands by name."""
        return {"arm": self.arm, "disarm": self.disarm, "snapshot": self.snapshot, "show": self.show}

    async def arm(self, name: str, fault: Mapping[str, Any]) -> None:
        """Arm a fault (`testbed.csi.armed`, as JSON); it replaces the one of the same name."""
        try:
            decoded: Fault = msgspec.convert(fault, Fault)
        except msgspec.ValidationError as error:
            raise TestbedError(f"fault {name}: {error}") from error
        self._check(decoded)
        await self.disarm(name)
        log.info("armed", name=name, fault=decoded)
        self.armed.arm(name, decoded)
        if isinstance(decoded, MountFault):
            self.bites.armed(name, decoded)
        if isinstance(decoded, BackingFault):
            await self._settle(decoded)

    async def disarm(self, name: str) -> None:
        """Disarm a fault and undo its effects; it is no error if it is not armed."""
        fault = self.armed.disarm(name)
        if fault is None:
            return
        log.info("disarmed", name=name)
        self.calls.disarmed(name)
        if isinstance(fault, MountFault):
            for volume in self._concerned(fault.claims):
                async with self.locks[volume.id]:
                    await self.bites.disarmed(name, fault, volume)
        if isinstance(fault, BackingFault):
            await self._settle(fault)

    async def snapshot(self, claims: str) -> dict[str, str]:
        """Copy the backing files of the volumes of some PVCs (a pattern); return the copies by PVC."""
        copies = {}
        for volume in self._concerned(claims):
            async with self.locks[volume.id]:
                copies[volume.claim] = str(await self.backing.snapshot(volume))
        if not copies:
            raise TestbedError(f"no volume here has a claim like {claims!r}")
        return copies

    async def show(self) -> Any:
        """Return the `State`, as JSON."""
        volumes = []
        for volume in self.pool.volumes():
            image = self.pool.backing_file(volume.id)
            mounts = [str(mount) for mount in filesystems.mounts_of(image)]
            volumes.append(VolumeState(volume, str(image), mounts))
        armed, bitten = self.armed.items(), list(self.bites.bitten)
        return msgspec.to_builtins(State(self.pool.available_bytes(), volumes, armed, bitten))

    def _check(self, fault: Fault) -> None:
        """Refuse a fault that would fail later, where nobody would see the error."""
        if isinstance(fault, RpcFault) and fault.code and fault.code not in grpc.StatusCode.__members__:
            codes = ", ".join(grpc.StatusCode.__members__)
            raise TestbedError(f"gRPC has no status {fault.code!r} (there are: {codes})")
        if isinstance(fault, BackingFault):
            for volume in self._concerned(fault.claims):
                self.backing.check(volume, fault)

    async def _settle(self, fault: BackingFault) -> None:
        for volume in self._concerned(fault.claims):
            async with self.locks[volume.id]:
                await self.backing.settle(volume)

    def _concerned(self, claims: str) -> list[Volume]:
        return [volume for volume in self.pool.volumes() if matches(claims, volume.claim)]
