"""What a testbed leaves on the machine while it runs."""

import contextlib
from pathlib import Path


def is_there(directory: str) -> bool:
    """Say whether the testbed's directory exists."""
    return Path(directory).exists()


def processes_that_mention(directory: Path) -> list[str]:
    """Return the command lines of running processes with the directory in them."""
    return [command for command, _ in _commands_and_states() if str(directory) in command]


def sleeps_in_the_kernel(argument: str) -> bool:
    """Say whether a process with this text in its command line waits where no signal reaches it."""
    return any(argument in command and state == "D" for command, state in _commands_and_states())


def _commands_and_states() -> list[tuple[str, str]]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found.append((command, (process / "stat").read_text().rpartition(") ")[2][:1]))
    return found
