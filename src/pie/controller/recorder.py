"""Writes the steps of targets into a bounded ring of files, in a thread of its own.

The loop of a target only puts a step on a queue. An error here never ends or slows the controller: a step
that cannot be written is left out and counted.
"""

import os
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
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
_MOST_WAITING: Final = 20_000
"""Steps that wait to be written."""
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
    def full(self) -> bool:
        """Whether a new file is to be begun."""
        return self._file is None or self._written >= self._size // _FILES

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
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._written += len(body)

    def close(self) -> None:
        """Write no more to the file."""
        if self._file is not None:
            os.close(self._file)
        self._file = None


class Recorder:
    """The flight recorder. `size` is how many bytes its files have at most; `anonymous`: names are hashed."""

    def __init__(
        self,
        directory: Path,
        size: int,
        metrics: KubeMetrics,
        *,
        anonymous: bool = False,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._ring = Ring(directory, size)
        self._block_bytes = min(BLOCK_BYTES, size // _FILES)
        self._metrics = RecorderMetrics(metrics.registry)
        self._defects = Defects(metrics.defects, "recorder", "steps")
        self._most_waiting = most_waiting
        self._waiting: deque[TakenStep] = deque()
        self._writing = Writing()
        self._anonymous = Anonymous(secrets.token_bytes(_KEY_BYTES)) if anonymous else None
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
        """Have a step recorded, if it changed something."""
        if not done.effects and done.state == before:
            return
        if len(self._waiting) >= self._most_waiting:
            self._metrics.lost.inc()
            return
        self._waiting.append(TakenStep(at, before, facts, done))
        if len(self._waiting) == self._most_waiting // 2:
            self._wake.set()

    def of(self, target: Target) -> bytes:
        """Return a file with the newest records of a target; empty: there are none. It takes a while."""
        for path in reversed(self._ring.files()[-_FILES_READ:]):
            with suppress(OSError, Unreadable):
                if found := only(path.read_bytes(), target):
                    return found
        return b""

    # In the thread.

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(_WRITE_EVERY_SECONDS)
            self._wake.clear()
            self._write_all()
        self._write_all()
        self._ring.close()

    def _write_all(self) -> None:
        """Write all steps that wait; those that cannot be written are lost."""
        steps = [self._waiting.popleft() for _ in range(len(self._waiting))]
        written = 0
        try:
            if time.monotonic() >= self._again_at:
                for count in self._write(steps):
                    written, self._failing = count, False
        except OSError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  a defect of the recorder must not end it
            self._defects.note(error)
            self._ring.close()
        self._metrics.recorded.inc(written)
        self._metrics.lost.inc(len(steps) - written)

    def _write(self, steps: list[TakenStep]) -> Iterator[int]:
        """Write steps in blocks; yields how many are written after each."""
        records: list[bytes] = []
        size = 0
        for number, taken in enumerate(steps, 1):
            if self._ring.full and not records:
                self._begin(taken.at)
            shown = taken if self._anonymous is None else self._anonymous.step(taken)
            records.append(self._writing.step(shown))
            size += len(records[-1])
            if size >= self._block_bytes or number == len(steps):
                self._ring.write(block(records))
                yield number
                records, size = [], 0

    def _begin(self, at: float) -> None:
        """Begin a file with the states of all targets."""
        self._ring.begin(at)
        head = Head(version=pie.__version__, began=at, anonymous=self._anonymous is not None)
        self._ring.write(head_line(head))
        records = self._writing.checkpoint()
        for first in range(0, len(records), _STATES_IN_A_BLOCK):
            self._ring.write(block(records[first : first + _STATES_IN_A_BLOCK]))

    def _fail(self, error: OSError) -> None:
        """Try again later, with a new file."""
        with suppress(OSError):
            self._ring.close()
        self._again_at = time.monotonic() + _AGAIN_AFTER_SECONDS
        if not self._failing:
            self._failing = True
            _log.warning("cannot write the flight record; trying again later", error=one_line(str(error)))
