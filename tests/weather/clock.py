"""A wall clock that jumps, for one process: libfaketime stands between it and the C library.

The clocks that count since the boot stay as they are, as in a real jump.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_PACKAGE: Final = "libfaketime"


class Clock:
    """The clock of the process that is started with `environment`. `file` holds how far it is off."""

    def __init__(self, file: Path) -> None:
        """Begin with the right time."""
        self._file = file
        self.jump(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that give a process this clock."""
        listed = subprocess.run(["dpkg", "-L", _PACKAGE], check=True, capture_output=True, text=True).stdout
        (library,) = (path for path in listed.splitlines() if path.endswith("/libfaketime.so.1"))
        return {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def jump(self, offset_seconds: int) -> None:
        """Set how far the clock is ahead."""
        unnamed = self._file.with_suffix(".new")
        unnamed.write_text(f"{offset_seconds:+d}\n")
        unnamed.rename(self._file)
