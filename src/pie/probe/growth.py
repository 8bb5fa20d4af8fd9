"""A filesystem that is expanded while it is written: pie changes the PVC, and the probe waits for the growth.

All the time, records are written and read back, as an application would. At the end all of them are read.
"""

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pie.core.result import Outcome
from pie.probe.failure import Failure, doing
from pie.probe.records import Records
from pie.probe.volume import Volume

_MOST_OF_IT: Final = 0.8
"""Of what was asked for: journals, inodes and allocation groups take less than the other part."""
_EACH_SECONDS: Final = 1.0


def grow(
    volume: Volume,
    more_bytes: int,
    patience_seconds: float,
    *,
    asked_after_seconds: float = math.inf,
    size_of: Path | None = None,
    pause: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Write until the filesystem has so many more bytes; raises Failure if it has not in time.

    pie asks for them so long after the container started (`asked_after_seconds`): a probe that starts later
    cannot know how large the filesystem was. `size_of` is a file whose size stands for that of the
    filesystem, for demos.
    """
    root = size_of or volume.root
    records, before, give_up_at = Records(volume), size_bytes(root), now() + patience_seconds
    if (late := _seconds_since_start()) >= asked_after_seconds:
        raise Failure(
            Outcome.INTERNAL, f"the probe needed {late:.0f} s to start: the volume may have grown before"
        )
    newest = (found.newest if (found := records.read()) else None) or records.append(None)
    while (size := size_bytes(root)) < before + _MOST_OF_IT * more_bytes:
        if now() >= give_up_at:
            raise Failure(Outcome.NOT_EXPANDED, _why(before, size, patience_seconds))
        newest = records.append(newest)
        pause(_EACH_SECONDS)
    records.append(newest)


def size_bytes(path: Path) -> int:
    """Return the size of the filesystem of a directory, or the size of a file."""
    with doing(f"asking for the size of the filesystem at {path}"):
        if path.is_file():
            return path.stat().st_size
        found = os.statvfs(path)
    return found.f_blocks * (found.f_frsize or found.f_bsize)


def _why(before: int, size: int, patience_seconds: float) -> str:
    grew = "as before" if size == before else f"and had {before} before"
    return f"after {patience_seconds:g} s the filesystem has {size} bytes, {grew}"


def _seconds_since_start() -> float:
    """Return how long this process has run: proc_pid_stat(5); 0.0 where the system does not say it."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return 0.0
