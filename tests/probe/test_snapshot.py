"""`pie probe snapshot`: a restored volume has the records from before the snapshot, and no later ones."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pie.core.result import Outcome, Result
from pie.probe.ring import SLOT_BYTES
from tests.probe.conftest import Probe

Change = Callable[[Path, Path], object]


@pytest.fixture
def compared(probe: Probe, volume: Path, tmp_path: Path) -> Callable[..., Result]:
    """Run the three steps of a canary, and change something before the last one."""

    def run(change: Change = lambda _restored, _source: None) -> Result:
        first = probe("snapshot", volume)
        assert (first.outcome, first.probe) == (Outcome.OK, "snapshot")
        assert first.records is not None
        assert first.records.sequence_written == 3
        restored, unused = tmp_path / "restored", tmp_path / "unused"
        shutil.copytree(volume, restored)
        unused.mkdir()
        second = probe("snapshot", unused, "--source", str(volume), "--later")
        assert (second.outcome, list(second.elapsed_seconds)) == (Outcome.OK, ["prepare", "later"])
        change(restored, volume)
        return probe("snapshot", restored, "--source", str(volume))

    return run


def test_a_restored_volume_with_the_records_of_that_moment_is_good(compared: Callable[..., Result]) -> None:
    result = compared()
    assert (result.outcome, result.message) == (Outcome.OK, "")
    assert list(result.elapsed_seconds) == ["prepare", "compare"]
    assert result.records is not None
    assert result.records.sequence_found == 3


def records(volume: Path) -> Path:
    return volume / ".pie" / "records"


def empty(restored: Path, _source: Path) -> None:
    shutil.rmtree(restored / ".pie")


def later(restored: Path, source: Path) -> None:
    shutil.copy(records(source), records(restored))


def earlier(restored: Path, _source: Path) -> None:
    with records(restored).open("r+b") as file:
        file.seek(2 * SLOT_BYTES)
        file.write(bytes(SLOT_BYTES))


def damaged(restored: Path, _source: Path) -> None:
    with records(restored).open("r+b") as file:
        (before,) = os.pread(file.fileno(), 1, 2 * SLOT_BYTES + 9)
        os.pwrite(file.fileno(), bytes([before ^ 1]), 2 * SLOT_BYTES + 9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (empty, "the restored volume has no record; its source had record 3"),
        (later, "the restored volume has record 5"),
        (earlier, "the restored volume has record"),
        (damaged, "the restored volume has"),
    ],
)
def test_a_restored_volume_of_another_moment_differs(
    compared: Callable[..., Result], change: Change, words: str
) -> None:
    result = compared(change)
    assert result.outcome is Outcome.SNAPSHOT_DIFFERS
    assert words in result.message


def test_a_source_that_lost_its_records_is_no_fault_of_the_snapshot(compared: Callable[..., Result]) -> None:
    def loses(_restored: Path, source: Path) -> None:
        shutil.rmtree(source / ".pie")

    result = compared(loses)
    assert result.outcome is Outcome.DATA_CORRUPTED
    assert "on the source of the snapshot" in result.message
