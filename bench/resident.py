"""What one healthy resident pod does to its volume: operations and bytes a second, as the device counts them.

It runs the program of the pod on a filesystem of its own (ext4 in a file; root), lets it begin, and counts:

    python bench/resident.py [--seconds 600] [--write]

`--write` puts the figures into docs/probe.md. The audit log of a real cluster is read by
`tests/real/test_residents.py`: a healthy resident pod costs no API write.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "probe.md"
BEGIN, END = "<!-- bench/resident.py -->\n", "<!-- end -->\n"
_SECTOR_BYTES = 512
_BEGINS_SECONDS = 10.0


@dataclass(frozen=True)
class Counted:
    """The counters of a block device: requests, bytes, flushes; and the CPU of the process, seconds."""

    reads: float
    read_bytes: float
    writes: float
    written_bytes: float
    flushes: float
    cpu_seconds: float

    def each_second(self, before: "Counted", seconds: float) -> "Counted":
        """Return the differences by second."""
        values = (
            (getattr(self, name) - getattr(before, name)) / seconds for name in self.__dataclass_fields__
        )
        return Counted(*values)


def count(device: str, process: int) -> Counted:
    """Read the counters."""
    found = [int(each) for each in Path(f"/sys/block/{device}/stat").read_text().split()]
    used = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    cpu = (int(used[11]) + int(used[12])) / 100
    return Counted(found[0], found[2] * _SECTOR_BYTES, found[4], found[6] * _SECTOR_BYTES, found[15], cpu)


@contextmanager
def volume() -> Iterator[tuple[Path, str]]:
    """Yield where a new ext4 filesystem is mounted, and the name of its device."""
    with tempfile.TemporaryDirectory() as name:
        image, mount = Path(name) / "image", Path(name) / "mount"
        mount.mkdir()
        with image.open("wb") as file:
            file.truncate(100 * 2**20)
        _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
        device = _run("losetup", "--find", "--show", "--direct-io=on", str(image)).strip()
        try:
            _run("mount", device, str(mount))
            try:
                yield mount, device.removeprefix("/dev/")
            finally:
                _run("umount", str(mount))
        finally:
            _run("losetup", "--detach", device)


def measure(seconds: float) -> Counted:
    """Return what a resident probe does in a second."""
    with volume() as (mount, device):
        argv = [sys.executable, "-m", "pie", "probe", "resident", "--path", str(mount), "--port", "18111"]
        with subprocess.Popen(argv) as process:
            try:
                time.sleep(_BEGINS_SECONDS)
                before, began = count(device, process.pid), time.monotonic()
                time.sleep(seconds)
                return count(device, process.pid).each_second(before, time.monotonic() - began)
            finally:
                process.terminate()


def words(found: Counted, seconds: float) -> str:
    """Return the figures as they are in the docs."""
    a_day = found.written_bytes * 86_400 / 1e6
    return (
        f"Measured in {seconds / 60:.0f} min on ext4 (`bench/resident.py`): the device of a healthy resident"
        f" pod sees {found.reads:.2f} reads,\n{found.writes:.2f} writes and"
        f" {found.flushes:.2f} flushes a second,"
        f" {found.read_bytes / 1e3:.1f} kB/s read and {found.written_bytes / 1e3:.1f} kB/s written"
        f" ({a_day:.0f} MB a day, the journal included), and\nthe process uses"
        f" {found.cpu_seconds * 1000:.1f} ms of CPU a second.\n"
    )


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Measure, print, and write the page if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--write", action="store_true", help=f"write the figures into {PAGE.name}")
    given = parser.parse_args()
    found = words(measure(given.seconds), given.seconds)
    print(found)
    if given.write:
        head, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}{found}{END}{rest.split(END, 1)[1]}")


if __name__ == "__main__":
    main()
