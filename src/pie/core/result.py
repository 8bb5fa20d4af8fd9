"""The result of a probe pod: one versioned JSON document in its termination message.

Kubernetes keeps at most 4,096 bytes of a container's termination message, so every text here is cut.
A pod writes the message, so it is input from outside: `decode` bounds every number and text.
Fields that this version does not know are ignored; a document of another version is refused.
"""

import enum
from collections.abc import Mapping
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

from pie.core.decode import Unreadable
from pie.core.decode import decode as decode_json
from pie.core.text import EVIDENCE_CHARACTERS, PLAIN, one_line

VERSION = 1
MAX_BYTES = 4096
"""The limit of a termination message (Kubernetes: core/v1 Container.terminationMessagePath)."""
MAX_TEXT = EVIDENCE_CHARACTERS
MAX_STEPS = 16
MAX_NOTES = 8


class ResultError(ValueError):
    """A termination message is no result: says what is wrong with it, in one bounded line."""


class _Word(enum.StrEnum):
    """A word of a result; `meaning` says it in one line for the reader."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Return a member that is a plain string and has its meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class Outcome(_Word):
    """How a run inside the probe pod ended."""

    OK = "ok", "Every step succeeded, and the data was read back correctly."
    FIO_MISSING = "FioMissing", "The image has no fio program."
    FIO_FAILED = (
        "FioFailed",
        "fio failed for a reason other than the storage, or its output could not be read.",
    )
    IO_ERROR = "IOError", "The volume returned an I/O error, or another error that has no reason of its own."
    READ_ONLY = "ReadOnly", "The volume's filesystem is mounted read-only."
    NO_SPACE = "NoSpace", "The volume has no space (or no inode, or no quota) left for a small new file."
    PERMISSION_DENIED = "PermissionDenied", "The probe's user may not write to the volume."
    BLOCK_PERMISSION = (
        "BlockPermission",
        "The probe's user may not open the device of a raw block volume: EACCES or EPERM.",
    )
    DATA_CORRUPTED = "DataCorrupted", "A record on the volume is not what was written there."
    CLONE_DIFFERS = (
        "CloneDiffers",
        "A cloned volume does not have the records that were on its source before it was cloned.",
    )
    CLONE_NOT_INDEPENDENT = (
        "CloneNotIndependent",
        "A write to a cloned volume changed its source, or the other way round.",
    )
    SHARED_NOT_SEEN = (
        "SharedNotSeen",
        "On a volume that two nodes use at once, one did not show in time what the other one wrote.",
    )
    SNAPSHOT_DIFFERS = (
        "SnapshotDiffers",
        "A volume restored from a snapshot does not have exactly the records that its source had then.",
    )
    VOLUME_MISSING = "VolumeMissing", "The PVC has lost its volume, or no volume is mounted at the path."
    VOLUME_TOO_SMALL = "VolumeTooSmall", "The volume's filesystem is far smaller than spec.pvcCapacity."
    NOT_EXPANDED = (
        "NotExpanded",
        "The volume was to be expanded while it was in use, and its filesystem did not grow.",
    )
    KILLED = "Killed", "The run was stopped (SIGTERM) before it was done, for example at its pod's deadline."
    LOCKED = "Locked", "Another run still uses the volume and holds its lock."
    INTERNAL = "Internal", "The probe itself failed: bad arguments, or a defect of pie."


class Note(_Word):
    """What a volume lacks that the probe did without, and no application needs for reading and writing."""

    NO_LOCKS = "NoFileLocks", "The volume has no file locks (flock); the controller alone keeps runs apart."
    LOCK_UNANSWERED = (
        "FileLockUnanswered",
        "The volume did not answer a request for a file lock (flock) in time; the run went on without it.",
    )
    NO_DIRECTORY_SYNC = "NoDirectorySync", "The volume cannot fsync a directory."
    NO_RENAME = "NoRename", "The volume cannot rename a file."


ProbeName = Literal["mount", "provision", "block", "clone", "shared", "expand", "snapshot", "resident"]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Sequence = Annotated[int, Meta(ge=0, le=2**62)]
Identity = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Text = Annotated[str, Meta(max_length=MAX_TEXT, pattern=PLAIN)]
NoteName = Annotated[str, Meta(pattern=r"\A[A-Za-z]{1,32}\Z")]
StepName = Annotated[str, Meta(pattern=r"\A[a-z_]{1,32}\Z")]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of fio's job. Mean and max are of the total latency, p50 and p99 of the completion's."""

    iops: Annotated[float, Meta(ge=0, le=1e12)]
    mean_seconds: Seconds
    p50_seconds: Seconds
    p99_seconds: Seconds
    max_seconds: Seconds


