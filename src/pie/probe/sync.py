"""The timed sync: how long a commit takes, and whether the volume has free space for one."""

import os
import time
from pathlib import Path

from pie.probe.failure import doing
from pie.probe.volume import Volume, create

BLOCK_BYTES = 4096
ROOM_BYTES = 1024 * 1024
"""A volume without room for this much counts as full: fio's file and the ring are rewritten in place and
would never notice."""


def timed_sync(volume: Volume) -> float:
    """Write one block to a new file and sync it; return the seconds it took. Then check for free space."""
    path = volume.own / "sync"
    block = os.urandom(BLOCK_BYTES)
    with doing(f"writing and syncing {path}"):
        path.unlink(missing_ok=True)  # a killed run's
        descriptor = create(path, os.O_WRONLY | os.O_EXCL)
        try:
            started = time.monotonic()
            _write(descriptor, block)
            os.fsync(descriptor)
            elapsed_seconds = time.monotonic() - started
            _write(descriptor, block * (ROOM_BYTES // BLOCK_BYTES - 1))
            os.fsync(descriptor)
        finally:
            _discard(path, descriptor)
    return round(elapsed_seconds, 9)


def _write(descriptor: int, content: bytes) -> None:
    done = 0
    while done < len(content):
        done += os.write(descriptor, content[done:])


def _discard(path: Path, descriptor: int) -> None:
    os.close(descriptor)
    path.unlink()
