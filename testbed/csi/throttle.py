"""A slow disk: the kernel limits the operations per second of this machine's pods on a device.

It uses the limits of the I/O cgroups, `blkio` of version 1 or `io` of version 2. They count for reads and
writes that go to the device at once (O_DIRECT, fsync), like those of a probe.
https://docs.kernel.org/admin-guide/cgroup-v2.html#io
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from testbed.cgroups import MOUNT

OPERATIONS_PER_SECOND: Final = 5
"""Few enough that each operation waits: the kernel grants them for a tenth of a second at a time."""
_SYSTEM: Final = "system"
"""The cgroup of a machine's own processes; the cgroups of its pods are beside it (see `testbed.machine`)."""


def slow_down(device: str) -> None:
    """Limit a device, `major:minor`, for each cgroup of the machine; OSError: no cgroup can be limited."""
    _limit(device, OPERATIONS_PER_SECOND)


def speed_up(device: str) -> None:
    """Remove the limit."""
    _limit(device, None)


def _limit(device: str, operations: int | None) -> None:
    settings = {
        "blkio.throttle.read_iops_device": f"{device} {operations or 0}",
        "blkio.throttle.write_iops_device": f"{device} {operations or 0}",
        "io.max": f"{device} riops={operations or 'max'} wiops={operations or 'max'}",
    }
    written = [_write(cgroup / file, text) for cgroup in _cgroups() for file, text in settings.items()]
    if operations and not any(written):
        raise OSError("no cgroup here limits I/O: the machine has neither blkio nor io")


def _write(file: Path, text: str) -> bool:
    with suppress(FileNotFoundError):  # another hierarchy, or the pod has just ended
        if file.exists():
            file.write_text(text)
            return True
    return False


def _cgroups() -> Iterator[Path]:
    """Yield the cgroups of this process's machine; outside a machine, its own."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in {"", "blkio"}:
            own = MOUNT / controllers / path.lstrip("/")
            yield own
            if own.name == _SYSTEM:
                yield own.parent
                yield from (below for below in own.parent.rglob("*") if below.is_dir())
