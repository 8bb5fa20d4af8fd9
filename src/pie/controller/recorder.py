"""Writes the steps of targets into a bounded ring of files.

The loop of a target encodes a step at once, while its values are in the caches of the processor. Later and in
another thread that costs twice as much, and the garbage collector meets the old values. A thread only writes.
An error here never ends the controller: a step that cannot be written is left out and counted.
"""

import os
import re
import secrets
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter

import pie
from pie.core.decode import Unreadable
from pie.core.model import Target
from pie.core.record.anonymous import Anonymous
from pie.core.record.file import BLOCK_BYTES, Head, block, head_line, only
from pie.core.record.records import TakenStep, Writing
from pie.core.target.facts import TargetFacts
from pie.core.target.state import TargetState
from pie.core.target.step import Step
from pie.core.text import one_line
from pie.kube.defects import Defects
from pie.kube.metrics import KubeMetrics

_log = structlog.get_logger()

_FILES: Final = 8
"""A file of the ring has this part of its size."""
_FILES_READ: Final = 2
"""A question about a target is answered from so many of the newest files."""
_MOST_WAITING_BYTES: Final = 16 * 1024 * 1024
"""Bytes that wait to be written."""
_WRITE_EVERY_SECONDS: Final = 5.0
_AGAIN_AFTER_SECONDS: Final = 30.0
_CLOSE_WITHIN_SECONDS: Final = 5.0
_STATES_IN_A_BLOCK: Final = 256
_KEY_BYTES: Final = 32
_NAME: Final = re.compile(r"pie-\d{8}T\d{6}Z-\d{6}\.record")


class RecorderMetrics:
    """The recorder's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.recorded = Counter(
            "pie_record_steps", "Steps of targets that the flight recorder wrote.", registry=registry
        )
        self.lost = Counter(
            "pie_record_lost_steps",
            "Steps of targets that the flight recorder could not write, because of the disk or a full queue.",
            registry=registry,
        )


class Ring:
    """Files in a directory that together have at most `size` bytes: the oldest are deleted."""

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._size = size
        self._file: int | None = None
        self._path = directory
        self._written = 0
        self._number = 0

    @property
    def open(self) -> bool:
        """Whether there is a file to write to."""
        return self._file is not None

    def files(self) -> list[Path]:
        """Return the files, the oldest first."""
        return sorted(each for each in self._directory.glob("pie-*.record") if _NAME.fullmatch(each.name))

    def begin(self, at: float) -> None:
        """Begin a new file. Raises OSError."""
        self.close()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._number += 1
        began = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
        self._path = self._directory / f"pie-{began}-{self._number:06}.record"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._written = 0

    def write(self, body: bytes) -> None:
        """Add to the file, after older ones were deleted for it. Raises OSError."""
        if self._file is None:
            raise ValueError("no file was begun")
        others = [(each, each.stat().st_size) for each in self.files() if each != self._path]
        total = self._written + len(body) + sum(size for _, size in others)
        for path, size in others:
            if total <= self._size:
                break
            path.unlink()
            total -= size
        if total > self._size:
            raise OSError(f"a file of it needs more than {self._size:,} bytes")
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._written += len(body)

    def close(self) -> None:
        """Write no more to the file."""
        if self._file is not None:
            os.close(self._file)
        self._file = None


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a file: its beginning, or a block of so many steps."""

    body: bytes
    steps: int = 0
    began: float | None = None


