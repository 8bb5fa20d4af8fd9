"""The probe on real filesystems with real faults: loop devices in a mount namespace of the test's own."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pie.core.result import Outcome, Result, decode
from pie.probe.ring import MAGIC, SECTOR_BYTES
from tests.probe.conftest import demand

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("fio")]

MIB = 1024 * 1024
SIZES = {"ext4": 150 * MIB, "xfs": 300 * MIB}
"""mkfs.xfs wants 300 MB."""
USER_ID = 1001
AS_A_POD = ("setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups")

AS_USER = f"""
import os, sys
from pie.probe.main import main
os.setgroups([]); os.setgid({USER_ID}); os.setuid({USER_ID})
sys.exit(main(sys.argv[1:]))
"""
"""Drops root as late as it can, since the interpreter of a test may lie in root's home."""


class Node:
    """A mount namespace with one volume on a loop device, and probes run in it as a pod's user."""

    def __init__(self, directory: Path, filesystem: str) -> None:
        self.directory = directory
        self.filesystem = filesystem
        self.path = directory / "pie"
        self.image = directory / "image"
        self.log = directory / "termination-log"
        self.prefix: tuple[str, ...] = ()
        # ends with this process, however that ends; a frozen filesystem would outlive its mount
        life = 'echo ready; cat; fsfreeze -u "$1" 2>/dev/null'
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", life, "sh", str(self.path)]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"

    def run(self, *argv: str | Path) -> None:
        subprocess.run(self.inside(*argv), check=True, stdout=subprocess.DEVNULL)

    def inside(self, *argv: str | Path) -> list[str]:
        return ["nsenter", "--mount", "--target", str(self._process.pid), *map(str, argv)]

    def mount(self, image: Path) -> None:
        """Mount a volume as kubelet hands it to a pod with an fsGroup."""
        if not image.exists():
            with image.open("wb") as file:
                file.truncate(SIZES[self.filesystem])
            self.run(f"mkfs.{self.filesystem}", "-q", image)
        self.run("mount", "-o", "loop", image, self.path)
        self.run("chgrp", str(USER_ID), self.path)
        self.run("chmod", "2775", self.path)

    def umount(self) -> None:
        self.run("umount", self.path)

    def probe(self, *options: str) -> Result:
        """Run one mount probe without privileges, with a short job, to its end."""
        return self.end(self.start("mount", "--size", "4M", *options))

    def end(self, process: subprocess.Popen[str]) -> Result:
        _, stderr = process.communicate()
        assert self.log.read_text(), stderr
        result = decode(self.log.read_text())
        assert process.returncode == int(not result.ok)
        return result

    def start(self, *options: str) -> subprocess.Popen[str]:
        self.log.write_text("")
        self.log.chmod(0o666)
        probe: tuple[str | Path, ...] = (sys.executable, "-c", AS_USER, *options, "--path", self.path)
        probe += ("--termination-log", self.log)
        return subprocess.Popen(
            self.inside(*self.prefix, *probe),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def written(self) -> int:
        """Run a probe that must be ok; return the sequence it wrote."""
        result = self.probe()
        assert result.ok, result.message
        assert result.records is not None
        assert result.records.sequence_written is not None
        return result.records.sequence_written

    def close(self) -> None:
        self._process.communicate()  # closes its stdin: the namespace ends, and its mounts and loop devices


@pytest.fixture(params=SIZES)
def node(request: pytest.FixtureRequest) -> Iterator[Node]:
    demand("unshare", "nsenter", "fsfreeze", "mkfs.ext4", "mkfs.xfs", "xfs_io", "losetup", root=True)
    with tempfile.TemporaryDirectory() as directory:  # pytest's tmp_path is for root alone
        Path(directory).chmod(0o755)
        node = Node(Path(directory), request.param)
        node.path.mkdir()
        with contextlib.closing(node):
            node.mount(node.image)
            yield node


def test_a_pods_user_probes_a_fresh_volume_again_and_again(node: Node) -> None:
    assert node.end(node.start("provision")).ok
    result = node.end(node.start("mount"))
    assert result.ok, result.message
    assert result.direct
    assert result.records is not None
    assert (result.records.sequence_found, result.records.sequence_written) == (1, 2)
    node.umount()
    node.mount(node.image)
    assert node.written() == 3


def test_only_the_volume_and_the_termination_log_need_be_writable(node: Node) -> None:
    root = node.directory / "root"
    root.mkdir()
    node.log.touch()
    node.run("mount", "--rbind", "/", root)  # brings the volume along
    node.run("mount", "-o", "remount,bind,ro", root)
    node.run("mount", "--bind", node.log, f"{root}{node.log}")
    node.prefix = ("chroot", str(root))
    assert node.written() == 1


def test_a_shut_down_filesystem_is_an_io_error_until_it_is_mounted_again(node: Node) -> None:
    node.written()
    node.run("xfs_io", "-x", "-c", "shutdown", node.path)
    result = node.probe()
    assert result.outcome is Outcome.IO_ERROR
    assert "Input/output error (EIO)" in result.message
    assert node.end(node.start("provision")).outcome is Outcome.IO_ERROR
    node.umount()
    node.mount(node.image)
    assert node.written() >= 2


def test_a_filesystem_shut_down_in_mid_run_is_an_io_error_with_fios_words(node: Node) -> None:
    node.written()
    process = node.start("mount", "--fsync", "1", "--size", "64M", "--runtime", "20")
    wait_for_growth(node.path / ".pie/fio/job", 50 * MIB, node, process)
    node.run("xfs_io", "-x", "-c", "shutdown", node.path)
    result = node.end(process)
    assert result.outcome is Outcome.IO_ERROR
    assert "Input/output error" in result.message


def wait_for_growth(path: Path, size: int, node: Node, process: subprocess.Popen[str]) -> None:
    """Wait until fio has laid out its larger file."""
    while True:
        assert process.poll() is None
        seen = subprocess.run(node.inside("stat", "-c", "%s", path), check=True, capture_output=True)
        if int(seen.stdout) > size:
            return


def test_a_read_only_volume_is_read_only_until_it_is_writable_again(node: Node) -> None:
    node.written()
    node.run("mount", "-o", "remount,ro", node.path)
    result = node.probe()
    assert result.outcome is Outcome.READ_ONLY
    assert result.message.endswith("Read-only file system (EROFS)")
    node.run("mount", "-o", "remount,rw", node.path)
    assert node.written() == 2


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "used"])
def test_a_full_volume_has_no_space_until_there_is_room_again(node: Node, fresh: bool) -> None:
    before = 0 if fresh else node.written()
    fill = f"dd if=/dev/zero of={node.path}/full bs=64k; dd if=/dev/zero of={node.path}/last bs=4k"
    node.run(*AS_A_POD, "sh", "-c", f"({fill}) 2>&1 || :")
    result = node.probe()
    assert result.outcome is Outcome.NO_SPACE
    assert "No space left on device" in result.message
    if not fresh:
        assert result.records is not None
        assert result.records.sequence_written == before + 1, "the ring needs no new space"
    node.run("rm", "-f", node.path / "full", node.path / "last")
    assert node.written() == (1 if fresh else before + 2)


