"""A volume that was restored from a snapshot: it has the records of that moment, and no later ones."""

from typing import Final

from pie.core.result import Outcome, RecordStats
from pie.core.text import one_line
from pie.probe.clone import WRITTEN, found_on, named, stats_of
from pie.probe.failure import Failure
from pie.probe.records import Records
from pie.probe.ring import Findings
from pie.probe.volume import Volume

_LATER: Final = 2
"""So many records are written to the source after the snapshot."""


def write_later(source: Volume) -> RecordStats:
    """Write records to the source that a snapshot taken before must not have."""
    records = Records(source)
    found = _source(records, WRITTEN)
    newest = found.newest
    for _ in range(_LATER):
        newest = records.append(newest)
    return stats_of(found)


def compare(restored: Volume, source: Volume) -> RecordStats:
    """Check that a restored volume has the records of its source from before the snapshot, and no others."""
    wanted, found = _source(Records(source), WRITTEN + _LATER).newest, found_on(Records(restored))
    right = (wanted.identity, WRITTEN) if wanted is not None else None
    newest = found.newest
    if found.corrupted or found.torn or newest is None or (newest.identity, newest.sequence) != right:
        why = f"; {one_line(found.detail)}" if found.detail else ""
        then = f"its source had record {WRITTEN} when the snapshot was taken, and has {named(wanted)} now"
        raise Failure(Outcome.SNAPSHOT_DIFFERS, f"the restored volume has {named(newest)}; {then}{why}")
    return stats_of(found)


def _source(records: Records, sequence: int) -> Findings:
    """Return what is on the source, which has to be the records that were written there."""
    found = found_on(records)
    if found.corrupted or found.newest is None or found.newest.sequence != sequence:
        why = one_line(found.detail) or f"it has {named(found.newest)} instead of record {sequence}"
        raise Failure(Outcome.DATA_CORRUPTED, f"on the source of the snapshot: {why}")
    return found
