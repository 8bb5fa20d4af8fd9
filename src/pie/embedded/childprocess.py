"""Runs pie so that it ends with whoever started it, and on a broken disk if asked to.

`python -m pie.embedded.childprocess [FAULT …] -- ARGUMENTS`. Each byte on standard input is the number of a
signal for pie; when it ends, as it does when whoever holds it is killed, pie is killed with all that it
started, in whichever session or process group.

With `io-error`, `full-volume` or `read-only` a seccomp filter makes the kernel answer what writes to a volume
with that error: a real one, without root and without a broken disk. With `slow`, what pie starts runs for a
part of the time only. Linux on x86-64 and arm64 has these; elsewhere, only pie is killed.
"""

import ctypes
import errno
import os
import platform
import runpy
import signal
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_ERRNO_OF: Final = {"io-error": errno.EIO, "full-volume": errno.ENOSPC, "read-only": errno.EROFS}
FAULTS: Final = frozenset(_ERRNO_OF) | {"slow"}
"""The disk faults that this module injects."""
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
_SECCOMP_MODE_FILTER, _ALLOW, _ERRNO = 2, 0x7FFF0000, 0x00050000
# Offsets in struct seccomp_data: nr, arch, args[2]. The instructions of BPF that are used.
_NUMBER, _ARCH, _FLAGS = 0, 4, 32
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
# The architecture, the number of openat, and those of pwrite64, fsync, fdatasync, pwritev and, to fail the
# reading of records as well, preadv. pread64 is not among them: the dynamic loader needs it.
_CALLS: Final = {
    "x86_64": (0xC000003E, 257, (18, 74, 75, 296, 295)),
    "aarch64": (0xC00000B7, 56, (68, 82, 83, 70, 69)),
}
# While the disk is slow, the processes that pie started run for a part of each turn only.
_TURN_SECONDS: Final = ((signal.SIGSTOP, 0.08), (signal.SIGCONT, 0.02))


def supported() -> bool:
    """Tell whether this machine can make system calls fail."""
    return sys.platform == "linux" and platform.machine() in _CALLS


def main(argv: list[str]) -> int:
    """Run `pie` with the arguments after `--`, and return its exit code as a shell does."""
    faults, arguments = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    pie = os.fork()
    if pie == 0:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for fault in _ERRNO_OF.keys() & faults:
            _refuse_calls(_ERRNO_OF[fault])
        sys.argv = ["pie", *arguments]
        runpy.run_module("pie", run_name="__main__", alter_sys=True)
    threading.Thread(target=_hold, args=[pie], daemon=True).start()
    if "slow" in faults:
        threading.Thread(target=_slow_down, args=[pie], daemon=True).start()
    code = os.waitstatus_to_exitcode(os.waitpid(pie, 0)[1])
    # Orphans come to the subreaper: some only when their parent is killed.
    while left := _children(os.getpid()):
        for child in left:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return code if code >= 0 else 128 - code


def _hold(pie: int) -> None:
    """Pass signals on to pie; kill it when standard input ends."""
    with suppress(ProcessLookupError):
        while numbers := os.read(0, 64):
            for number in numbers:
                os.kill(pie, number)
        os.kill(pie, signal.SIGKILL)


def _slow_down(pie: int) -> None:
    """Let the processes that pie started run for a part of the time only."""
    while True:
        for number, seconds in _TURN_SECONDS:
            below = _children(pie)
            for child in below:  # which grows meanwhile
                with suppress(ProcessLookupError):
                    os.kill(child, number)
                below += _children(child)
            time.sleep(seconds)


def _children(pid: int) -> list[int]:
    """Return the process IDs of a process's children; none where the system does not tell."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _refuse_calls(number: int) -> None:
    """Make the kernel refuse the system calls that write to volumes, for this process and its children."""
    arch, openat, calls = _CALLS[platform.machine()]
    refuse = (_RETURN, 0, 0, _ERRNO | number)
    code = [(_LOAD, 0, 0, _ARCH), (_JUMP_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _ALLOW), (_LOAD, 0, 0, _NUMBER)]
    if (
        number == errno.EROFS
    ):  # what would make a file is refused, as on a filesystem that is mounted read-only
        code += [(_JUMP_EQUAL, 0, 3, openat), (_LOAD, 0, 0, _FLAGS), (_JUMP_SET, 0, 1, os.O_CREAT), refuse]
    for call in {errno.EROFS: (), errno.ENOSPC: calls[:-1]}.get(number, calls):
        code += [(_JUMP_EQUAL, 0, 1, call), refuse]
    program = b"".join(struct.pack("<HBBI", *each) for each in [*code, (_RETURN, 0, 0, _ALLOW)])
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("<HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header, len(header)))


def _prctl(option: int, *arguments: object) -> None:
    if sys.platform == "linux":
        padded = [
            ctypes.c_ulong(each) if isinstance(each, int) else each for each in (*arguments, 0, 0, 0, 0)
        ]
        if ctypes.CDLL(None, use_errno=True).prctl(option, *padded[:4]) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