def test_a_volume_that_the_user_may_not_write_is_permission_denied(node: Node) -> None:
    node.run("chmod", "755", node.path)
    result = node.probe()
    assert (result.outcome, result.message) == (
        Outcome.PERMISSION_DENIED,
        f"making the directory {node.path}/.pie: Permission denied (EACCES)",
    )
    node.run("chmod", "2775", node.path)
    assert node.written() == 1


def test_bytes_changed_in_the_backing_file_are_corruption_until_they_are_restored(node: Node) -> None:
    node.written()
    node.written()
    node.umount()
    with node.image.open("r+b") as image:
        at = find(image.fileno(), MAGIC) + SECTOR_BYTES - 100
        good = os.pread(image.fileno(), 1, at)
        os.pwrite(image.fileno(), bytes([good[0] ^ 0x40]), at)
    node.mount(node.image)
    for _ in range(2):
        result = node.probe()
        assert result.outcome is Outcome.DATA_CORRUPTED
        assert "wrong checksum" in result.message
        assert result.records is not None
        assert (result.records.corrupted, result.records.sequence_written) == (1, None)
    node.umount()
    with node.image.open("r+b") as image:
        os.pwrite(image.fileno(), good, at)
    node.mount(node.image)
    assert node.written() == 3


def test_corruption_under_a_mounted_volume_is_seen_past_the_page_cache(node: Node) -> None:
    node.written()
    with node.image.open("r+b") as image:
        at = find(image.fileno(), MAGIC) + 200
        good = os.pread(image.fileno(), 1, at)
        os.pwrite(image.fileno(), bytes([good[0] ^ 1]), at)
        assert node.probe().outcome is Outcome.DATA_CORRUPTED
        os.pwrite(image.fileno(), good, at)
    assert node.written() == 2


