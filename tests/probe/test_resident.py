"""`pie probe resident`: real files, I/O that really hangs, and real HTTP."""

import errno
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pie.probe.server import MOST_BYTES, WORKERS
from tests.probe.conftest import demand

pytestmark = pytest.mark.timeout(120)

PATCHED = """
import errno, os, sys
from pathlib import Path
from pie.probe.main import main
number, wish, fsync = int(sys.argv.pop(1)), Path(sys.argv.pop(1)), os.fsync
def failing(descriptor):
    if wish.exists():
        raise OSError(number, os.strerror(number))
    fsync(descriptor)
os.fsync = failing
sys.exit(main(sys.argv[1:]))
"""
"""The volume's sync fails with an errno while a file exists."""


class Resident:
    """A resident probe as a process of its own."""

    def __init__(self, volume: Path, *start: str, threshold: str = "60") -> None:
        self.file = volume / ".pie/resident"
        argv = [*(start or ("-m", "pie", "probe")), "resident", "--path", str(volume), "--no-mount-check"]
        options = ["--interval", "0.01", "--threshold", threshold, "--port", "0"]
        self.process = subprocess.Popen([sys.executable, *argv, *options], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rsplit(" ", 1)[1])

    def get(self, path: str = "/ready", method: str = "GET") -> tuple[int, str]:
        """Ask as the kubelet does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def until(self, status: int) -> None:
        """Ask for its status until it is this one."""
        while self.get("/status")[0] != status:
            pass

    def rounds(self) -> int:
        """Return how many rounds have ended."""
        lines = self.get("/metrics")[1].splitlines()
        name = 'pie_resident_io_duration_seconds_count{operation="read_by_path"} '
        return int(next(line.removeprefix(name) for line in lines if line.startswith(name)))

    def end(self) -> int:
        """End it as a kubelet does; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


Start = Callable[..., Resident]


@pytest.fixture
def start(volume: Path) -> Iterator[Start]:
    """Start resident probes on a volume; they are killed at the end."""
    started: list[Resident] = []

    def begin(*argv: str, threshold: str = "60") -> Resident:
        started.append(Resident(volume, *argv, threshold=threshold))
        return started[-1]

    yield begin
    for each in started:
        with each.process:
            each.process.kill()


def test_a_healthy_volume_is_ready_and_its_operations_are_counted(start: Start) -> None:
    resident = start()
    assert resident.get() == (200, "WELL\n")
    before = resident.rounds()
    while resident.rounds() < before + 3:
        pass
    assert (
        'pie_resident_io_duration_seconds_bucket{operation="sync",le="+Inf"}' in resident.get("/metrics")[1]
    )
    assert resident.end() == 0


def test_the_ring_does_not_grow_and_a_restart_goes_on_with_it(start: Start) -> None:
    resident = start()
    while resident.rounds() < 70:
        pass
    assert resident.end() == 0
    assert resident.file.stat().st_size == 64 * 4096
    assert start().get() == (200, "WELL\n")


def hang(file: Path) -> Path:
    """Have whoever opens the file wait in the kernel, as long as nobody writes to this pipe."""
    aside, pipe = file.with_name("aside"), file.with_name("pipe")
    os.link(file, aside)
    os.mkfifo(pipe)
    pipe.rename(file)
    return aside


def test_io_that_hangs_is_stalled_and_recovery_is_told_to_a_question_that_is_held(start: Start) -> None:
    resident = start(threshold="2")
    resident.until(200)
    aside = hang(resident.file)
    resident.until(503)
    assert resident.get() == (503, "STALLED\n")
    held: list[int] = []
    asking = threading.Thread(target=lambda: held.append(resident.get()[0]))
    asking.start()
    assert resident.get("/status") == (503, "STALLED\n")
    pipe = os.open(resident.file, os.O_RDWR)
    aside.rename(resident.file)
    asking.join()
    assert held[0] in {200, 500}, "the pipe may give an error of its own before the file is back"
    os.close(pipe)
    resident.until(200)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("EIO", 500),
        ("EROFS", 507),
        ("ESTALE", 410),
        ("ENOTCONN", 410),
        ("ESHUTDOWN", 410),
        ("ENOSPC", 413),
        ("EACCES", 403),
        ("ETIMEDOUT", 500),
    ],
)
def test_each_error_has_its_status_until_io_is_well_again(
    start: Start, tmp_path: Path, name: str, status: int
) -> None:
    wish = tmp_path / "wish"
    resident = start("-c", PATCHED, str(getattr(errno, name)), str(wish))
    assert resident.get()[0] == 200
    wish.touch()
    resident.until(status)
    assert resident.get()[0] == status
    wish.unlink()
    assert resident.get()[0] == 200


