"""Where the bytes of a file lie on its device (FIEMAP of linux/fiemap.h)."""

import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FS_IOC_FIEMAP = 0xC020660B
FIEMAP_FLAG_SYNC = 0x1
FIEMAP_EXTENT_LAST = 0x1
FIEMAP_EXTENT_NOT_PLAIN = (
    0x2 | 0x4 | 0x8 | 0x100 | 0x200 | 0x800
)  # unknown, delayed, encoded, unaligned, inline, unwritten
HEADER = struct.Struct("=QQIIII")
EXTENT = struct.Struct("=QQQQQIIII")
EXTENTS_PER_CALL = 64


@dataclass(frozen=True, slots=True)
class Extent:
    """A run of a file's bytes, at an offset of the device (of the backing file, for a loop device)."""

    offset_bytes: int
    length_bytes: int


def extents(file: Path) -> Iterator[Extent]:
    """Write out the data of a file, and iterate over its written extents."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        start, last = 0, False
        while not last:
            answer = bytearray(HEADER.size + EXTENTS_PER_CALL * EXTENT.size)
            HEADER.pack_into(answer, 0, start, 2**63, FIEMAP_FLAG_SYNC, 0, EXTENTS_PER_CALL, 0)
            fcntl.ioctl(descriptor, FS_IOC_FIEMAP, answer)
            count = HEADER.unpack_from(answer)[3]
            last = count == 0
            for index in range(count):
                logical, physical, length, *_, flags, _, _, _ = EXTENT.unpack_from(
                    answer, HEADER.size + index * EXTENT.size
                )
                start, last = logical + length, bool(flags & FIEMAP_EXTENT_LAST)
                if not flags & FIEMAP_EXTENT_NOT_PLAIN:
                    yield Extent(physical, length)
    finally:
        os.close(descriptor)