def find(descriptor: int, wanted: bytes) -> int:
    """Find where bytes first lie in a sparse file, at the start of a sector."""
    with contextlib.suppress(OSError):  # ENXIO: no more content
        at = 0
        while True:
            at = os.lseek(descriptor, at, os.SEEK_DATA)
            block = os.pread(descriptor, MIB, at)
            for sector in range(0, len(block), SECTOR_BYTES):
                if block.startswith(wanted, sector):
                    return at + sector
            at += MIB
    raise AssertionError("the backing file holds no record")


def test_an_emptied_and_a_swapped_volume_have_another_identity_until_undone(node: Node) -> None:
    first = node.probe().records
    node.umount()
    other = node.directory / "other"
    node.mount(other)
    emptied = node.probe().records
    swapped = node.probe().records
    node.umount()
    node.mount(node.image)
    undone = node.probe().records
    assert first is not None
    assert emptied is not None
    assert swapped is not None
    assert undone is not None
    assert emptied.identity_found is None
    assert swapped.identity_found == emptied.identity_written != first.identity_written
    assert (undone.identity_found, undone.sequence_found) == (first.identity_written, 1)


def test_a_driver_that_mounts_nothing_is_a_missing_volume(node: Node) -> None:
    node.umount()
    result = node.probe()
    assert result.outcome is Outcome.VOLUME_MISSING
    nothing = node.directory / "volumes/kubernetes.io~csi/pvc-1/mount"
    nothing.mkdir(parents=True)
    node.run("mount", "--bind", nothing, node.path)
    result = node.probe()
    assert result.outcome is Outcome.VOLUME_MISSING
    assert "the CSI driver mounted nothing there" in result.message
    assert not list(nothing.iterdir())


def test_a_hung_run_that_was_told_to_stop_ends_at_the_thaw_and_the_next_works(node: Node) -> None:
    node.written()
    node.run("fsfreeze", "-f", node.path)
    process = node.start("mount")
    try:
        wait_for_hang(process)
        process.send_signal(signal.SIGTERM)
    finally:
        node.run("fsfreeze", "-u", node.path)
    assert process.wait(90) == 1
    assert decode(node.log.read_text()).outcome is Outcome.KILLED
    assert node.written() >= 2


def wait_for_hang(process: subprocess.Popen[str]) -> None:
    """Wait until the probe, or its fio, is in uninterruptible sleep, twice in a row."""
    seen = 0
    while seen < 50:
        assert process.poll() is None
        tree = subprocess.run(
            ["ps", "-o", "stat=", "--pid", str(process.pid), "--ppid", str(process.pid)],
            check=True,
            capture_output=True,
            text=True,
        )
        seen = seen + 1 if "D" in tree.stdout else 0


def test_a_disk_that_refuses_direct_io_of_such_small_blocks_is_used_without_it(node: Node) -> None:
    """Its sectors have 4,096 bytes: opening with O_DIRECT works, reading and writing 512 bytes does not."""
    node.umount()
    image = node.directory / "large-sectors"
    with image.open("wb") as file:
        file.truncate(SIZES[node.filesystem])
    argv = node.inside("losetup", "--find", "--show", "--sector-size", "4096", image)
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        node.run(f"mkfs.{node.filesystem}", "-q", device)
        node.run("mount", device, node.path)
        node.run("chmod", "2777", node.path)
        result = node.probe("--block-size", "512")
        assert (result.outcome, result.direct) == (Outcome.OK, False), result.message
        result = node.probe()
        assert (result.outcome, result.direct) == (Outcome.OK, True), result.message
    finally:
        node.run("losetup", "--detach", device)  # when it is no longer mounted


def test_without_direct_io_the_probe_says_so_and_works(node: Node) -> None:
    result = node.probe("--no-direct")
    assert (result.outcome, result.direct) == (Outcome.OK, False)