class Recorder:
    """The flight recorder. `size` is how many bytes its files have at most; `anonymous`: names are hashed."""

    def __init__(
        self,
        directory: Path,
        size: int,
        metrics: KubeMetrics,
        *,
        anonymous: bool = False,
        most_waiting_bytes: int = _MOST_WAITING_BYTES,
    ) -> None:
        self._ring = Ring(directory, size)
        self._file_bytes = size // _FILES
        self._block_bytes = min(BLOCK_BYTES, self._file_bytes)
        self._metrics = RecorderMetrics(metrics.registry)
        self._defects = Defects(metrics.defects, "recorder", "steps")
        self._anonymous = Anonymous(secrets.token_bytes(_KEY_BYTES)) if anonymous else None
        self._writing = Writing()
        # What the loop of a target and the thread share.
        self._lock = threading.Lock()
        self._records: list[bytes] = []
        self._records_bytes = 0
        self._waiting: deque[_Part] = deque()
        self._waiting_bytes = 0
        self._most_waiting_bytes = most_waiting_bytes
        self._begin_next = True
        self._in_file_bytes = 0
        # What only the thread uses.
        self._failing = False
        self._again_at = 0.0
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, and end; if the disk hangs, end without it after a few seconds."""
        self._closing = True
        self._wake.set()
        self._thread.join(_CLOSE_WITHIN_SECONDS)

    def note(self, at: float, before: TargetState, facts: TargetFacts, done: Step) -> None:
        """Have a step recorded, if it changed or ordered something."""
        taken = TakenStep(at, before, facts, done)
        with self._lock:
            try:
                self._note(taken)
            except Exception as error:  # noqa: BLE001  a defect of the recorder must not reach the target
                self._metrics.lost.inc()
                self._defects.note(error)

    def of(self, target: Target) -> bytes:
        """Return a file with the newest records of a target; empty: there are none. It takes a while."""
        for path in reversed(self._ring.files()[-_FILES_READ:]):
            with suppress(OSError, Unreadable):
                if found := only(path.read_bytes(), target):
                    return found
        return b""

    # With the lock.

    def _note(self, taken: TakenStep) -> None:
        if self._begin_next and not self._records:
            self._begin(taken.at)
        record = self._writing.step(taken if self._anonymous is None else self._anonymous.step(taken))
        if record:
            self._records.append(record)
            self._records_bytes += len(record)
            if self._records_bytes >= self._block_bytes:
                self._end_block()

    def _begin(self, at: float) -> None:
        """Begin a file with the states of all targets."""
        head = Head(version=pie.__version__, began=at, anonymous=self._anonymous is not None)
        states = self._writing.checkpoint()
        blocks = (
            block(states[first : first + _STATES_IN_A_BLOCK])
            for first in range(0, len(states), _STATES_IN_A_BLOCK)
        )
        self._in_file_bytes = 0
        self._begin_next = False
        self._have_written(_Part(b"".join((head_line(head), *blocks)), began=at))

    def _end_block(self) -> None:
        records, self._records, self._records_bytes = self._records, [], 0
        if records:
            self._have_written(_Part(block(records), len(records)))

    def _have_written(self, part: _Part) -> None:
        if self._waiting_bytes + len(part.body) > self._most_waiting_bytes:
            self._metrics.lost.inc(part.steps + sum(each.steps for each in self._waiting))
            self._waiting.clear()
            self._waiting_bytes = 0
            self._begin_next = True
            return
        self._waiting.append(part)
        self._waiting_bytes += len(part.body)
        self._in_file_bytes += len(part.body)
        self._begin_next |= self._in_file_bytes >= self._file_bytes

    # In the thread.

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(_WRITE_EVERY_SECONDS)
            self._write_all()
        self._write_all()
        self._ring.close()

    def _write_all(self) -> None:
        """Write all that waits."""
        with self._lock:
            self._end_block()
            parts, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
            self._begin_next |= self._failing and time.monotonic() >= self._again_at
        for part in parts:
            try:
                written = self._write(part)
            except OSError as error:
                written = False
                self._fail(error)
            (self._metrics.recorded if written else self._metrics.lost).inc(part.steps)

    def _write(self, part: _Part) -> bool:
        """Write a part; after one that could not be written, none up to the next file. Raises OSError."""
        if part.began is not None:
            if time.monotonic() < self._again_at:
                return False
            self._ring.begin(part.began)
        if not self._ring.open:
            return False
        self._ring.write(part.body)
        self._failing = False
        return True

    def _fail(self, error: OSError) -> None:
        """Try again later, with a new file."""
        with suppress(OSError):
            self._ring.close()
        self._again_at = time.monotonic() + _AGAIN_AFTER_SECONDS
        if not self._failing:
            self._failing = True
            _log.warning("cannot write the flight record; trying again later", error=one_line(str(error)))
