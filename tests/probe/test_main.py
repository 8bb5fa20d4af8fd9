"""The whole probe as a process: every way it ends leaves a result."""

import fcntl
import os
import re
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pie.core.iojob import OPTIONS, IoJob
from pie.core.result import Outcome, decode
from pie.probe import fio
from pie.probe.failure import Failure
from pie.probe.main import main, parse
from pie.probe.ring import RING_BYTES
from pie.probe.volume import Volume, why_too_small
from tests.harness import ROOT
from tests.probe.conftest import Probe

FAST = ("--size", "1M")
HEAVY = {
    "typer",
    "click",
    "rich",
    "aiohttp",
    "asyncio",
    "prometheus_client",
    "structlog",
    "yaml",
    "json",
    "logging",
}


@pytest.mark.usefixtures("fio")
def test_a_mount_run_measures_and_leaves_a_record(probe: Probe, volume: Path) -> None:
    first = probe("mount", volume, *FAST)
    assert (first.outcome, first.message, first.probe) == (Outcome.OK, "", "mount")
    assert first.io is not None
    for latency in (first.io.read, first.io.write):
        assert latency is not None
        assert latency.iops > 0
        assert 0 < latency.p50_seconds <= latency.p99_seconds <= latency.max_seconds * 1.02  # fio's buckets
        assert 0 < latency.mean_seconds <= latency.max_seconds
    assert first.sync_seconds is not None
    assert first.sync_seconds > 0
    assert list(first.elapsed_seconds) == ["prepare", "fio", "sync", "records"]
    assert first.records is not None
    assert (first.records.identity_found, first.records.sequence_written) == (None, 1)

    second = probe("mount", volume, *FAST)
    assert second.records is not None
    assert second.records.identity_found == first.records.identity_written == second.records.identity_written
    assert (second.records.sequence_found, second.records.sequence_written) == (1, 2)


@pytest.mark.usefixtures("fio")
def test_the_files_of_a_run_are_few_and_lie_in_a_directory_of_pies_own(probe: Probe, volume: Path) -> None:
    probe("mount", volume, *FAST)
    files = {
        str(path.relative_to(volume)): path.stat().st_size for path in volume.rglob("*") if path.is_file()
    }
    assert files == {".pie/lock": 0, ".pie/fio/job": 1024 * 1024, ".pie/records": RING_BYTES}


def test_a_provision_run_writes_and_reads_a_record_without_fio(probe: Probe, volume: Path) -> None:
    result = probe("provision", volume, env={"PATH": "/nowhere"})
    assert (result.outcome, result.probe, result.io) == (Outcome.OK, "provision", None)
    assert result.records is not None
    assert (result.records.sequence_found, result.records.sequence_written) == (None, 1)
    assert list(result.elapsed_seconds) == ["prepare", "records"]


def test_without_fio_the_records_are_still_checked(probe: Probe, volume: Path) -> None:
    result = probe("mount", volume, env={"PATH": "/nowhere"})
    assert result.outcome is Outcome.FIO_MISSING
    assert "is it in the image?" in result.message
    assert result.records is not None
    assert result.records.sequence_written == 1
    assert result.sync_seconds is not None


LACKING = "O_DIRECT", "posix_fadvise", "POSIX_FADV_DONTNEED"
"""What Python's os has on Linux, and not on macOS."""


