"""`pie probe expand`: a filesystem that grows while it is written, and one that does not."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pie.core.result import Outcome
from pie.probe.failure import Failure
from pie.probe.growth import grow, size_bytes
from pie.probe.records import Records
from pie.probe.volume import Volume
from tests.probe.conftest import Probe, demand

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount an XFS filesystem of 300 MiB; ext4 would need the capability SYS_RESOURCE to grow."""
    demand("mkfs.xfs", "xfs_growfs", "losetup", root=True)
    image, path = tmp_path / "image", tmp_path / "disk"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(300 * MIB)
    run("mkfs.xfs", "-q", image)
    run("mount", "-o", "loop", image, path)
    yield path
    run("umount", path)


def run(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def test_it_writes_until_the_filesystem_has_grown_and_what_it_wrote_is_there(disk: Path) -> None:
    volume, pauses = Volume.open(disk), []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:  # as external-resizer and the kubelet do it
            device = run("findmnt", "-no", "SOURCE", disk)
            run("truncate", "-s", str(400 * MIB), run("losetup", "-n", "-O", "BACK-FILE", device))
            run("losetup", "-c", device)
            run("xfs_growfs", disk)

    with volume:
        before = size_bytes(disk)
        grow(volume, 100 * MIB, 60, pause=pause)
        assert size_bytes(disk) >= before + 80 * MIB
        found = Records(volume).read()
    assert len(pauses) == 3
    assert found is not None
    assert found.newest is not None
    assert (found.newest.sequence, found.corrupted) == (5, 0)


def test_a_filesystem_that_does_not_grow_in_time_is_not_expanded(volume: Path) -> None:
    now = 0.0

    def pause(seconds: float) -> None:
        nonlocal now
        now += seconds

    with Volume.open(volume, check_mount=False) as opened:
        size = size_bytes(volume)
        with pytest.raises(Failure) as caught:
            grow(opened, 1 << 60, 4, pause=pause, now=lambda: now)
        found = Records(opened).read()
    assert caught.value.outcome is Outcome.NOT_EXPANDED
    assert str(caught.value) == f"after 4 s the filesystem has {size} bytes, as before"
    assert found is not None
    assert found.newest is not None
    assert found.newest.sequence == 5


def test_records_are_checked_also_where_the_filesystem_did_not_grow(probe: Probe, volume: Path) -> None:
    found = os.statvfs(volume)
    capacity = found.f_blocks * found.f_frsize // 2
    result = probe("expand", volume, "--capacity", str(capacity), "--patience", "0")
    assert (result.outcome, result.probe) == (Outcome.NOT_EXPANDED, "expand")
    assert list(result.elapsed_seconds) == ["prepare", "grow", "records"]
    assert result.records is not None
    assert result.records.corrupted == 0


def test_a_probe_that_started_too_late_to_know_the_size_before_says_nothing_about_the_storage(
    probe: Probe, volume: Path
) -> None:
    result = probe("expand", volume, "--patience", "0", "--asked-after", "0.01", "--capacity", "1")
    assert result.outcome is Outcome.INTERNAL
    assert "to start" in result.message
