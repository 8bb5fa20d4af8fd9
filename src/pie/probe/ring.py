r"""The ring of records on the volume: its format, and what its bytes prove. Pure.

64 slots of 4,096 bytes. Record n lies in slot (n - 1) mod 64, so a write goes over the oldest record,
never over the newest. A slot is 8 sectors of 512 bytes, each complete in itself: magic, identity,
sequence, time, its own slot and number, a filling made of identity and sequence, and a CRC-32 of it all.

That is how corruption and a torn write are told apart. A disk writes whole sectors, so a run killed in
mid-write leaves in *one* slot, the one after the newest record, a mix of sectors that are each right: of the
record that lay there (or zeros, where none did) and of the one being written. Anything else is corruption:
a sector whose checksum is wrong, a sector of another place or sequence, zeros where a record was.

CRC-32 finds every change within 32 bits in a row, and any other but for one in four billion; it is no
guard against a forger. Another format gets another file name, so that no version of pie calls another's
records corrupted.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Literal

import msgspec

SLOTS = 64
SLOT_BYTES = 4096
SECTOR_BYTES = 512
RING_BYTES = SLOTS * SLOT_BYTES

MAGIC = b"pie-record-v1\0\r\n"
"""Begins every sector of a record: what to search for in a volume's raw bytes."""

_HEAD = struct.Struct(">16s16sQQHH")
_FILL = struct.Struct(">16sQ")
_CHECKSUM = struct.Struct(">I")
_SECTORS = SLOT_BYTES // SECTOR_BYTES
_FILLS = (SECTOR_BYTES - _HEAD.size - _CHECKSUM.size) // _FILL.size
_ZEROS = bytes(SECTOR_BYTES)
_SHOWN = 3


class Record(msgspec.Struct, frozen=True):
    """What one run wrote."""

    identity: str
    """Of the volume: 32 hex digits, made by its first run."""
    sequence: int
    """1 for the first record."""
    written_at_seconds: int
    """Unix time by the node's clock; tells two attempts at one sequence apart, for a person otherwise."""


_Sector = Record | Literal["blank", "wrong"]


class Findings(msgspec.Struct, frozen=True):
    """What a ring holds."""

    newest: Record | None
    """The newest good record."""
    corrupted: int = 0
    """Slots that hold what was never written there."""
    detail: str = ""
    """Text: the first corrupted slots."""
    torn: int = 0
    """Slots that a killed run left half written: 0 or 1."""


def slot_of(sequence: int) -> int:
    """Return the slot of a record."""
    return (sequence - 1) % SLOTS


def offset_of(sequence: int) -> int:
    """Return the byte of the ring at which a record's slot begins."""
    return slot_of(sequence) * SLOT_BYTES


def encode_slot(record: Record) -> bytes:
    """Return the 4,096 bytes of a record's slot."""
    return b"".join(_encode_sector(record, number) for number in range(_SECTORS))


def new_ring(record: Record) -> bytes:
    """Return a ring that has its first record and is blank otherwise."""
    return encode_slot(record).ljust(RING_BYTES, b"\0")


def examine(ring: bytes) -> Findings:
    """Check every slot against what all earlier runs must have left there, down to the blank ones."""
    slots = [_sectors(ring, slot) for slot in range(SLOTS)]
    newest = _newest(slots)
    faults = [] if len(ring) == RING_BYTES else [f"the ring has {len(ring)} bytes, not {RING_BYTES}"]
    if newest is None:
        faults.append("no slot holds a good record")
    torn = 0
    for slot, sectors in enumerate(slots):
        if _is_right(sectors, slot, newest):
            continue
        if newest is not None and _is_torn(sectors, slot, newest):
            torn += 1
        else:
            faults.append(f"slot {slot} at byte {slot * SLOT_BYTES}: {_describe(sectors, slot, newest)}")
    detail = "; ".join(faults[:_SHOWN])
    if len(faults) > _SHOWN:
        detail += f"; {len(faults) - _SHOWN} more"
    return Findings(newest=newest, corrupted=len(faults), detail=detail, torn=torn)


