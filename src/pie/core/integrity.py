"""Whether a volume still has the data that was written to it, from what the probe found there.

The probe reports identity and sequence. The expected identity is in annotations of the PVC, so it survives a
restart of the controller. The expected sequence comes from earlier results, so the first result after a
restart is the new base. An identity counts only if the annotations have the uid of this PVC: a backup tool
restores annotations onto a new PVC, which has another volume.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pie.core.naming import ANNOTATION_IDENTITY, ANNOTATION_IDENTITY_OF, ANNOTATION_REPLACED_BY
from pie.core.reasons import Reason
from pie.core.result import RecordStats


@dataclass(frozen=True, slots=True)
class VolumeMemory:
    """What is known of a target's volume.

    `identity` is from its first run. `replaced_by` is the identity that a run wrote to an empty volume in its
    place: when later runs find it, the data is lost, not swapped. `sequence` is the newest record that was
    certainly written, and `due_seconds` the due time of the run that wrote it: runs are ordered by due time,
    since the clocks of nodes differ. `unsure`: the identity is from annotations of an older pie, which do not
    name their PVC; the first run shows whether it is right.
    """

    identity: str | None = None
    replaced_by: str | None = None
    sequence: int | None = None
    due_seconds: float = 0.0
    unsure: bool = False

    def annotations(self, claim_uid: str) -> dict[str, str]:
        """Return the annotations that say this on the PVC with this uid."""
        if self.identity is None or self.unsure:
            return {}
        said = {ANNOTATION_IDENTITY: self.identity, ANNOTATION_IDENTITY_OF: claim_uid}
        return said if self.replaced_by is None else said | {ANNOTATION_REPLACED_BY: self.replaced_by}


def of_another(annotations: Mapping[str, str], claim_uid: str) -> bool:
    """Tell whether annotations about a volume belong to another PVC than the one with this uid."""
    return annotations.get(ANNOTATION_IDENTITY_OF, claim_uid) != claim_uid


def recall(
    annotations: Mapping[str, str], known: VolumeMemory, claim_uid: str, *, bad_before: bool = False
) -> VolumeMemory:
    """Return the memory, completed from the annotations of the PVC with this uid.

    `bad_before`: an open incident of an earlier controller says that the target's data or I/O is bad. Then
    annotations that name no PVC count for this one: a PVC that was just restored has no incident.
    """
    if of_another(annotations, claim_uid):
        return known
    unsure = ANNOTATION_IDENTITY_OF not in annotations
    identity = annotations.get(ANNOTATION_IDENTITY)
    if identity is None or (unsure and known.identity is not None):
        return known
    replaced_by = annotations.get(ANNOTATION_REPLACED_BY, known.replaced_by)
    if replaced_by == identity:
        replaced_by = None  # It is about another PVC: no volume is replaced by itself.
    return replace(known, identity=identity, replaced_by=replaced_by, unsure=unsure and not bad_before)


def _surely(known: VolumeMemory, found: RecordStats) -> VolumeMemory:
    """Return what is certain after a run read the volume to which the annotations may belong."""
    if found.identity_found is None and found.corrupted:
        return known  # It shows nothing.
    if found.identity_found is not None and found.identity_found in (known.identity, known.replaced_by):
        return replace(known, unsure=False)
    return VolumeMemory()


def judge_records(
    known: VolumeMemory, found: RecordStats, due_seconds: float
) -> tuple[Reason | None, str, VolumeMemory]:
    """Return what is wrong with the volume's data (None: nothing), evidence, and what is known from now on.

    A volume that lost its data stays bad until the data is back or the PVC is deleted; pie then creates a
    new one. A run that was due before the newest one says nothing about the sequence.
    """
    if known.unsure:
        known = _surely(known, found)
    if known.identity is None:
        fresh = found.identity_written or found.identity_found
        fresh_memory = replace(
            known, identity=fresh, sequence=found.sequence_written, due_seconds=due_seconds
        )
        return None, "", fresh_memory
    if found.identity_found is None and found.identity_written == known.identity:
        # The very first run, read again: the controller was restarted before it deleted the Job.
        return None, "", replace(known, sequence=max(known.sequence or 0, found.sequence_written or 0))
    if found.identity_found is None and found.corrupted:
        return None, "", known  # No good record is left: the probe reports DataCorrupted itself.
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
