"""What a testbed leaves on the machine while it runs."""

import contextlib
from pathlib import Path

_THAW = "percpu_rwsem_wait"
"""The kernel function in which writers to a frozen filesystem sleep."""


def is_there(directory: str) -> bool:
    """Say whether the testbed's directory exists."""
    return Path(directory).exists()


def processes_that_mention(directory: Path) -> list[str]:
    """Return the command lines of running processes with the directory in them."""
    return [command for command, _ in _processes() if str(directory) in command]


def waits_for_a_thaw(argument: str) -> bool:
    """Say whether a process with this text in its command line waits until a filesystem is thawed.

    Its state does not say that: a process that reads from a disk sleeps uninterruptibly for a moment, too.
    """
    return any(argument in command and _sleeps_in(process) == _THAW for command, process in _processes())


def _sleeps_in(process: Path) -> str:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        return (process / "wchan").read_text()
    return ""


def _processes() -> list[tuple[str, Path]]:
    """Return the command lines of all processes, and their directories."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found.append((command, process))
    return found