def _newest(slots: Sequence[Sequence[_Sector]]) -> Record | None:
    """Find the last whole record of the identity that most whole records have."""
    whole = [
        sectors[0]
        for sectors in slots
        if isinstance(sectors[0], Record) and sectors.count(sectors[0]) == _SECTORS
    ]
    identities = [record.identity for record in whole]
    identity = max(identities, key=identities.count, default=None)
    mine = [record for record in whole if record.identity == identity]
    return max(mine, key=lambda record: record.sequence, default=None)


def _due(slot: int, newest: Record | None) -> int:
    """Return the sequence that a slot must have if `newest` was written last; below 1: it is blank."""
    last = 0 if newest is None else newest.sequence
    return last - (last - 1 - slot) % SLOTS


def _is_right(sectors: Sequence[_Sector], slot: int, newest: Record | None) -> bool:
    """Whether all sectors are of one write, the one that is due in this slot."""
    first = sectors[0]
    if sectors.count(first) != _SECTORS:
        return False
    due = _due(slot, newest)
    if newest is None or due < 1:
        return first == "blank"
    return isinstance(first, Record) and (first.identity, first.sequence) == (newest.identity, due)


def _is_torn(sectors: Sequence[_Sector], slot: int, newest: Record) -> bool:
    """Whether a write after the newest record, cut short, explains every sector of the slot."""
    if slot != slot_of(newest.sequence + 1):
        return False
    due = _due(slot, newest)
    for sector in sectors:
        if isinstance(sector, Record):
            known = sector.identity == newest.identity and sector.sequence in (due, newest.sequence + 1)
        else:
            known = sector == "blank" and due < 1
        if not known:
            return False
    return True


def _describe(sectors: Sequence[_Sector], slot: int, newest: Record | None) -> str:
    due = _due(slot, newest)
    wanted = f"record {due}" if due > 0 else "nothing"
    if "wrong" in sectors:
        return f"sector {sectors.index('wrong')} has a wrong checksum or place"
    for number, sector in enumerate(sectors):
        if sector == "blank" and due > 0:
            return f"sector {number} is blank, not {wanted}"
        if isinstance(sector, Record) and newest is not None and sector.identity != newest.identity:
            return f"sector {number} belongs to another volume, {sector.identity}"
        if isinstance(sector, Record) and sector.sequence != due:
            return f"sector {number} holds record {sector.sequence}, not {wanted}"
    return f"sectors of several writes of {wanted}"


def _sectors(ring: bytes, slot: int) -> list[_Sector]:
    start = slot * SLOT_BYTES
    return [
        _decode_sector(ring[at : at + SECTOR_BYTES], slot, number)
        for number, at in enumerate(range(start, start + SLOT_BYTES, SECTOR_BYTES))
    ]


def _decode_sector(sector: bytes, slot: int, number: int) -> _Sector:
    if sector == _ZEROS:
        return "blank"
    if (
        len(sector) != SECTOR_BYTES
        or zlib.crc32(sector[: -_CHECKSUM.size]) != _CHECKSUM.unpack(sector[-4:])[0]
    ):
        return "wrong"
    magic, identity, sequence, written_at_seconds, its_slot, its_number = _HEAD.unpack_from(sector)
    if magic != MAGIC or (its_slot, its_number) != (slot, number):
        return "wrong"
    return Record(identity=identity.hex(), sequence=sequence, written_at_seconds=written_at_seconds)


def _encode_sector(record: Record, number: int) -> bytes:
    identity = bytes.fromhex(record.identity)
    slot = slot_of(record.sequence)
    head = _HEAD.pack(MAGIC, identity, record.sequence, record.written_at_seconds, slot, number)
    body = head + _FILL.pack(identity, record.sequence) * _FILLS
    return body + _CHECKSUM.pack(zlib.crc32(body))