def test_an_error_at_the_start_does_not_end_the_probe(start: Start, tmp_path: Path) -> None:
    wish = tmp_path / "wish"
    wish.touch()
    resident = start("-c", PATCHED, str(errno.EIO), str(wish))
    resident.until(500)
    wish.unlink()
    resident.until(200)


def test_a_path_that_leads_nowhere_is_stale_while_the_open_file_works(start: Start) -> None:
    resident = start()
    assert resident.get()[0] == 200
    resident.file.unlink()
    resident.until(410)
    assert resident.get() == (410, "STALE\n")


def test_a_path_that_leads_to_other_content_is_corrupted(start: Start) -> None:
    resident = start()
    assert resident.get()[0] == 200
    other = resident.file.with_name("other")
    other.write_bytes(bytes(64 * 4096))
    other.rename(resident.file)
    resident.until(409)


def test_wrong_records_stay_and_nothing_is_written_over_them(start: Start) -> None:
    resident = start()
    assert resident.get()[0] == 200
    resident.end()
    content = bytearray(resident.file.read_bytes())
    content[100] ^= 1
    resident.file.write_bytes(content)
    assert start().get() == (409, "CORRUPTED\n")
    assert resident.file.read_bytes() == content


def test_a_second_probe_on_the_same_volume_keeps_off(start: Start) -> None:
    assert start().get()[0] == 200
    assert start().get() == (423, "LOCKED\n")


def test_a_directory_that_is_no_mount_is_no_volume(volume: Path) -> None:
    argv = [sys.executable, "-m", "pie", "probe", "resident", "--path", str(volume), "--port", "0"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    resident = Resident.__new__(Resident)
    resident.port = int(process.stdout.readline().rsplit(" ", 1)[1])
    assert resident.get() == (404, "VOLUME_MISSING\n")
    process.kill()
    process.communicate()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/ready", 405),
        ("HEAD", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/../etc/passwd", 404),
        ("GET", "/ready?x", 200),
    ],
)
def test_it_answers_get_only_and_what_it_knows(start: Start, method: str, path: str, status: int) -> None:
    resident = start()
    assert resident.get()[0] == 200
    assert resident.get(path, method)[0] == status


@pytest.mark.parametrize(
    "sent", [b"\r\n\r\n", b"GET\r\n\r\n", b"\xff\xfe /ready SMTP\r\n\r\n", b"x" * 3 * MOST_BYTES]
)
def test_what_is_no_request_is_refused(start: Start, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", start().port), timeout=60) as connection:
        try:
            connection.sendall(sent)
            answered = connection.recv(4096)
        except ConnectionError:  # it is closed while more is sent
            answered = b""
        assert answered == b"" or answered.startswith(b"HTTP/1.1 400 ")


def test_clients_that_say_nothing_do_not_keep_the_kubelet_waiting_for_ever(start: Start) -> None:
    resident = start()
    silent = [socket.create_connection(("127.0.0.1", resident.port)) for _ in range(2 * WORKERS)]
    assert resident.get()[0] == 200
    for each in silent:
        each.close()


@pytest.mark.real
def test_a_real_filesystem_that_is_frozen_is_stalled_and_recovers(tmp_path: Path) -> None:
    demand("unshare", "nsenter", "fsfreeze", "mkfs.ext4", "losetup", root=True)
    image, volume = tmp_path / "image", tmp_path / "volume"
    volume.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    script = (
        'mount -o loop "$1" "$2" && exec "$3" -m pie probe resident --path "$2"'
        " --interval 0.01 --threshold 2 --port 0"
    )
    argv = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        "sh",
        image,
        volume,
        sys.executable,
    ]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    inside = ["nsenter", "--mount", "--target", str(process.pid), "fsfreeze"]
    try:
        assert process.stdout is not None
        resident = Resident.__new__(Resident)
        resident.port = int(process.stdout.readline().rsplit(" ", 1)[1])
        resident.until(200)
        subprocess.run([*inside, "-f", volume], check=True)
        try:
            resident.until(503)
            assert resident.get()[0] == 503
        finally:
            subprocess.run([*inside, "-u", volume], check=True)
        resident.until(200)
    finally:
        process.kill()
        process.communicate()
