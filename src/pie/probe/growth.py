"""A filesystem that is expanded while it is written: pie changes the PVC, and the probe waits for the growth.

All the time, records are written and read back, as an application would. At the end all of them are read.
"""

import os
import time
from collections.abc import Callable
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
    pause: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Write until the filesystem has so many more bytes; raises Failure if it has not in time."""
    records, before, give_up_at = Records(volume), size_bytes(volume), now() + patience_seconds
    newest = (found.newest if (found := records.read()) else None) or records.append(None)
    while (size := size_bytes(volume)) < before + _MOST_OF_IT * more_bytes:
        if now() >= give_up_at:
            raise Failure(Outcome.NOT_EXPANDED, _why(before, size, patience_seconds))
        newest = records.append(newest)
        pause(_EACH_SECONDS)
    records.append(newest)


def size_bytes(volume: Volume) -> int:
    """Return the size of the filesystem of a volume."""
    with doing(f"asking for the size of the filesystem at {volume.root}"):
        found = os.statvfs(volume.root)
    return found.f_blocks * (found.f_frsize or found.f_bsize)


def _why(before: int, size: int, patience_seconds: float) -> str:
    grew = "as before" if size == before else f"and had {before} before"
    return f"after {patience_seconds:g} s the filesystem has {size} bytes, {grew}"
