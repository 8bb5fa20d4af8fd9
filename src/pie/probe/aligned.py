"""Reads and writes as O_DIRECT demands: from page-aligned memory, until all is done."""

import mmap
import os

BLOCK_BYTES = 512
"""The smallest piece of I/O around the page cache, and what offsets are multiples of."""


def read_at(descriptor: int, offset: int, length: int) -> bytes:
    """Read up to `length` bytes; less at the end of the file. Raises OSError."""
    with mmap.mmap(-1, length) as buffer:
        with memoryview(buffer) as view:
            done = 0
            while done < length:
                with view[done:] as rest:
                    count = os.preadv(descriptor, [rest], offset + done)
                done += count
                if count == 0 or count % BLOCK_BYTES:  # the end of the file
                    break
        return buffer[:done]


def write_at(descriptor: int, offset: int, content: bytes) -> None:
    """Write all of `content`. Raises OSError."""
    with mmap.mmap(-1, len(content)) as buffer:
        buffer.write(content)
        with memoryview(buffer) as view:
            done = 0
            while done < len(content):
                with view[done:] as rest:
                    done += os.pwritev(descriptor, [rest], offset + done)
