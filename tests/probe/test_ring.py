"""The ring: what runs leave is right, what a crash leaves is torn, everything else is corruption."""

from hypothesis import assume, given
from hypothesis import strategies as st

from pie.probe.ring import (
    MAGIC,
    RING_BYTES,
    SECTOR_BYTES,
    SLOT_BYTES,
    SLOTS,
    Findings,
    Record,
    encode_slot,
    examine,
    new_ring,
    offset_of,
    slot_of,
)
from tests.examples import examples

IDENTITY = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
SECTORS = SLOT_BYTES // SECTOR_BYTES


def record(sequence: int, *, at: int = 1_700_000_000, identity: str = IDENTITY) -> Record:
    return Record(identity=identity, sequence=sequence, written_at_seconds=at + sequence)


def ring_after(runs: int) -> bytearray:
    """Write what this many undisturbed runs leave."""
    ring = bytearray(new_ring(record(1)))
    for sequence in range(max(2, runs - SLOTS + 1), runs + 1):
        write(ring, record(sequence))
    return ring


def write(ring: bytearray, new: Record, sectors: list[int] | None = None) -> None:
    """Write a record, or only some of its sectors, as a crash leaves them."""
    slot = encode_slot(new)
    for sector in range(SECTORS) if sectors is None else sectors:
        start = sector * SECTOR_BYTES
        at = offset_of(new.sequence) + start
        ring[at : at + SECTOR_BYTES] = slot[start : start + SECTOR_BYTES]


RUNS = st.integers(min_value=1, max_value=3 * SLOTS)
TORN = st.lists(st.integers(min_value=0, max_value=SECTORS - 1), unique=True, max_size=SECTORS)


@given(RUNS)
def test_what_undisturbed_runs_leave_is_right(runs: int) -> None:
    ring = ring_after(runs)
    assert len(ring) == RING_BYTES
    assert examine(bytes(ring)) == Findings(newest=record(runs))


@given(RUNS, st.lists(st.tuples(st.booleans(), TORN, st.integers(0, 3)), max_size=12))
@examples(2)
def test_no_sequence_of_runs_and_crashes_is_called_corruption(
    runs: int, events: list[tuple[bool, list[int], int]]
) -> None:
    ring = ring_after(runs)
    newest = record(runs)
    for complete, sectors, seconds in events:
        new = record(newest.sequence + 1, at=1_800_000_000 + seconds)
        write(ring, new, None if complete else sectors)
        found = examine(bytes(ring))
        assert found.corrupted == 0, found.detail
        assert found.newest is not None
        assert found.newest in (
            (new,) if complete or len(sectors) == SECTORS else (newest, new, found.newest)
        )
        assert found.newest.sequence in (newest.sequence, new.sequence)
        assert found.torn <= (0 if complete else 1)
        newest = found.newest


@given(
    RUNS,
    st.booleans(),
    TORN,
    st.integers(min_value=0, max_value=RING_BYTES - 1),
    st.integers(min_value=1, max_value=255),
)
@examples(5)
def test_any_single_changed_byte_is_found(
    runs: int, crashed: bool, sectors: list[int], at: int, change: int
) -> None:
    ring = ring_after(runs)
    if crashed:
        write(ring, record(runs + 1), sectors)
    ring[at] ^= change
    found = examine(bytes(ring))
    assert found.corrupted
    assert f"at byte {at - at % SLOT_BYTES}: sector {at % SLOT_BYTES // SECTOR_BYTES}" in found.detail


@given(RUNS, st.integers(min_value=0, max_value=RING_BYTES // SECTOR_BYTES - 1))
def test_a_sector_turned_to_zeros_is_found(runs: int, number: int) -> None:
    ring = ring_after(runs)
    at = number * SECTOR_BYTES
    assume(any(ring[at : at + SECTOR_BYTES]))
    ring[at : at + SECTOR_BYTES] = bytes(SECTOR_BYTES)
    found = examine(bytes(ring))
    if found.corrupted == 0:  # in the newest of fewer than 64 records it looks like a write cut short,
        assert runs <= SLOTS  # and the controller misses the record
        assert found.newest == record(runs - 1)
    else:
        assert found.corrupted >= 1


def test_a_write_that_never_reached_its_slot_is_found() -> None:
    ring = ring_after(100)
    write(ring, record(90 - SLOTS))
    found = examine(bytes(ring))
    assert (found.corrupted, found.newest) == (1, record(100))
    assert "sector 0 holds record 26, not record 90" in found.detail


def test_the_newest_write_never_reaching_its_slot_leaves_the_record_before() -> None:
    ring = ring_after(100)
    write(ring, record(100 - SLOTS))
    assert examine(bytes(ring)) == Findings(newest=record(99))


def test_two_swapped_slots_are_found() -> None:
    ring = ring_after(100)
    ring[0:SLOT_BYTES], ring[SLOT_BYTES : 2 * SLOT_BYTES] = (
        ring[SLOT_BYTES : 2 * SLOT_BYTES],
        ring[0:SLOT_BYTES],
    )
    assert examine(bytes(ring)).corrupted == 2


def test_a_record_of_another_volume_is_found_even_if_it_is_newer() -> None:
    ring = ring_after(10)
    write(ring, record(20, identity=OTHER))
    found = examine(bytes(ring))
    assert (found.corrupted, found.newest) == (1, record(10))
    assert f"belongs to another volume, {OTHER}" in found.detail


def test_a_ring_of_another_volume_is_right_in_itself_and_left_to_the_controller() -> None:
    ring = new_ring(record(1, identity=OTHER))
    assert examine(ring) == Findings(newest=record(1, identity=OTHER))


def test_a_ring_without_any_record_is_corrupted_since_none_is_made_without() -> None:
    found = examine(bytes(RING_BYTES))
    assert (found.corrupted, found.newest) == (1, None)
    assert found.detail == "no slot holds a good record"


@given(st.binary(max_size=3 * SECTOR_BYTES), st.integers(min_value=0, max_value=RING_BYTES))
def test_junk_of_any_length_is_corrupted(junk: bytes, cut: int) -> None:
    assert examine(junk).corrupted
    assert examine((junk * (RING_BYTES // max(1, len(junk)) + 1))[:cut]).corrupted


@given(RUNS, st.integers(min_value=0, max_value=RING_BYTES - 1))
def test_a_cut_ring_is_corrupted(runs: int, length: int) -> None:
    assert examine(bytes(ring_after(runs))[:length]).corrupted


def test_a_longer_ring_is_corrupted() -> None:
    found = examine(bytes(ring_after(70)) + bytes(SLOT_BYTES))
    assert (found.corrupted, found.newest) == (1, record(70))
    assert "266240 bytes, not 262144" in found.detail


def test_a_write_never_goes_over_the_newest_record() -> None:
    assert all(slot_of(sequence) != slot_of(sequence + 1) for sequence in range(1, 200))


def test_every_sector_can_be_found_by_its_magic_in_raw_bytes() -> None:
    assert encode_slot(record(7)).count(MAGIC) == SECTORS
