"""Checksummed records in the volume: read all that earlier runs left, write the next, read it back.

Reads and writes go around the page cache (O_DIRECT) where the filesystem can, so that a copy in memory
does not vouch for a disk. The file is made whole under another name first, so a ring is never half made; and
where a filesystem cannot rename, that other file stays until the ring is whole.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pie.core.result import Outcome
from pie.probe.aligned import read_at, write_at
from pie.probe.failure import Failure, doing
from pie.probe.ring import (
    RING_BYTES,
    SLOT_BYTES,
    Findings,
    Record,
    encode_slot,
    examine,
    new_ring,
    offset_of,
)
from pie.probe.volume import O_DIRECT, Volume, create, drop_cached


class Records:
    """The ring file of one locked volume."""

    def __init__(self, volume: Volume, name: str = "records") -> None:
        """Do no I/O yet."""
        self._path = volume.own / name
        self._new = volume.own / f"{name}.new"
        self._volume = volume

    def read(self) -> Findings | None:
        """Check everything that earlier runs left; None: no run wrote here before."""
        with doing(f"reading {self._path}"):
            try:
                ring = self._read(0, RING_BYTES + SLOT_BYTES)  # more, to see if it is longer
            except FileNotFoundError:
                return None
            findings = examine(ring)
            half_made = findings.newest is None and self._new.exists()
        return None if half_made else findings

    def append(self, newest: Record | None) -> Record:
        """Write the record that follows `newest`, sync it, and read it back from the disk."""
        now = int(time.time())
        if newest is None:
            record = Record(identity=os.urandom(16).hex(), sequence=1, written_at_seconds=now)
            self._create(record)
        else:
            record = Record(identity=newest.identity, sequence=newest.sequence + 1, written_at_seconds=now)
            self._overwrite(record)
        self._read_back(record)
        return record

    def _create(self, record: Record) -> None:
        """Create the ring under another name, then rename it: a crash leaves no ring or a complete one."""
        with doing(f"writing {self._new}"):
            self._write(self._new, os.O_TRUNC, 0, new_ring(record))
            if self._volume.rename(self._new, self._path):
                return
            self._write(self._path, os.O_TRUNC, 0, new_ring(record))
            self._new.unlink()

    def _overwrite(self, record: Record) -> None:
        with doing(f"writing record {record.sequence} to {self._path}"):
            self._write(self._path, 0, offset_of(record.sequence), encode_slot(record))

    def _read_back(self, record: Record) -> None:
        with doing(f"reading record {record.sequence} back from {self._path}"):
            found = self._read(offset_of(record.sequence), SLOT_BYTES)
        if found != encode_slot(record):
            raise Failure(
                Outcome.DATA_CORRUPTED,
                f"record {record.sequence} was written to {self._path}, synced, and read back different",
            )

    def _read(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes of the ring from the disk."""

        def read(direct: int) -> bytes:
            with _opened(self._path, os.O_RDONLY | direct) as descriptor:
                return read_at(descriptor, offset, length)

        return self._volume.past_cache(read)

    def _write(self, path: Path, flags: int, offset: int, content: bytes) -> None:
        """Write all of `content` to the disk, and sync it."""

        def write(direct: int) -> None:
            with _opened(path, os.O_WRONLY | flags | direct) as descriptor:
                write_at(descriptor, offset, content)
                os.fsync(descriptor)

        self._volume.past_cache(write)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = create(path, flags) if flags & os.O_TRUNC else os.open(path, flags | os.O_CLOEXEC)
    try:
        if not flags & O_DIRECT:
            drop_cached(descriptor)  # next best
        yield descriptor
    finally:
        os.close(descriptor)
