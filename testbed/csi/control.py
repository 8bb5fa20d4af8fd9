"""A driver's control socket: JSON lines that arm and disarm faults, and show what is there.

`ask` is the client; `Control` answers in the driver. One request a line, one answer a line.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import structlog

from testbed.csi import filesystems
from testbed.csi.armed import Armed, BackingFault, Fault, MountFault
from testbed.csi.backing import BackingFiles
from testbed.csi.bites import Bite, Bites
from testbed.csi.calls import Calls
from testbed.csi.filesystems import CommandError
from testbed.csi.locks import VolumeLocks
from testbed.csi.pool import Pool, Volume

log = structlog.get_logger()


class Arm(msgspec.Struct, frozen=True, tag="arm"):
    """Arm a fault under a name."""

    name: str
    fault: Fault


class Disarm(msgspec.Struct, frozen=True, tag="disarm"):
    """Disarm a fault and undo what it did; no error when it is not armed."""

    name: str


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """Copy the backing files of the volumes of some claims (a pattern as in faults)."""

    claims: str


class Show(msgspec.Struct, frozen=True, tag="show"):
    """Show volumes, armed faults, and what has bitten."""


class Release(msgspec.Struct, frozen=True, tag="release"):
    """Thaw everything, before the testbed ends."""


Request = Arm | Disarm | Snapshot | Show | Release


class VolumeState(msgspec.Struct, frozen=True):
    """A volume as it is now."""

    volume: Volume
    backing_file: str
    mounts: list[str]


class State(msgspec.Struct, frozen=True):
    """The answer to `Show`."""

    available_bytes: int
    volumes: list[VolumeState]
    armed: dict[str, Fault]
    bitten: list[Bite]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a request: `error` is empty when it was done."""

    error: str = ""
    state: State | None = None
    snapshots: dict[str, str] = {}  # path of the copy by claim


class ControlError(Exception):
    """A driver could not be asked, or could not do what it was asked."""


async def ask(socket: Path, request: Request) -> Answer:
    """Send a request to the driver at `socket`; ControlError when it does not do it."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket), limit=1 << 24)
    except OSError as error:
        raise ControlError(
            f"the CSI driver at {socket} does not answer ({error.strerror}); is it running?"
        ) from error
    try:
        writer.write(msgspec.json.encode(request) + b"\n")
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise ControlError(f"the CSI driver at {socket} ended before it answered")
    answer = msgspec.json.decode(line, type=Answer)
    if answer.error:
        raise ControlError(answer.error)
    return answer


class Control:
    """Answers requests of the control socket."""

    def __init__(
        self, pool: Pool, armed: Armed, locks: VolumeLocks, bites: Bites, backing: BackingFiles, calls: Calls
    ) -> None:
        """Act on the parts of one driver."""
        self._pool = pool
        self._armed = armed
        self._locks = locks
        self._bites = bites
        self._backing = backing
        self._calls = calls

    async def serve(self, socket: Path) -> asyncio.Server:
        """Listen on `socket`, in place of what a crashed driver left there."""
        socket.unlink(missing_ok=True)
        return await asyncio.start_unix_server(self._serve_one, path=str(socket))

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await self._answer_line(line)) + b"\n")
                await writer.drain()
        except ConnectionError:  # the client did not wait for the answer
            log.info("control client gone")
        finally:
            writer.close()

    async def _answer_line(self, line: bytes) -> Answer:
        try:
            request: Request = msgspec.json.decode(line, type=Request)
            return await self._answer(request)
        except (msgspec.DecodeError, ControlError, CommandError, OSError) as error:
            log.info("control request refused", error=str(error))
            return Answer(error=str(error))

    async def _answer(self, request: Request) -> Answer:
        match request:
            case Arm(name, fault):
                await self._arm(name, fault)
            case Disarm(name):
                await self._disarm(name)
            case Snapshot(claims):
                return Answer(snapshots=await self._snapshot(claims))
            case Show():
                return Answer(state=self._state())
            case Release():
                await self._bites.release()
        return Answer()

    async def _arm(self, name: str, fault: Fault) -> None:
        if isinstance(fault, BackingFault):
            for volume in self._concerned(fault.claims):
                if why := self._backing.check(volume, fault):
                    raise ControlError(why)
        await self._disarm(name)
        log.info("armed", name=name, fault=fault)
        self._armed.arm(name, fault)
        if isinstance(fault, MountFault):
            self._bites.armed(name, fault)
        if isinstance(fault, BackingFault):
            await self._settle(fault)

    async def _disarm(self, name: str) -> None:
        fault = self._armed.disarm(name)
        if fault is None:
            return
        log.info("disarmed", name=name)
        self._calls.disarmed(name)
        if isinstance(fault, MountFault):
            await self._bites.disarmed(name, fault)
        if isinstance(fault, BackingFault):
            await self._settle(fault)

    async def _settle(self, fault: BackingFault) -> None:
        for volume in self._concerned(fault.claims):
            async with self._locks[volume.id]:
                await self._backing.settle(volume)

    async def _snapshot(self, claims: str) -> dict[str, str]:
        copies = {}
        for volume in self._concerned(claims):
            async with self._locks[volume.id]:
                copies[volume.claim] = str(await self._backing.snapshot(volume))
        if not copies:
            raise ControlError(f"no volume here has a claim like {claims!r}")
        return copies

    def _concerned(self, claims: str) -> list[Volume]:
        selection = BackingFault(kind="emptied", claims=claims)
        return [volume for volume in self._pool.volumes() if selection.concerns(volume.claim)]

    def _state(self) -> State:
        volumes = []
        for volume in self._pool.volumes():
            image = self._pool.backing_file(volume.id)
            mounts = [str(mount) for mount in filesystems.mounts_of(image)]
            volumes.append(VolumeState(volume, str(image), mounts))
        return State(self._pool.available_bytes(), volumes, self._armed.items(), list(self._bites.bitten))
