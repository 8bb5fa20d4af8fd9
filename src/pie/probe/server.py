"""The HTTP server of a resident probe: GET only, a few threads, small requests, one connection each.

It does no I/O on the volume and writes no log, so it answers whatever becomes of the volume.
"""

import socket
import threading
import time
from http import HTTPStatus
from typing import Final

from pie.core.resident.codes import QUESTION
from pie.probe.standing import Standing

WORKERS: Final = 8
HELD: Final = 6
"""So many questions are held at a time; others are answered at once."""
PATIENCE_SECONDS: Final = 2.0
"""So long a client has for its request."""
MOST_BYTES: Final = 8192

_REFUSED_SECONDS: Final = 0.5


class Server:
    """Answers the kubelet at `/ready`, whoever asks at `/status`, and scrapers at `/metrics`."""

    def __init__(self, standing: Standing, port: int) -> None:
        """Listen, on IPv6 too where the node has it; port 0 is any."""
        self._standing = standing
        self._room = threading.BoundedSemaphore(HELD)
        dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual else socket.AF_INET
        self._socket = socket.create_server(
            ("", port), family=family, dualstack_ipv6=dual, backlog=WORKERS, reuse_port=False
        )
        self.port: int = self._socket.getsockname()[1]

    def start(self) -> None:
        """Answer from now on, until the process ends."""
        for _ in range(WORKERS):
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # The node lacks memory or file descriptors for a moment.
                time.sleep(_REFUSED_SECONDS)
                continue
            with connection:
                try:
                    self._serve(connection)
                except OSError:  # The client went away.
                    continue

    def _serve(self, connection: socket.socket) -> None:
        request = _read(connection)
        status, content = self._answer(request)
        connection.settimeout(PATIENCE_SECONDS)
        connection.sendall(_response(status, content))
        connection.shutdown(socket.SHUT_WR)

    def _answer(self, request: bytes | None) -> tuple[int, str]:
        words = request.split(b"\r\n", 1)[0].split(b" ") if request is not None else []
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):  # noqa: PLR2004  method, path, version
            return HTTPStatus.BAD_REQUEST, ""
        if words[0] != b"GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, ""
        match words[1].split(b"?", 1)[0].decode("ascii", "replace"):
            case "/metrics":
                return HTTPStatus.OK, self._standing.metrics()
            case "/status":
                return self._now()
            case path if path == QUESTION:
                return self._held()
        return HTTPStatus.NOT_FOUND, ""

    def _held(self) -> tuple[int, str]:
        if not self._room.acquire(blocking=False):
            return self._now()
        try:
            code = self._standing.answer()
        finally:
            self._room.release()
        return code, code.name

    def _now(self) -> tuple[int, str]:
        code = self._standing.now()
        return (code, code.name) if code is not None else (HTTPStatus.SERVICE_UNAVAILABLE, "NOT_KNOWN_YET")


def _read(connection: socket.socket) -> bytes | None:
    """Return the head of a request; None: it is too long, or did not come in time."""
    request, until = b"", time.monotonic() + PATIENCE_SECONDS
    while b"\r\n\r\n" not in request:
        left = until - time.monotonic()
        if left <= 0 or len(request) > MOST_BYTES:
            return None
        connection.settimeout(left)
        more = connection.recv(MOST_BYTES)
        if not more:
            return None
        request += more
    return request


def _response(status: int, content: str) -> bytes:
    known = {each.value for each in HTTPStatus}
    phrase = HTTPStatus(status).phrase if status in known else ""
    body = f"{content}\n".encode() if content and not content.endswith("\n") else content.encode()
    head = (
        f"HTTP/1.1 {int(status)} {phrase}",
        "Content-Type: text/plain; version=0.0.4",
        f"Content-Length: {len(body)}",
        *(("Allow: GET",) if status == HTTPStatus.METHOD_NOT_ALLOWED else ()),
        "Connection: close",
    )
    return "\r\n".join([*head, "", ""]).encode() + body
