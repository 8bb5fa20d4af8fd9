"""One run: its steps in order, and the result if one fails."""

import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from pie.core.iojob import IoJob
from pie.core.result import IoStats, Note, Outcome, ProbeName, RecordStats, Result
from pie.core.text import one_line
from pie.probe import fio
from pie.probe.clone import Clone, write_source
from pie.probe.device import Device
from pie.probe.failure import Failure
from pie.probe.growth import grow
from pie.probe.records import Records
from pie.probe.ring import Findings
from pie.probe.shared import FILES, Shared
from pie.probe.snapshot import compare, write_later
from pie.probe.sync import timed_sync
from pie.probe.volume import Volume, why_too_small


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The order for one run."""

    probe: ProbeName
    path: Path
    source: Path | None = None
    """Where the volume is mounted that the one at `path` is a clone or a snapshot of."""
    second: bool = False
    """Whether this is the second of two pods that use the volume at the same time."""
    later: bool = False
    """Only write to that one, after its snapshot was taken."""
    job: IoJob = IoJob()
    integrity: bool = True
    capacity_bytes: int = 0
    """What was asked for; 0: any size will do."""
    check_mount: bool = True
    """Off: take any directory for a volume, to try the probe by hand."""
    patience_seconds: float = 0.0
    """How long to wait until the volume is expanded, or shows what the other pod wrote."""
    meets_within_seconds: float = 0.0
    """How long to wait for the other pod."""
    asked_after_seconds: float = math.inf
    """How long after the start pie asks for that."""
    size_of: Path | None = None
    """A file whose size stands for that of the filesystem; for demos."""
    without_fio: bool = False
    """Where fio is not installed, measure with I/O of pie's own; for demos."""
    termination_log: Path = Path("/dev/termination-log")


