"""Readiness probes: a thread asks each container that has one, since an answer may be held for a minute."""

import http.client
import socket
import threading
from dataclasses import dataclass, field
from typing import Final

from pie.embedded.kinds import Json

_ADDRESS: Final = "127.0.0.1"
_REFUSED: Final = "connection refused, or no answer"


def free_port() -> int:
    """Return a port that nothing listens on: all containers have the network of this machine."""
    with socket.create_server((_ADDRESS, 0)) as server:
        return int(server.getsockname()[1])


@dataclass(slots=True)
class Readiness:
    """What a container at a port answers to its readiness probe. `failures` counts the bad answers.

    `why` is what a kubelet says of the last bad one.
    """

    probe: Json
    port: int
    ready: bool = False
    failures: int = 0
    why: str = ""
    _closed: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        """Ask from now on."""
        threading.Thread(target=self._work, daemon=True).start()

    def close(self) -> None:
        """Ask no more."""
        self._closed.set()

    def _work(self) -> None:
        while not self._closed.wait(self.probe["periodSeconds"]):
            why = self._ask()
            if why and not self._closed.is_set():
                self.failures, self.why = self.failures + 1, f"Readiness probe failed: {why}"
            self.ready = not why

    def _ask(self) -> str:
        connection = http.client.HTTPConnection(_ADDRESS, self.port, timeout=self.probe["timeoutSeconds"])
        try:
            connection.request("GET", self.probe["httpGet"]["path"])
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return _REFUSED
        finally:
            connection.close()
        return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"  # noqa: PLR2004
