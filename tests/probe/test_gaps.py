"""What network filesystems lack and no application needs: the probe does without, and the result says so."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from pie.core.result import Note, Outcome, Result, decode
from pie.probe.ring import RING_BYTES
from tests.harness import ROOT
from tests.probe.conftest import Probe, lack

if platform.machine() != "x86_64":
    lack("the numbers of the system calls: run the tests on x86_64")

LOCKLESS = ["flock=ENOLCK", "flock=ENOSYS", "flock=EOPNOTSUPP", "flock=EINVAL", "flock=EACCES", "flock=EIO"]


def probe_without(gaps: list[str], volume: Path, kind: str = "provision", *options: str) -> Result:
    """Run one probe on a kernel with these gaps."""
    argv = [sys.executable, "-m", "pie", "probe", kind, "--path", str(volume), "--no-mount-check", *options]
    process = subprocess.run(
        [sys.executable, "-m", "tests.probe.lacking", *gaps, "--", *argv],
        check=False,
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}"},
    )
    result = decode(process.stdout.decode())
    assert process.returncode == int(not result.ok), process.stderr
    return result


@pytest.mark.parametrize("gap", LOCKLESS)
def test_a_volume_without_file_locks_works_and_the_result_says_so(volume: Path, gap: str) -> None:
    for sequence in (1, 2):
        result = probe_without([gap], volume)
        assert (result.outcome, result.message) == (Outcome.OK, "")
        assert result.notes == (Note.NO_LOCKS,)
        assert not result.locked
        assert "no file locks" in result.remarks
        assert result.records is not None
        assert result.records.sequence_written == sequence


@pytest.mark.usefixtures("fio")
def test_fio_needs_no_lock_and_no_fallocate(volume: Path) -> None:
    for error in ("EOPNOTSUPP", "ENOSYS"):
        gaps = ["flock=ENOLCK", f"fallocate={error}"]
        result = probe_without(gaps, volume, "mount", "--size", "1M")
        assert (result.outcome, result.message, result.notes) == (Outcome.OK, "", (Note.NO_LOCKS,))
        (volume / ".pie/fio/job").unlink()


def test_a_lock_that_is_never_answered_is_waited_for_only_so_long(volume: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pie.probe.volume import Volume;"
        "print(*Volume.open(Path(sys.argv[1]), check_mount=False, lock_seconds=0.1).notes)"
    )
    argv = [sys.executable, "-c", script, str(volume)]
    process = subprocess.run(
        [sys.executable, "-m", "tests.probe.lacking", "flock=silence", "--", *argv],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}"},
    )
    assert process.stdout == f"{Note.LOCK_UNANSWERED}\n"


@pytest.mark.parametrize("error", ["EINVAL", "ENOSYS", "EOPNOTSUPP", "EACCES", "EISDIR"])
def test_a_directory_that_cannot_be_synced_is_no_fault(volume: Path, error: str) -> None:
    result = probe_without([f"directory={error}"], volume)
    assert (result.outcome, result.notes) == (Outcome.OK, (Note.NO_DIRECTORY_SYNC,))
    assert result.locked


def test_a_directory_that_answers_with_an_io_error_is_a_fault(volume: Path) -> None:
    assert probe_without(["directory=EIO"], volume).outcome is Outcome.IO_ERROR


@pytest.mark.parametrize("error", ["ENOSYS", "EOPNOTSUPP", "EPERM", "EXDEV"])
def test_a_volume_that_cannot_rename_has_a_ring_all_the_same(volume: Path, error: str) -> None:
    first = probe_without([f"rename={error}"], volume)
    assert (first.outcome, first.notes) == (Outcome.OK, (Note.NO_RENAME,))
    assert sorted(path.name for path in (volume / ".pie").iterdir()) == ["lock", "records"]
    second = probe_without([f"rename={error}"], volume)
    assert second.notes == ()
    assert second.records is not None
    assert (second.records.sequence_found, second.records.sequence_written) == (1, 2)


@pytest.mark.parametrize("size", [0, 4096, RING_BYTES])
def test_a_run_killed_in_making_the_ring_without_rename_left_no_corruption(
    probe: Probe, volume: Path, size: int
) -> None:
    (volume / ".pie").mkdir()
    (volume / ".pie/records").write_bytes(bytes(size))
    (volume / ".pie/records.new").write_bytes(b"half")
    for sequence in (1, 2):
        result = probe("provision", volume)
        assert result.outcome is Outcome.OK
        assert result.records is not None
        assert result.records.sequence_written == sequence


def test_all_gaps_at_once_are_done_without(volume: Path) -> None:
    calls = ("chmod", "fchmod", "link", "fallocate", "fadvise64", "rename", "flock", "directory")
    result = probe_without([f"{call}=EOPNOTSUPP" for call in calls], volume)
    assert result.outcome is Outcome.OK
    assert set(result.notes) == {Note.NO_LOCKS, Note.NO_DIRECTORY_SYNC, Note.NO_RENAME}
