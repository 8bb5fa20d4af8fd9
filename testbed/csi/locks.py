"""One lock per volume: CSI calls and faults of a volume take turns, those of different volumes do not."""

import asyncio
from collections import defaultdict


class VolumeLocks:
    """The locks by volume id, made when first asked for."""

    def __init__(self) -> None:
        """Begin with none."""
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def __getitem__(self, volume_id: str) -> asyncio.Lock:
        """Return the lock of a volume."""
        return self._locks[volume_id]