class IoStats(msgspec.Struct, frozen=True, kw_only=True):
    """What fio measured; a direction in which it did no I/O is None."""

    read: Latency | None = None
    write: Latency | None = None
    tool: Literal["fio", "pie"] = "fio"
    """Who measured: `pie` is the probe's own stand-in where there is no fio, which demos may ask for."""


class RecordStats(msgspec.Struct, frozen=True, kw_only=True):
    """What the run found in the volume's ring of records, and what it added.

    The probe judges only what it can see alone: a record that is not what was written. Whether data were
    lost, are stale or belong to another volume, the controller judges from identity and sequence.
    """

    identity_found: Identity | None = None
    """Of the newest good record: 32 hex digits from the volume's first run. None: there was no record."""
    sequence_found: Sequence | None = None
    """Of the newest good record."""
    identity_written: Identity | None = None
    """Equals `identity_found`, unless that is None. None: nothing was written."""
    sequence_written: Sequence | None = None
    corrupted: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Slots of the ring whose bytes are not what was written."""
    corrupted_detail: Text = ""
    torn: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Slots that a run killed in mid-write left half old, half new (0 or 1): no fault of the storage's."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run as seen from inside its pod."""

    version: int = VERSION
    probe: ProbeName
    outcome: Outcome
    message: Text = ""
    """For a person: what failed, on which file. Empty when ok."""
    direct: bool = False
    """Whether fio's I/O bypassed the page cache (O_DIRECT): wanted, and possible on the filesystem."""
    elapsed_seconds: Annotated[dict[StepName, Seconds], Meta(max_length=MAX_STEPS)] = msgspec.field(
        default_factory=dict
    )
    """How long each step took, by the probe's monotonic clock; a failed or killed step until then."""
    io: IoStats | None = None
    sync_seconds: Seconds | None = None
    """Writing one block to a new file and syncing it to the disk (fsync)."""
    records: RecordStats | None = None
    notes: Annotated[tuple[NoteName, ...], Meta(max_length=MAX_NOTES)] = ()
    """What the volume lacks, and the run did without: names of `Note`, maybe of a later pie."""

    @property
    def locked(self) -> bool:
        """Whether a lock on the volume kept other runs away. Results of older versions say nothing else."""
        return not {Note.NO_LOCKS, Note.LOCK_UNANSWERED} & set(self.notes)

    @property
    def remarks(self) -> str:
        """Return for a person what the volume lacks."""
        return " ".join(note.meaning for note in Note if note in self.notes)

    @property
    def ok(self) -> bool:
        """Whether all steps succeeded."""
        return self.outcome is Outcome.OK


class _Head(msgspec.Struct):
    version: int


def encode(result: Result) -> bytes:
    """Write a result as JSON of at most 4,096 bytes; texts are cut to 256 characters, on one line."""
    records = result.records
    if records is not None:
        records = msgspec.structs.replace(records, corrupted_detail=one_line(records.corrupted_detail))
    return msgspec.json.encode(
        msgspec.structs.replace(
            result,
            message=one_line(result.message),
            elapsed_seconds=_bounded(result.elapsed_seconds),
            records=records,
        )
    )


def decode(text: str) -> Result:
    """Read a termination message; raise `ResultError` for anything that is no result of this version."""
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise ResultError("the termination message is not text") from error
    if not raw:
        raise ResultError("the termination message is empty")
    if len(raw) > MAX_BYTES:
        raise ResultError(f"the termination message has {len(raw)} bytes, more than {MAX_BYTES}")
    try:
        version = decode_json(raw, _Head).version
        if version != VERSION:
            raise ResultError(f"the result has version {version}, this pie reads version {VERSION}")
        return decode_json(raw, Result)
    except Unreadable as error:
        raise ResultError(f"the termination message is no result: {error}") from error


def _bounded(elapsed_seconds: Mapping[str, float]) -> dict[str, float]:
    """Keep the first steps, in microseconds: sixteen digits of a clock say nothing more."""
    return {name[:32]: round(seconds, 6) for name, seconds in list(elapsed_seconds.items())[:MAX_STEPS]}