class Run:
    """Does the steps and gathers the result, so that one can be given at any moment."""

    def __init__(self, options: Options) -> None:
        """Do no I/O yet."""
        self._options = options
        self._step = "start"
        self._failure: Failure | None = None
        self._direct = False
        self._elapsed_seconds: dict[str, float] = {}
        self._io: IoStats | None = None
        self._sync_seconds: float | None = None
        self._records: RecordStats | None = None
        self._notes: list[Note] = []

    def __call__(self) -> None:
        """Do all steps."""
        try:
            if self._options.probe == "block":
                self._use_device()
            elif self._options.probe == "shared":
                self._share_volume()
            elif self._options.source is not None:
                self._use_both(self._options.source)
            else:
                self._use_volume()
        except Failure as failure:
            self.failed(failure)
        except Exception as error:  # noqa: BLE001  every error must be in the result
            kind = type(error).__name__
            self.failed(Failure(Outcome.INTERNAL, f"in step {self._step}: {kind}: {error}"))

    def _use_volume(self) -> None:
        """Use a filesystem. After a failed step the others still run and report."""
        with self._timed("prepare"):
            volume = self._opened(self._options.path)
        self._notes = volume.notes
        with volume:
            for name, step in self._steps():
                self._attempt(name, step, volume)

    def _opened(self, path: Path) -> Volume:
        options = self._options
        lock_name = f"lock-{FILES[options.second]}" if options.probe == "shared" else "lock"
        volume = Volume.open(path, check_mount=options.check_mount, lock_name=lock_name)
        if why := why_too_small(volume.root, self._options.capacity_bytes):
            self.failed(Failure(Outcome.VOLUME_TOO_SMALL, why))
        return volume

    def _use_both(self, source: Path) -> None:
        """Use a volume, and the one that it was made from, or that a snapshot is of."""
        with self._timed("prepare"), ExitStack() as opened:
            volumes = [opened.enter_context(self._opened(path)) for path in (self._options.path, source)]
            keep = opened.pop_all()
        self._notes = volumes[0].notes
        with keep:
            if self._options.probe == "snapshot":
                self._use_snapshot(*volumes)
            else:
                self._use_clone(*volumes)

    def _use_snapshot(self, volume: Volume, source: Volume) -> None:
        if self._options.later:
            with self._timed("later"):
                self._records = write_later(source)
        else:
            with self._timed("compare"):
                self._records = compare(volume, source)

    def _use_clone(self, volume: Volume, source: Volume) -> None:
        clone = Clone(volume, source)
        with self._timed("compare"):
            self._records = clone.compare()
        with self._timed("write"):
            clone.use_both()

    def _share_volume(self) -> None:
        """Use a volume that another pod uses at the same time."""
        options = self._options
        with self._timed("prepare"):
            volume = self._opened(options.path)
        self._notes = volume.notes
        with volume:
            shared = Shared(volume, second=options.second)
            with self._timed("meet"):
                shared.meet(options.meets_within_seconds)
            with self._timed("exchange"):
                shared.exchange(options.patience_seconds)
            self._records = shared.stats()

    def _use_device(self) -> None:
        """Use a raw block device."""
        options = self._options
        with self._timed("prepare"):
            device = Device.open(options.path, options.capacity_bytes, check_device=options.check_mount)
        with device:
            self._direct = device.direct
            with self._timed("write"):
                device.write()
            with self._timed("read"):
                device.read()

    def killed(self) -> None:
        """Store that the run must stop."""
        seconds = self._elapsed_seconds.get(self._step, 0.0)
        self.failed(Failure(Outcome.KILLED, f"stopped by SIGTERM in step {self._step} after {seconds:.1f} s"))

    def failed(self, failure: Failure) -> None:
        """Keep the first failure, since it may cause the later ones; but corrupted data has priority."""
        if self._failure is None or failure.outcome is Outcome.DATA_CORRUPTED:
            self._failure = failure

    def result(self) -> Result:
        """Return the result so far."""
        return Result(
            probe=self._options.probe,
            outcome=self._failure.outcome if self._failure else Outcome.OK,
            message=str(self._failure or ""),
            direct=self._direct,
            elapsed_seconds=self._elapsed_seconds,
            io=self._io,
            sync_seconds=self._sync_seconds,
            records=self._records,
            notes=tuple(self._notes),
        )

    def _steps(self) -> Iterator[tuple[str, Callable[[Volume], None]]]:
        """Order the steps; a fresh volume needs no measuring, only to be written and read."""
        if self._options.probe in {"clone", "snapshot"}:
            yield "records", self._write_source
            return
        if self._options.probe == "mount":
            yield "fio", self._measure
            yield "sync", self._sync
        if self._options.probe == "expand":
            yield "grow", self._grow
        if self._options.integrity or self._options.probe != "mount":
            yield "records", self._verify

    def _attempt(self, name: str, step: Callable[[Volume], None], volume: Volume) -> None:
        try:
            with self._timed(name):
                step(volume)
        except Failure as failure:
            self.failed(failure)

    def _measure(self, volume: Volume) -> None:
        job = self._options.job
        try:
            if self._options.without_fio and shutil.which("fio") is None:
                from pie.probe import ownio  # noqa: PLC0415  a probe pod never needs it

                self._io = ownio.run(volume, job)
            else:
                self._io = fio.run(volume, job)
        finally:
            self._direct = job.direct and volume.can_direct

    def _grow(self, volume: Volume) -> None:
        options = self._options
        grow(
            volume,
            options.capacity_bytes,
            options.patience_seconds,
            asked_after_seconds=options.asked_after_seconds,
            size_of=options.size_of,
        )

    def _sync(self, volume: Volume) -> None:
        self._sync_seconds = timed_sync(volume)

    def _write_source(self, volume: Volume) -> None:
        self._records = write_source(volume)

    def _verify(self, volume: Volume) -> None:
        """Check all records, then write the next; nothing is written while any is corrupted."""
        records = Records(volume)
        findings = records.read() or Findings(newest=None)
        newest = findings.newest
        stats = RecordStats(
            identity_found=newest.identity if newest else None,
            sequence_found=newest.sequence if newest else None,
            corrupted=findings.corrupted,
            corrupted_detail=one_line(findings.detail),
            torn=findings.torn,
        )
        self._records = stats
        if stats.corrupted:
            raise Failure(Outcome.DATA_CORRUPTED, stats.corrupted_detail)
        written = records.append(newest)
        self._records = msgspec.structs.replace(
            stats, identity_written=written.identity, sequence_written=written.sequence
        )

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        self._step = name
        started = time.monotonic()
        try:
            yield
        finally:
            self._elapsed_seconds[name] = time.monotonic() - started
