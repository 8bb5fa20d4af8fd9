"""One lock per volume: CSI calls and faults of the same volume wait for each other."""

import asyncio
from collections import defaultdict


class VolumeLocks:
    """The locks by volume id, created when first needed."""

    def __init__(self) -> None:
        """Begin with none."""
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def __getitem__(self, volume_id: str) -> asyncio.Lock:
        """Return the lock of a volume."""
        return self._locks[volume_id]
