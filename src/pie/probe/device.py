"""The raw block device of a new volume: written at its beginning, middle and end, and read back.

I/O goes around the page cache, so that a copy in memory does not vouch for a disk. What is written are
records, each sector with its checksum, of an identity that no other run has.
"""

import errno
import os
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pie.core.result import Outcome
from pie.probe.aligned import read_at, write_at
from pie.probe.failure import Failure, doing
from pie.probe.ring import RING_BYTES, SLOT_BYTES, SLOTS, Record, encode_slot
from pie.probe.volume import O_DIRECT, REFUSED_DIRECT, drop_cached

_NOT_ALLOWED: Final = frozenset({errno.EACCES, errno.EPERM})


class Device:
    """An open device. Leaving its context closes it."""

    def __init__(self, path: Path, descriptor: int, size_bytes: int, *, direct: bool) -> None:
        """Do no I/O yet; use `Device.open` instead."""
        self._path = path
        self._descriptor = descriptor
        self.direct = direct
        self._places = _places(size_bytes)
        identity, now = os.urandom(16).hex(), int(time.time())
        records = (
            Record(identity=identity, sequence=number, written_at_seconds=now)
            for number in range(1, SLOTS * len(self._places) + 1)
        )
        self._content = b"".join(map(encode_slot, records))

    @classmethod
    def open(cls, path: Path, wanted_bytes: int = 0, *, check_device: bool = True) -> Self:
        """Open the device at `path`, which has at least so many bytes; or any file, unless checked."""
        with doing(f"looking for the device {path}"):
            try:
                is_device = stat.S_ISBLK(path.stat().st_mode)
            except FileNotFoundError:
                raise Failure(Outcome.VOLUME_MISSING, f"there is no device {path}") from None
        if check_device and not is_device:
            raise Failure(Outcome.VOLUME_MISSING, f"{path} is no block device")
        descriptor, direct = _opened(path)
        size_bytes = os.lseek(descriptor, 0, os.SEEK_END)
        if size_bytes < max(wanted_bytes, RING_BYTES):
            os.close(descriptor)
            why = f"the device {path} has {size_bytes} bytes, but {wanted_bytes} were asked for"
            raise Failure(Outcome.VOLUME_TOO_SMALL, why)
        return cls(path, descriptor, size_bytes, direct=direct)

    def write(self) -> None:
        """Write to all places, and have the device store it."""
        for number, place in enumerate(self._places):
            with doing(f"writing {RING_BYTES} bytes at byte {place} of {self._path}"):
                try:
                    write_at(self._descriptor, place, self._written(number))
                except PermissionError as error:
                    # The kernel's answer for a device that is read-only.
                    raise OSError(errno.EROFS, os.strerror(errno.EROFS)) from error
        with doing(f"syncing {self._path}"):
            os.fsync(self._descriptor)

    def read(self) -> None:
        """Read everything back, and compare it with what was written."""
        if not self.direct:
            drop_cached(self._descriptor)
        for number, place in enumerate(self._places):
            with doing(f"reading {RING_BYTES} bytes at byte {place} of {self._path}"):
                found = read_at(self._descriptor, place, RING_BYTES)
            if found != self._written(number):
                raise Failure(
                    Outcome.DATA_CORRUPTED,
                    f"what was written at byte {place} of {self._path}, and synced, was read back different",
                )

    def _written(self, number: int) -> bytes:
        return self._content[number * RING_BYTES : (number + 1) * RING_BYTES]

    def __enter__(self) -> Self:
        """Keep it open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        os.close(self._descriptor)


def _places(size_bytes: int) -> list[int]:
    """Return where a device is written: at its beginning, middle and end, as far as it has room."""
    last = (size_bytes - RING_BYTES) // SLOT_BYTES * SLOT_BYTES
    found = [0]
    for place in (last // 2 // SLOT_BYTES * SLOT_BYTES, last):
        if found[-1] + RING_BYTES <= place and (place == last or place + RING_BYTES <= last):
            found.append(place)
    return found


def _opened(path: Path) -> tuple[int, bool]:
    """Return the descriptor of a device, and whether its I/O goes around the page cache."""
    for flag in (O_DIRECT, 0):
        try:
            return os.open(path, os.O_RDWR | flag | os.O_CLOEXEC), bool(flag)
        except OSError as error:
            if flag and error.errno in REFUSED_DIRECT:
                continue
            if error.errno in _NOT_ALLOWED:
                raise Failure(Outcome.BLOCK_PERMISSION, _why_not_allowed(path, error)) from error
            with doing(f"opening {path}"):
                raise
    raise AssertionError("the second try has no flag that can be refused")


def _why_not_allowed(path: Path, error: OSError) -> str:
    found = path.stat()
    groups = ", ".join(map(str, sorted({os.getgid(), *os.getgroups()})))
    name = errno.errorcode.get(error.errno or 0, "")
    return (
        f"opening {path}: {error.strerror} ({name}): it is of user {found.st_uid} and group {found.st_gid},"
        f" mode {stat.S_IMODE(found.st_mode):04o}; the probe is user {os.getuid()} in groups {groups}"
    )
