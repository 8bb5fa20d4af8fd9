"""Whether a volume still holds what was written to it, judged from what the probe found there.

The probe reports identity and sequence; what they should have been is known here: the identity from
annotations on the claim (so it survives the controller), the sequence from earlier results (so the first
result after a restart is the new base for it).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pie.core.naming import ANNOTATION_IDENTITY, ANNOTATION_REPLACED_BY
from pie.core.reasons import Reason
from pie.core.result import RecordStats


@dataclass(frozen=True, slots=True)
class VolumeMemory:
    """What is known of a target's volume.

    `identity` is the one it was given at its first run. `replaced_by` is the identity that a run gave to an
    empty volume found in its place: later runs find that one, and it means lost, not swapped. `sequence` is
    the newest record known to be written, `due_seconds` the due time of the run that wrote it: runs are in
    order of due time, since the clocks of nodes differ.
    """

    identity: str | None = None
    replaced_by: str | None = None
    sequence: int | None = None
    due_seconds: float = 0.0

    def annotations(self) -> dict[str, str]:
        """Return the annotations on the claim that say this."""
        pairs = ((ANNOTATION_IDENTITY, self.identity), (ANNOTATION_REPLACED_BY, self.replaced_by))
        return {key: value for key, value in pairs if value is not None}


def recall(annotations: Mapping[str, str], known: VolumeMemory) -> VolumeMemory:
    """Return the memory with what the claim's annotations say, which outlives the controller."""
    return replace(
        known,
        identity=annotations.get(ANNOTATION_IDENTITY, known.identity),
        replaced_by=annotations.get(ANNOTATION_REPLACED_BY, known.replaced_by),
    )


def judge_records(
    known: VolumeMemory, found: RecordStats, due_seconds: float
) -> tuple[Reason | None, str, VolumeMemory]:
    """Return what is wrong with the volume's data (None: nothing), evidence, and what is known from now on.

    A volume that lost its data stays bad until the data is back or the claim is deleted; pie then makes a
    new one. A run that was due before the newest one says nothing about the sequence.
    """
    if known.identity is None:
        fresh = found.identity_written or found.identity_found
        fresh_memory = replace(
            known, identity=fresh, sequence=found.sequence_written, due_seconds=due_seconds
        )
        return None, "", fresh_memory
    if found.identity_found is None and found.identity_written == known.identity:
        # The very first run, read again: the controller ended between noting it and deleting its Job.
        return None, "", replace(known, sequence=max(known.sequence or 0, found.sequence_written or 0))
    if found.identity_found is None and found.corrupted:
        return None, "", known  # No good record left: the probe says so itself, as DataCorrupted.
    if found.identity_found is None or found.identity_found == known.replaced_by:
        message = f"volume {known.identity[:8]} came back empty"
        return (
            Reason.DATA_LOST,
            message,
            replace(known, replaced_by=found.identity_written or known.replaced_by),
        )
    if found.identity_found != known.identity:
        message = f"found the data of volume {found.identity_found[:8]} instead of {known.identity[:8]}"
        return Reason.DATA_SWAPPED, message, known
    if due_seconds < known.due_seconds:
        return None, "", known
    expected, sequence = known.sequence, found.sequence_found
    if expected is not None and sequence is not None and sequence < expected:
        message = f"newest record found is {sequence}, but {expected} was written earlier"
        return Reason.DATA_STALE, message, known
    written = found.sequence_written if found.sequence_written is not None else expected
    return None, "", replace(known, sequence=written, due_seconds=due_seconds)
