"""`pie probe resident`: a volume that stays mounted, with a file that stays open, is used again and again.

A mount that has been there for weeks can die while new mounts work. One thread does I/O, others answer the
kubelet how it goes: the thread with the I/O may sleep in the kernel for ever. The process never ends because
of its volume: a restart of the container would keep the same mount.
"""

import errno
import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from pie.core.resident.codes import Code, code_of
from pie.core.result import Outcome
from pie.probe.aligned import read_at, write_at
from pie.probe.failure import Failure, outcome_of
from pie.probe.records import Records
from pie.probe.ring import SLOT_BYTES, Record, encode_slot, offset_of
from pie.probe.server import Server
from pie.probe.standing import Standing
from pie.probe.volume import O_DIRECT, Volume, drop_cached

FILE: Final = "resident"
JITTER: Final = 0.25
"""The pause between two rounds differs by this part of it, so that nodes do not write in step."""

_STALE: Final = frozenset(
    {errno.ESTALE, errno.ENOTCONN, errno.ESHUTDOWN, errno.ENODEV, errno.ENXIO, errno.ENOENT}
)
"""The file that was there does not exist any more for this mount: a stale handle, a FUSE daemon that died, a
client that its server evicted, a device that is gone, a path that leads nowhere."""


class Rounds:
    """The rounds of I/O on one volume: a record is written, synced, and read back, also by path."""

    def __init__(self, path: Path, standing: Standing, *, check_mount: bool = True) -> None:
        """Do no I/O yet."""
        self._root = path
        self._standing = standing
        self._check_mount = check_mount
        self._volume: Volume | None = None
        self._descriptor = -1
        self._flag = 0
        self._newest: Record | None = None

    def round(self) -> Code:
        """Do one round, and return how it ended."""
        try:
            if self._volume is None:
                with self._standing.doing("begin"):
                    self._volume = Volume.open(self._root, check_mount=self._check_mount)
            if self._newest is None:
                with self._standing.doing("begin"):
                    self._newest = self._begun(self._volume)
            self._use(self._volume, self._newest)
        except Failure as failure:
            number = failure.__cause__.errno if isinstance(failure.__cause__, OSError) else None
            return Code.STALE if number in _STALE else code_of(failure.outcome)
        except OSError as error:
            return Code.STALE if error.errno in _STALE else code_of(outcome_of(error.errno or errno.EIO))
        except Exception:  # noqa: BLE001  nobody would hear of it: the kubelet has to
            return Code.INTERNAL
        return Code.WELL

    def _begun(self, volume: Volume) -> Record:
        """Open the file; return its newest record. While a record is wrong, nothing is written over it."""
        records = Records(volume, FILE)
        found = records.read()
        if found is not None and (found.corrupted or found.newest is None):
            raise Failure(Outcome.DATA_CORRUPTED, found.detail)
        newest = records.append(found.newest if found is not None else None)
        self._flag = O_DIRECT if volume.can_direct else 0
        self._descriptor = os.open(volume.own / FILE, os.O_RDWR | self._flag | os.O_CLOEXEC)
        return newest

    def _use(self, volume: Volume, newest: Record) -> None:
        record = Record(
            identity=newest.identity, sequence=newest.sequence + 1, written_at_seconds=int(time.time())
        )
        content, offset, doing = encode_slot(record), offset_of(record.sequence), self._standing.doing
        with doing("write"):
            write_at(self._descriptor, offset, content)
        with doing("sync"):
            os.fsync(self._descriptor)
        # The slot may be written now, or not: the next round writes it again unless all went well.
        with doing("read"):
            if not self._flag:
                drop_cached(self._descriptor)
            _compare(read_at(self._descriptor, offset, SLOT_BYTES), content)
        with doing("open"):
            by_path = os.open(volume.own / FILE, os.O_RDONLY | self._flag | os.O_CLOEXEC)
        try:
            with doing("read_by_path"):
                if not self._flag:
                    drop_cached(by_path)
                _compare(read_at(by_path, offset, SLOT_BYTES), content)
        finally:
            with doing("close"):
                os.close(by_path)
        self._newest = record


def _compare(found: bytes, written: bytes) -> None:
    if found != written:
        raise Failure(Outcome.DATA_CORRUPTED, "what was written, and synced, was read back different")


def run(path: Path, *, threshold: float, interval: float, port: int, check_mount: bool) -> int:
    """Use the volume and answer, until SIGTERM."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    standing = Standing(threshold)
    server = Server(standing, port)
    server.start()
    rounds = Rounds(path, standing, check_mount=check_mount)

    def work() -> None:
        while True:
            standing.ended(rounds.round())
            time.sleep(interval * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311  no secret

    threading.Thread(target=work, daemon=True).start()
    with suppress(OSError):  # A closed stdout must not change how it ends.
        os.write(1, f"listening on port {server.port}\n".encode())
    signal.sigwait(ends)
    return 0
