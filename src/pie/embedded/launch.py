"""Runs pie so that it dies with its parent and, if asked to, fails to write: `launch [ERRNO] -- ARGUMENTS`.

With EIO, ENOSPC or EROFS a seccomp filter makes the kernel answer the system calls that write to a volume
with that error, for pie and all it starts. The error is so a real one, from the kernel, without root
and without a disk that is broken. Only Linux on x86-64 and arm64 has it.
"""

import ctypes
import errno
import os
import platform
import runpy
import signal
import struct
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
# Offsets in struct seccomp_data: nr, arch, instruction_pointer, args[6].
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_O_CREAT: Final = 0o100

# System call numbers: openat, then those that write at an offset, sync, and read as the probe reads its
# records. pread64 is not among them: the dynamic loader needs it.
_CALLS: Final = {
    "x86_64": (
        0xC000003E,
        257,
        {"pwrite64": 18, "fsync": 74, "fdatasync": 75, "preadv": 295, "pwritev": 296},
    ),
    "aarch64": (0xC00000B7, 56, {"pwrite64": 68, "fsync": 82, "fdatasync": 83, "preadv": 69, "pwritev": 70}),
}
ERRORS: Final = ("EIO", "ENOSPC", "EROFS")


def supported() -> bool:
    """Tell whether this machine can make system calls fail."""
    return sys.platform == "linux" and platform.machine() in _CALLS


def _program(name: str) -> bytes:
    """Return the filter, a BPF program, for an error."""
    arch, openat, calls = _CALLS[platform.machine()]
    refuse = _ERRNO | getattr(errno, name)
    code = [(_LOAD, 0, 0, _ARCH), (_JUMP_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _NUMBER)]
    if name == "EROFS":
        # What would make a file is refused, as on a filesystem that is mounted read-only.
        flags = _ARGUMENTS + 2 * 8
        code += [(_JUMP_EQUAL, 0, 3, openat), (_LOAD, 0, 0, flags), (_JUMP_SET, 0, 1, _O_CREAT)]
        code += [(_RETURN, 0, 0, refuse)]
    else:
        writes = [number for call, number in calls.items() if name == "EIO" or call != "preadv"]
        for number in writes:
            code += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    code += [(_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _refuse_writes(libc: ctypes.CDLL, name: str) -> None:
    program = _program(name)
    buffer = ctypes.create_string_buffer(program, len(program))
    filters = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    header = ctypes.create_string_buffer(filters, len(filters))
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    _prctl(libc, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header))


def _prctl(libc: ctypes.CDLL, option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(each) for each in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *padded) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def main(argv: list[str]) -> None:
    """Be `pie` with the arguments after `--`, in this process: another start would cost as much again."""
    split = argv.index("--")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        _prctl(libc, _PR_SET_PDEATHSIG, signal.SIGKILL)
        for name in argv[:split]:
            _refuse_writes(libc, name)
    sys.argv = ["pie", *argv[split + 1 :]]
    runpy.run_module("pie", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
