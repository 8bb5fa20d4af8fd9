"""Notice when an application opens the first file of a volume (inotify)."""

import asyncio
import ctypes
import os
import struct
from pathlib import Path

# linux/inotify.h
IN_OPEN = 0x20
IN_CREATE = 0x100
IN_NONBLOCK = 0o4000
IN_CLOEXEC = 0o2000000
EVENT = struct.Struct("iIII")
READ_BYTES = 64 * 1024


class FirstUse:
    """Watches one directory from its construction on, so that no use is missed before `wait` is called."""

    def __init__(self, directory: Path) -> None:
        """OSError when the directory cannot be watched."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        if libc.inotify_add_watch(self._descriptor, os.fsencode(directory), IN_OPEN | IN_CREATE) < 0:
            number = ctypes.get_errno()
            os.close(self._descriptor)
            raise OSError(number, os.strerror(number), str(directory))

    async def wait(self) -> None:
        """Return when an entry of the directory is opened or created; the directory itself does not count."""
        used = asyncio.Event()

        def read() -> None:
            if _names_a_file(os.read(self._descriptor, READ_BYTES)):
                used.set()

        loop = asyncio.get_running_loop()
        loop.add_reader(self._descriptor, read)
        try:
            await used.wait()
        finally:
            loop.remove_reader(self._descriptor)

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)


def _names_a_file(events: bytes) -> bool:
    """Say whether an event is about an entry: those about the directory itself have no name."""
    offset = 0
    while offset < len(events):
        *_, name_bytes = EVENT.unpack_from(events, offset)
        if name_bytes:
            return True
        offset += EVENT.size
    return False
