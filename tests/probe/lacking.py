"""Runs a program on a kernel that refuses some system calls, or never answers, as network filesystems do.

    python -m tests.probe.lacking flock=ENOLCK directory=EINVAL -- PROGRAM ARGUMENT...

A seccomp filter of the kernel does it, so the program and its children meet real errors of real calls.
`directory` is an open of a directory to fsync it; `silence` in place of an error: the call never returns.
"""

import ctypes
import errno
import os
import struct
import sys

CALLS = {"flock": 73, "fallocate": 285, "rename": 82, "chmod": 90, "fchmod": 91, "link": 86, "fadvise64": 221}
"""Numbers on x86_64."""
OPENAT = 257

LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERROR, NOTIFY = 0x7FFF0000, 0x00050000, 0x7FC00000
NUMBER_AT, FLAGS_AT = 0, 32
NO_NEW_PRIVILEGES = 38
SECCOMP, SET_FILTER, NEW_LISTENER = 317, 1, 8


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def rule(call: str, answer: str) -> bytes:
    end = instruction(RETURN, NOTIFY if answer == "silence" else ERROR | getattr(errno, answer))
    if call == "directory":
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        inner = (
            instruction(LOAD, FLAGS_AT),
            instruction(JUMP_IF_EQUAL, flags, 0, 1),
            end,
            instruction(LOAD, NUMBER_AT),
        )
        return instruction(JUMP_IF_EQUAL, OPENAT, 0, len(inner)) + b"".join(inner)
    return instruction(JUMP_IF_EQUAL, CALLS[call], 0, 1) + end


def refuse(rules: list[str]) -> None:
    """Have the kernel answer so from now on. Silent calls wait for an answer that nobody gives."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = instruction(LOAD, NUMBER_AT)
    code += b"".join(rule(*each.split("=")) for each in rules) + instruction(RETURN, ALLOW)
    held = ctypes.create_string_buffer(code)
    program = Program(len(code) // 8, ctypes.addressof(held))
    silent = any(each.endswith("=silence") for each in rules)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener = libc.syscall(SECCOMP, SET_FILTER, NEW_LISTENER if silent else 0, ctypes.byref(program))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    if silent:
        os.set_inheritable(listener, True)


if __name__ == "__main__":
    split = sys.argv.index("--")
    refuse(sys.argv[1:split])
    os.execv(sys.argv[split + 1], sys.argv[split + 1 :])  # noqa: S606  the program is the test's own
