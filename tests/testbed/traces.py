"""What a testbed leaves on the machine while it runs."""

import contextlib
from pathlib import Path


def is_there(directory: str) -> bool:
    """Say whether the testbed's directory exists."""
    return Path(directory).exists()


def processes_that_mention(directory: Path) -> list[str]:
    """Return the command lines of running processes with the directory in them."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [command for command in found if str(directory) in command]
