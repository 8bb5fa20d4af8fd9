"""`pie probe clone`: a clone has the records of its source, and writes to one do not show in the other."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pie.core.result import Outcome, Result
from pie.probe.ring import SLOT_BYTES
from tests.probe.conftest import Probe


@pytest.fixture
def source(probe: Probe, volume: Path) -> Path:
    """Make a directory to stand for a volume with known records."""
    result = probe("clone", volume, env={"PATH": "/nowhere"})
    assert (result.outcome, result.message, result.probe) == (Outcome.OK, "", "clone")
    assert list(result.elapsed_seconds) == ["prepare", "records"]
    assert result.records is not None
    assert (result.records.sequence_found, result.records.sequence_written) == (None, 3)
    return volume


@pytest.fixture
def compared(probe: Probe, source: Path, tmp_path: Path) -> Callable[..., Result]:
    """Clone the volume, change something, and run the probe on both."""

    def run(change: Callable[[Path, Path], object] = lambda _clone, _source: None) -> Result:
        clone = tmp_path / "clone"
        shutil.copytree(source, clone)
        change(clone, source)
        return probe("clone", clone, "--source", str(source))

    return run


def records(volume: Path) -> Path:
    return volume / ".pie" / "records"


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        (before,) = os.pread(file.fileno(), 1, at)
        os.pwrite(file.fileno(), bytes([before ^ 1]), at)


def test_a_clone_with_the_records_of_its_source_is_good(compared: Callable[..., Result]) -> None:
    result = compared()
    assert (result.outcome, result.message) == (Outcome.OK, "")
    assert list(result.elapsed_seconds) == ["prepare", "compare", "write"]
    assert result.records is not None
    assert result.records.sequence_found == 3


def empty(clone: Path, _source: Path) -> None:
    shutil.rmtree(clone / ".pie")


def one_bit(clone: Path, _source: Path) -> None:
    flip(records(clone), SLOT_BYTES + 100)


def without_the_newest(clone: Path, _source: Path) -> None:
    with records(clone).open("r+b") as file:
        os.pwrite(file.fileno(), bytes(SLOT_BYTES), 2 * SLOT_BYTES)


def half_of_the_newest(clone: Path, _source: Path) -> None:
    with records(clone).open("r+b") as file:
        os.pwrite(file.fileno(), bytes(SLOT_BYTES // 2), 2 * SLOT_BYTES + SLOT_BYTES // 2)


@pytest.mark.parametrize("change", [empty, one_bit, without_the_newest, half_of_the_newest])
def test_a_clone_with_other_records_differs(
    compared: Callable[..., Result], change: Callable[[Path, Path], object]
) -> None:
    result = compared(change)
    assert result.outcome is Outcome.CLONE_DIFFERS
    assert "its source has record 3 of " in result.message
    assert "write" not in result.elapsed_seconds


def test_a_clone_of_another_volume_differs(
    probe: Probe, compared: Callable[..., Result], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    probe("clone", other)

    def swap(clone: Path, _source: Path) -> None:
        shutil.copyfile(records(other), records(clone))

    assert compared(swap).outcome is Outcome.CLONE_DIFFERS


def test_a_clone_with_later_records_than_its_source_differs(
    probe: Probe, compared: Callable[..., Result]
) -> None:
    assert compared(lambda clone, _: probe("provision", clone)).outcome is Outcome.CLONE_DIFFERS


def test_a_clone_on_the_blocks_of_its_source_is_not_independent(compared: Callable[..., Result]) -> None:
    def share(clone: Path, source: Path) -> None:
        records(clone).unlink()
        os.link(records(source), records(clone))

    result = compared(share)
    assert result.outcome is Outcome.CLONE_NOT_INDEPENDENT
    assert "after a write to the clone, the source has record 4 of " in result.message


@pytest.mark.parametrize("change", ["lost", "corrupted"])
def test_a_source_that_lost_its_records_is_corrupted_and_says_nothing_of_the_clone(
    compared: Callable[..., Result], change: str
) -> None:
    def spoil(_clone: Path, source: Path) -> None:
        if change == "lost":
            records(source).unlink()
        else:
            flip(records(source), 100)

    result = compared(spoil)
    assert result.outcome is Outcome.DATA_CORRUPTED
    assert result.message.startswith("on the source of the clone: ")
