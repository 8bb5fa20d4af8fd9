"""`pie probe block`: a raw device is written and read back, and each error of it has its outcome."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.result import Outcome, Result, decode
from pie.probe.device import Device
from pie.probe.failure import Failure
from pie.probe.main import main
from pie.probe.ring import MAGIC, RING_BYTES, SECTOR_BYTES, SLOT_BYTES
from tests.probe.conftest import Probe, demand

MIB = 1 << 20
NOBODY, DISK = 65534, 6


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """Make a file to stand for a device."""
    path = tmp_path / "device"
    path.touch()
    os.truncate(path, 4 * MIB)
    return path


def test_it_writes_and_reads_its_beginning_its_middle_and_its_end(probe: Probe, device: Path) -> None:
    result = probe("block", device, "--capacity", str(4 * MIB), env={"PATH": "/nowhere"})
    assert (result.outcome, result.message, result.probe, result.io) == (Outcome.OK, "", "block", None)
    assert list(result.elapsed_seconds) == ["prepare", "write", "read"]
    content = device.read_bytes()
    sectors = {match.start() for match in re.finditer(re.escape(MAGIC), content)}
    starts = (0, 2 * MIB - RING_BYTES // 2, 4 * MIB - RING_BYTES)
    assert sectors == {at for start in starts for at in range(start, start + RING_BYTES, SECTOR_BYTES)}
    assert len({content[at : at + SECTOR_BYTES] for at in sectors}) == len(sectors)


@given(st.integers(RING_BYTES, 8 * MIB))
def test_a_device_of_any_size_is_used_in_whole_blocks_up_to_its_last_one(size_bytes: int) -> None:
    with tempfile.NamedTemporaryFile() as file:
        os.truncate(file.name, size_bytes)
        with Device.open(Path(file.name), check_device=False) as device:
            device.write()
            device.read()
        content = Path(file.name).read_bytes()
        assert len(content) == size_bytes
        assert content.startswith(MAGIC)
        if size_bytes >= 2 * RING_BYTES:
            assert content[size_bytes // SLOT_BYTES * SLOT_BYTES - SECTOR_BYTES :].startswith(MAGIC)


@given(st.sampled_from((0, 4 * MIB - RING_BYTES)), st.integers(0, RING_BYTES - 1), st.integers(1, 255))
def test_one_changed_byte_is_corrupted_data(start: int, at: int, change: int) -> None:
    with tempfile.NamedTemporaryFile() as file:
        os.truncate(file.name, 4 * MIB)
        with Device.open(Path(file.name), check_device=False) as device:
            device.write()
            place = start + at
            (before,) = os.pread(file.fileno(), 1, place)
            os.pwrite(file.fileno(), bytes([before ^ change]), place)
            with pytest.raises(
                Failure, match=rf"written at byte {start} of .* read back different"
            ) as caught:
                device.read()
    assert caught.value.outcome is Outcome.DATA_CORRUPTED


@pytest.mark.parametrize(
    ("wanted_bytes", "outcome"),
    [(0, Outcome.OK), (4 * MIB, Outcome.OK), (4 * MIB + 1, Outcome.VOLUME_TOO_SMALL)],
)
def test_a_device_smaller_than_asked_for_is_reported(
    probe: Probe, device: Path, wanted_bytes: int, outcome: Outcome
) -> None:
    assert probe("block", device, "--capacity", str(wanted_bytes)).outcome is outcome


def test_a_path_without_a_device_is_a_missing_volume(device: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    for path, words in ((device, "is no block device"), (tmp_path / "nothing", "there is no device")):
        assert main(["block", "--path", str(path), "--termination-log", str(log)]) == 1
        result = decode(log.read_text())
        assert (result.outcome, words in result.message) == (Outcome.VOLUME_MISSING, True)
    assert not any(device.read_bytes())


def test_bad_arguments_are_reported_as_its_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    assert main(["block", "--path", "x", "--size", "4k", "--termination-log", str(log)]) == 1


def as_nobody(path: Path, *groups: int) -> Result:
    """Run the probe as a user who is not root, in these groups."""
    # Root is dropped late, since the interpreter of a test may lie in root's home.
    code = f"""
import os, sys
from pie.probe.main import main
os.setgroups({list(groups)}); os.setgid({NOBODY}); os.setuid({NOBODY})
sys.exit(main(sys.argv[1:]))
"""
    argv = [sys.executable, "-c", code, "block", "--path", str(path), "--no-mount-check"]
    return decode(subprocess.run(argv, check=False, capture_output=True, text=True).stdout)


@pytest.fixture
def disk() -> Iterator[Path]:
    """Make a file with owner and mode of a device."""
    demand(root=True)
    with tempfile.TemporaryDirectory() as directory:  # pytest's tmp_path is for root alone
        Path(directory).chmod(0o755)
        path = Path(directory) / "device"
        path.touch(0o660)
        path.chmod(0o660)
        os.truncate(path, 4 * MIB)
        os.chown(path, 0, DISK)
        yield path


def test_a_user_who_may_not_open_the_device_is_told_whose_it_is(disk: Path) -> None:
    result = as_nobody(disk)
    assert result.outcome is Outcome.BLOCK_PERMISSION
    assert "Permission denied (EACCES): it is of user 0 and group 6, mode 0660" in result.message
    assert f"the probe is user {NOBODY} in groups {NOBODY}" in result.message


def test_a_user_in_the_group_disk_may_use_it(disk: Path) -> None:
    assert as_nobody(disk, DISK).outcome is Outcome.OK


@contextmanager
def loop_device(file: Path, *options: str) -> Iterator[Path]:
    """Make a real block device of a file."""
    demand("losetup", root=True)
    argv = ["losetup", "--find", "--show", *options, file]
    path = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield Path(path)
    finally:
        subprocess.run(["losetup", "--detach", path], check=True)


def test_a_real_device_is_used_past_the_page_cache(probe: Probe, device: Path) -> None:
    with loop_device(device) as path:
        result = probe("block", path, "--capacity", str(4 * MIB))
    assert (result.outcome, result.direct) == (Outcome.OK, True)


def test_a_read_only_device_is_called_so(probe: Probe, device: Path) -> None:
    with loop_device(device, "--read-only") as path:
        result = probe("block", path)
    assert (result.outcome, "(EROFS)" in result.message) == (Outcome.READ_ONLY, True)
