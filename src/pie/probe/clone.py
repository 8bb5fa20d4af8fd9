"""A volume that was cloned from another one: it has the same records, and then both are independent."""

from typing import Final

import msgspec

from pie.core.result import Outcome, RecordStats
from pie.core.text import one_line
from pie.probe.failure import Failure
from pie.probe.records import Records
from pie.probe.ring import Findings, Record
from pie.probe.volume import Volume

WRITTEN: Final = 3
"""So many records has a volume that is to be copied."""


def write_source(volume: Volume) -> RecordStats:
    """Write and sync records that a copy of this new volume has to have."""
    records, newest = Records(volume), None
    for _ in range(WRITTEN):
        newest = records.append(newest)
    return RecordStats(
        identity_written=newest.identity if newest else None,
        sequence_written=newest.sequence if newest else None,
    )


class Clone:
    """A clone, and the volume that it was made from."""

    def __init__(self, volume: Volume, source: Volume) -> None:
        """Do no I/O yet."""
        self._clone, self._source = Records(volume), Records(source)
        self._newest: Record | None = None

    def compare(self) -> RecordStats:
        """Check that the clone has the records of its source."""
        wanted, found = found_on(self._source), found_on(self._clone)
        if wanted.corrupted or wanted.newest is None:
            why = one_line(wanted.detail) or "the records that the first pod wrote and synced are not there"
            raise Failure(Outcome.DATA_CORRUPTED, f"on the source of the clone: {why}")
        if found.corrupted or found.torn or found.newest != wanted.newest:
            why = f"; {one_line(found.detail)}" if found.detail else ""
            text = f"the clone has {named(found.newest)}, its source has {named(wanted.newest)}{why}"
            raise Failure(Outcome.CLONE_DIFFERS, text)
        self._newest = found.newest
        return stats_of(found)

    def use_both(self) -> None:
        """Write to each of the two, and check that the other one does not change."""
        written = self._clone.append(self._newest)
        self._check("the source", self._source, self._newest, "the clone")
        record = self._newest
        for _ in range(2):
            record = self._source.append(record)
        self._check("the clone", self._clone, written, "its source")

    def _check(self, name: str, records: Records, wanted: Record | None, other: str) -> None:
        found = found_on(records)
        if found.corrupted or found.newest != wanted:
            has = f"{name} has {named(found.newest)} instead of {named(wanted)}"
            raise Failure(Outcome.CLONE_NOT_INDEPENDENT, f"after a write to {other}, {has}")


def found_on(records: Records) -> Findings:
    """Return the records of a volume."""
    return records.read() or Findings(newest=None)


def named(record: Record | None) -> str:
    """Return a record in words."""
    return f"record {record.sequence} of {record.identity[:8]}" if record else "no record"


def stats_of(found: Findings) -> RecordStats:
    """Return what the result says of the records that were found."""
    stats = RecordStats(torn=found.torn)
    if found.newest is None:
        return stats
    return msgspec.structs.replace(
        stats, identity_found=found.newest.identity, sequence_found=found.newest.sequence
    )
