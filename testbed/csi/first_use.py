"""Detects and holds the first opening of a file in a volume (fanotify).

The process that opens the file sleeps until the watch is closed: so a fault can begin before the first read.
"""

import asyncio
import ctypes
import os
import struct
from pathlib import Path

# linux/fanotify.h
FAN_CLOEXEC = 0x1
FAN_NONBLOCK = 0x2
FAN_CLASS_CONTENT = 0x4
FAN_MARK_ADD = 0x1
FAN_MARK_FILESYSTEM = 0x100
FAN_OPEN_PERM = 0x10000
AT_FDCWD = -100
EVENT = struct.Struct("=IBBHQii")
READ_BYTES = 4096


class FirstUse:
    """Watches one filesystem, wherever it is mounted. Directories do not count."""

    def __init__(self, mount: Path) -> None:
        """Begin to watch. OSError: it cannot be watched; that needs root and permission events."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._opened: list[int] = []
        self._descriptor = libc.fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK, os.O_RDONLY)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "fanotify_init")
        flags = FAN_MARK_ADD | FAN_MARK_FILESYSTEM
        mask = ctypes.c_uint64(FAN_OPEN_PERM)
        if libc.fanotify_mark(self._descriptor, flags, mask, AT_FDCWD, os.fsencode(mount)) < 0:
            number = ctypes.get_errno()
            os.close(self._descriptor)
            raise OSError(number, os.strerror(number), str(mount))

    async def wait(self) -> None:
        """Return when a process opens a file; it and others are held."""
        used = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._descriptor, used.set)
        try:
            await used.wait()
        finally:
            loop.remove_reader(self._descriptor)
        events = os.read(self._descriptor, READ_BYTES)
        while events:
            length_bytes, _, _, _, _, descriptor, _ = EVENT.unpack_from(events)
            self._opened.append(descriptor)
            events = events[length_bytes:]

    def close(self) -> None:
        """Stop watching, and release the processes that are held. It can be called twice."""
        for descriptor in (*self._opened, self._descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._opened, self._descriptor = [], -1
