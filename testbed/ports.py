"""Ports and subnets, different for each testbed on a machine."""

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed.errors import TestbedError

SLOTS = 200
PORTS_PER_SLOT = 60
# Below the range of local ports for outgoing connections (32768 and up): such a port could be taken between
# the check that it is free and the moment at which a process listens on it.
FIRST_PORT = 20000


class Slot:
    """One of a fixed number of places for testbeds on this machine; it is free again after `close`.

    `number` (0 to 199) is unique among the testbeds that run: use it for what they share, such as subnets.
    """

    def __init__(self) -> None:
        """Take the first place that is free."""
        directory = Path(tempfile.gettempdir()) / "pie-testbed-slots"
        directory.mkdir(exist_ok=True)
        for number in range(SLOTS):
            lock = os.open(directory / str(number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            self.number = number
            self._lock = lock
            self._next_port = FIRST_PORT + number * PORTS_PER_SLOT
            return
        raise TestbedError(f"{SLOTS} testbeds run already on this machine; see `python -m testbed list`")

    def __enter__(self) -> Self:
        """Nothing more to take."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the place."""
        os.close(self._lock)

    def port(self) -> int:
        """Return a port that is free, and that no other testbed gets."""
        end = FIRST_PORT + (self.number + 1) * PORTS_PER_SLOT
        while self._next_port < end:
            port = self._next_port
            self._next_port += 1
            if _is_free(port):
                return port
        raise TestbedError(f"this testbed has used up its {PORTS_PER_SLOT} ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