@pytest.mark.parametrize("kind", [("mount", "--without-fio", *FAST), ("provision",)])
def test_a_system_without_o_direct_and_fadvise_is_measured_through_the_page_cache(
    kind: tuple[str, ...], volume: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import os\nfor name in {LACKING}: delattr(os, name)\n")
    arguments = [*kind[:1], "--path", str(volume), "--no-mount-check", *kind[1:]]
    for sequence in (1, 2):
        process = subprocess.run(
            [sys.executable, "-m", "pie", "probe", *arguments],
            check=False,
            capture_output=True,
            env={"PATH": "/nowhere", "PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"},
        )
        result = decode(process.stdout.decode())
        assert (process.returncode, result.outcome, result.message) == (0, Outcome.OK, "")
        assert not result.direct
        assert result.records is not None
        assert result.records.sequence_written == sequence


@pytest.mark.usefixtures("fio")
def test_a_job_that_fio_refuses_is_a_failed_fio_with_its_own_words(volume: Path) -> None:
    with Volume.open(volume, check_mount=False) as opened, pytest.raises(Failure, match="fio:") as caught:
        fio.run(opened, IoJob(size="1"))
    assert caught.value.outcome is Outcome.FIO_FAILED


def test_a_corrupted_record_is_reported_until_it_is_restored_and_never_overwritten(
    probe: Probe, volume: Path
) -> None:
    for _ in range(3):
        probe("provision", volume)
    ring = volume / ".pie/records"
    good = ring.read_bytes()
    bad = bytearray(good)
    bad[4096 + 1000] ^= 1
    ring.write_bytes(bad)
    for _ in range(2):
        result = probe("provision", volume)
        assert result.outcome is Outcome.DATA_CORRUPTED
        assert result.message == "slot 1 at byte 4096: sector 1 has a wrong checksum or place"
        assert result.records is not None
        assert (result.records.sequence_found, result.records.sequence_written) == (3, None)
        assert result.records.corrupted == 1
        assert ring.read_bytes() == bad
    ring.write_bytes(good)
    result = probe("provision", volume)
    assert result.records is not None
    assert (result.outcome, result.records.sequence_written) == (Outcome.OK, 4)


@pytest.mark.parametrize("content", [b"", b"short", bytes(RING_BYTES), bytes(RING_BYTES + 1)])
def test_a_ring_that_is_none_is_corrupted(probe: Probe, volume: Path, content: bytes) -> None:
    probe("provision", volume)
    (volume / ".pie/records").write_bytes(content)
    assert probe("provision", volume).outcome is Outcome.DATA_CORRUPTED


def test_an_emptied_volume_gets_a_new_identity(probe: Probe, volume: Path) -> None:
    first = probe("provision", volume).records
    (volume / ".pie/records").unlink()
    second = probe("provision", volume).records
    assert first is not None
    assert second is not None
    assert second.identity_found is None
    assert second.identity_written != first.identity_written


def test_what_a_run_killed_in_making_the_ring_left_is_no_hindrance(probe: Probe, volume: Path) -> None:
    (volume / ".pie").mkdir()
    (volume / ".pie/records.new").write_bytes(b"half")
    (volume / ".pie/sync").write_bytes(b"half")
    assert probe("mount", volume, env={"PATH": "/nowhere"}).records is not None
    assert sorted(path.name for path in (volume / ".pie").iterdir()) == ["fio", "lock", "records"]


@pytest.mark.usefixtures("fio")
def test_without_integrity_no_records_are_kept(probe: Probe, volume: Path) -> None:
    result = probe("mount", volume, "--no-integrity", *FAST)
    assert (result.outcome, result.records) == (Outcome.OK, None)
    assert not (volume / ".pie/records").exists()


def test_the_file_of_go_pie_is_removed(probe: Probe, volume: Path) -> None:
    (volume / ".iotest").write_bytes(b"x" * 1024)
    assert probe("provision", volume).ok
    assert not (volume / ".iotest").exists()


def test_only_one_run_at_a_time_is_on_a_volume(probe: Probe, volume: Path) -> None:
    probe("provision", volume)
    with (volume / ".pie/lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = probe("provision", volume)
        assert (result.outcome, result.records) == (Outcome.LOCKED, None)
        assert "another run holds" in result.message
    assert probe("provision", volume).ok


def test_a_path_that_is_no_mount_is_a_missing_volume(volume: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    for path in (volume, volume / "nothing"):
        assert main(["mount", "--path", str(path), "--termination-log", str(log)]) == 1
        assert decode(log.read_text()).outcome is Outcome.VOLUME_MISSING
    assert not list(volume.iterdir())


def test_a_volume_far_smaller_than_asked_for_is_reported_and_used_all_the_same(
    probe: Probe, volume: Path
) -> None:
    found = os.statvfs(volume)
    size_bytes = found.f_blocks * found.f_frsize
    for wanted_bytes, outcome in (
        (size_bytes, Outcome.OK),
        (2 * size_bytes, Outcome.OK),
        (3 * size_bytes, Outcome.VOLUME_TOO_SMALL),
    ):
        result = probe("provision", volume, "--capacity", str(wanted_bytes))
        assert result.outcome is outcome
        assert result.records is not None
        assert result.records.sequence_written is not None
    assert f"has {size_bytes} bytes, but {3 * size_bytes} were asked for" in result.message


def test_a_filesystem_that_does_not_say_how_large_it_is_is_large_enough() -> None:
    assert os.statvfs("/proc").f_blocks == 0
    assert why_too_small(Path("/proc"), 2**60) is None
    assert why_too_small(Path("/no such directory"), 2**60) is None


def test_an_unreadable_directory_entry_is_reported_with_its_name(probe: Probe, volume: Path) -> None:
    (volume / ".pie").write_text("a file where the directory should be")
    result = probe("mount", volume)
    assert result.outcome is Outcome.IO_ERROR
    assert result.message == f"opening {volume}/.pie/lock: Not a directory (ENOTDIR)"


@pytest.mark.usefixtures("fio")
def test_a_run_told_to_stop_says_where_it_was_and_takes_fio_with_it(volume: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    argv = ["--path", str(volume), "--no-mount-check", "--termination-log", str(log), "--fsync", "1"]
    process = subprocess.Popen([sys.executable, "-m", "pie", "probe", "mount", *argv, "--size", "64M"])
    child = wait_for_child(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 1
    result = decode(log.read_text())
    assert result.outcome is Outcome.KILLED
    assert re.fullmatch(r"stopped by SIGTERM in step fio after \d+\.\d s", result.message)
    assert select.select([child], [], [], 10)[0], "fio outlived the probe"


def wait_for_child(process: subprocess.Popen[bytes]) -> int:
    """Wait until the probe has started fio; return a descriptor that is readable once fio has ended."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        for pid in map(int, children.read_text().split()):
            descriptor = os.pidfd_open(pid)
            if Path(f"/proc/{pid}/comm").read_text() == "fio\n":
                return descriptor
            os.close(descriptor)
    raise AssertionError("the probe ended without fio")


def test_the_result_is_left_also_when_stdout_is_closed(volume: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    argv = ["--path", str(volume), "--no-mount-check", "--termination-log", str(log)]
    shell = 'exec "$@" >&- 2>&-'
    command = [sys.executable, "-m", "pie", "probe", "provision", *argv]
    assert subprocess.run(["sh", "-c", shell, "sh", *command], check=False).returncode == 0
    assert decode(log.read_text()).ok


def test_without_a_termination_log_the_result_is_on_stdout_and_no_file_is_made(
    volume: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    assert main(["provision", "--path", str(volume), "--no-mount-check", "--termination-log", str(log)]) == 0
    captured = capfd.readouterr()
    assert decode(captured.out.strip()).ok
    assert "the result is on stdout only" in captured.err
    assert not log.exists()


REFUSED = [
    *(
        (option, value)
        for option in OPTIONS.values()
        for value in ("", "3", "-1", "--exec_prerun=id", "1;id")
    ),
    ("--read-write", "trim"),
    ("--size", "2G"),
    ("--size", "50m"),
    ("--runtime", "60"),
    ("--rate-iops", "100"),
]
"""Values that are in none of the closed sets."""


def test_bad_arguments_leave_a_result_too(capfd: pytest.CaptureFixture[str]) -> None:
    for argv in (
        ["provision"],
        ["mount", "--path", "/x", "--size", "-1"],
        ["mount", "--path", "/x", "--fsync", "x"],
        *(["mount", "--path", "/x", option, value] for option, value in REFUSED),
        [],
    ):
        assert main(argv) == 1
        result = decode(capfd.readouterr().out.strip())
        assert result.outcome is Outcome.INTERNAL
        assert result.message.startswith("bad arguments: ")


def test_a_defect_in_the_probe_is_reported_as_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["provision", "--path", "/pie\0", "--no-mount-check"]) == 1
    result = decode(capfd.readouterr().out.strip())
    assert (result.outcome, result.message) == (
        Outcome.INTERNAL,
        "in step prepare: ValueError: embedded null byte",
    )


def test_a_long_path_does_not_break_the_message(probe: Probe, volume: Path) -> None:
    result = probe("provision", volume / ("x" * 300))
    assert result.outcome is Outcome.IO_ERROR
    assert len(result.message) == 256


def test_the_default_job_is_go_pies() -> None:
    assert fio.arguments(parse(["mount", "--path", "/pie"]).job, "/pie/job") == [
        "fio",
        "--name=pie",
        "--filename=/pie/job",
        "--direct=1",
        "--rw=readwrite",
        "--bs=4k",
        "--size=50M",
        "--numjobs=1",
        "--clocksource=clock_gettime",
        "--thread",
        "--runtime=1",
        "--output-format=json",
        "--eta=never",
    ]


def test_every_option_reaches_fio() -> None:
    job = [
        "--block-size",
        "8k",
        "--size",
        "1G",
        "--runtime",
        "5",
        "--read-write",
        "randrw",
        "--no-direct",
        "--fsync",
        "4",
        "--io-depth",
        "8",
        "--rate-iops",
        "64",
    ]
    arguments = fio.arguments(parse(["mount", "--path", "/pie", *job]).job, "/a:b")
    assert {"--bs=8k", "--runtime=5", "--rw=randrw", "--direct=0", "--fsync=4"} < set(arguments)
    # Eight threads share the file and the rate.
    assert {f"--size={2**27}", f"--offset_increment={2**27}", "--numjobs=8", "--rate_iops=8"} < set(arguments)
    assert r"--filename=/a\:b" in arguments


def test_a_probe_loads_no_cli_framework_and_no_event_loop(volume: Path) -> None:
    code = (
        "import sys; from pie.probe.main import main;"
        f"main(['provision', '--path', {str(volume)!r}, '--no-mount-check']);"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    process = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(process.stdout.splitlines()[-1].split())
    assert "msgspec" in loaded
    assert not loaded & HEAVY
    assert "pie.controller" not in process.stdout


def test_the_files_are_private_to_the_probes_user_and_group(probe: Probe, volume: Path) -> None:
    probe("provision", volume)
    assert not stat.S_IMODE((volume / ".pie").stat().st_mode) & stat.S_IRWXO
    assert not stat.S_IMODE((volume / ".pie/records").stat().st_mode) & stat.S_IRWXO


ONE_AT_A_TIME = ("--block-size", "64k", "--read-write", "randread", "--rate-iops", "16", "--runtime", "2")


@pytest.mark.usefixtures("fio")
@pytest.mark.parametrize("tool", ["fio", "pie"])
def test_a_job_that_only_reads_reads_what_it_finds_or_lays_out(probe: Probe, volume: Path, tool: str) -> None:
    without = {"PATH": "/nowhere"} if tool == "pie" else {}
    found = probe("mount", volume, *FAST, *ONE_AT_A_TIME, "--without-fio", env=without)
    assert found.ok, found.message
    assert found.io is not None
    assert (found.io.tool, found.io.write) == (tool, None)
    assert found.io.read is not None


@pytest.mark.usefixtures("fio")
@pytest.mark.parametrize("tool", ["fio", "pie"])
@pytest.mark.parametrize("size", ["1M", "16M"])
def test_many_operations_at_a_time_use_the_whole_file(
    probe: Probe, volume: Path, tool: str, size: str
) -> None:
    without = {"PATH": "/nowhere"} if tool == "pie" else {}
    job = ("--size", size, "--io-depth", "16", "--block-size", "1M", "--read-write", "write")
    found = probe("mount", volume, *job, "--without-fio", env=without)
    assert found.ok, found.message
    assert found.io is not None
    assert found.io.read is None
    assert found.io.write is not None
    assert (volume / ".pie/fio/job").stat().st_size == int(size.removesuffix("M")) * 2**20


def test_no_integrity_keeps_no_records(probe: Probe, volume: Path) -> None:
    found = probe("mount", volume, *FAST, "--without-fio", "--no-integrity")
    assert (found.ok, found.records) == (True, None)
    assert not (volume / ".pie/records").exists()
