"""Bounds on what clients of a listener can make it hold: connections, time, bytes.

Without TLS a connection is a socket and some bytes until the headers of its first request are complete.
If there are too many, the one that waits for the longest time is closed.
"""

import asyncio
import resource
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from pie.serve.hosts import host_is_fit

QUEUE: Final = 4096
"""How many connections the kernel keeps for the listener to accept; it may allow fewer."""

_ACCEPTED_AT_ONCE: Final = 64
_SWEEP_SECONDS: Final = 1.0
_PART_OF_FILES: Final = 4
"""Of the files that the process may open, a listener uses at most one in so many for connections."""
_FEWEST: Final = 16
_READ_BYTES: Final = 16 * 1024
_ENDS: Final = (b"\r\n\r\n", b"\n\n")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a listener holds at most.

    `header_seconds`: until the headers of a request are complete. `request_bytes`: of one request, whole.
    `answer_seconds`: from the last request until the answer is read and the next request has begun.
    """

    connections: int = 256
    header_seconds: float = 10.0
    request_bytes: int = 64 * 1024
    answer_seconds: float = 120.0

    def here(self) -> "Bounds":
        """Return the bounds for this process, which may be allowed few files."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = self.connections if soft == resource.RLIM_INFINITY else soft // _PART_OF_FILES
        connections = min(self.connections, max(_FEWEST, most))
        return Bounds(connections, self.header_seconds, self.request_bytes, self.answer_seconds)


HEALTH: Final = Bounds(connections=64)
"""The kubelet asks for health, and hardly anybody else."""


class Connections:
    """The connections of one listener, and a middleware that knows which of them are being answered.

    A connection waits (for the headers of a request), is being answered, or is idle (after an answer).
    """

    def __init__(self, bounds: Bounds, context: Callable[[], ssl.SSLContext | None] = lambda: None) -> None:
        self.bounds = bounds
        self._context = context
        self.make: Callable[[], asyncio.Protocol] = asyncio.Protocol
        """Makes the server's protocol of a connection."""
        self.loop = asyncio.get_running_loop()
        self._listening: list[socket.socket] = []
        self._promoting: set[asyncio.Task[Any]] = set()
        self._all: dict[_Connection, None] = {}
        self._of_transport: dict[asyncio.BaseTransport, _Connection] = {}
        # Dicts keep their order: the first one waits, or is idle, for the longest time.
        self._waiting: dict[_Connection, float] = {}
        self._idle: dict[_Connection, float] = {}
        self._sweeping = self.loop.call_later(_SWEEP_SECONDS, self._sweep)

    def listen(self, each: socket.socket) -> None:
        """Accept the connections of a socket that is bound."""
        each.setblocking(False)
        each.listen(QUEUE)
        self._listening.append(each)
        self.loop.add_reader(each, self._accept, each)

    def close(self) -> None:
        """Accept no more, and close the connections that wait."""
        self._sweeping.cancel()
        for each in self._listening:
            self.loop.remove_reader(each)
            each.close()
        for connection in list(self._waiting):
            connection.abort()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, _address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no file is left
                self.loop.remove_reader(listening)
                self.loop.call_later(_SWEEP_SECONDS, self.loop.add_reader, listening, self._accept, listening)
                return
            accepted.setblocking(False)
            connection = _Connection(self)
            self._all[connection] = None
            self.waits(connection)
            if (context := self._context()) is None:
                connection.read(accepted)
            else:
                connection.handshake = self._give(connection, accepted, context)
            if len(self._all) > self.bounds.connections:
                only_this_waits = len(self._waiting) == 1 and self._idle
                next(iter(self._idle if only_this_waits else self._waiting)).abort()

    # What becomes of a connection.

    def waits(self, connection: "_Connection") -> None:
        """Note that a connection waits for the headers of a request."""
        self._idle.pop(connection, None)
        self._waiting.setdefault(connection, self.loop.time())

    def promote(self, connection: "_Connection", accepted: socket.socket) -> None:
        """Give a connection whose first headers are complete to the server."""
        self.rests(connection)
        self._give(connection, accepted, None)

    def _give(
        self, connection: "_Connection", accepted: socket.socket, context: ssl.SSLContext | None
    ) -> asyncio.Task[None]:
        promoting = self.loop.create_task(self._connect(connection, accepted, context))
        self._promoting.add(promoting)
        promoting.add_done_callback(self._promoting.discard)
        return promoting

    async def _connect(
        self, connection: "_Connection", accepted: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        try:
            await self.loop.connect_accepted_socket(lambda: connection, accepted, ssl=context)
        except OSError:  # the client left, speaks no TLS, or has no certificate that is wanted
            self.lost(connection, None)

    def knows(self, connection: "_Connection", transport: asyncio.BaseTransport) -> None:
        """Note the transport of a connection."""
        self._of_transport[transport] = connection

    def rests(self, connection: "_Connection") -> None:
        """Note that a connection has its answer, or begins to get it."""
        self._waiting.pop(connection, None)
        if connection in self._all:
            self._idle[connection] = self.loop.time()

    def is_idle(self, connection: "_Connection") -> bool:
        """Tell whether a connection has its answer and has not asked again."""
        return connection in self._idle

    def lost(self, connection: "_Connection", transport: asyncio.BaseTransport | None) -> None:
        """Forget a connection."""
        for each in (self._all, self._waiting, self._idle):
            each.pop(connection, None)
        if transport is not None:
            self._of_transport.pop(transport, None)

    def _sweep(self) -> None:
        now, bounds = self.loop.time(), self.bounds
        self._sweeping = self.loop.call_later(_SWEEP_SECONDS, self._sweep)
        for kept, seconds in ((self._waiting, bounds.header_seconds), (self._idle, bounds.answer_seconds)):
            for connection, since in list(kept.items()):
                if now - since < seconds:
                    break
                connection.abort()

    # The middleware.

    @property
    def middleware(self) -> Any:
        """Return the middleware that notes which connections are answered, and refuses foreign hosts."""

        @web.middleware
        async def bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
            transport = request.transport
            connection = self._of_transport.get(transport) if transport is not None else None
            if connection is not None:
                self._waiting.pop(connection, None)
                self._idle.pop(connection, None)
            try:
                if not host_is_fit(request):
                    text = "the Host header names another host: this is localhost\n"
                    return web.Response(status=421, text=text)
                return await handler(request)
            finally:
                if connection is not None:
                    connection.received = 0
                    self.rests(connection)

        return bounded


class _Connection(asyncio.Protocol):
    """One connection: a socket until its first headers are complete, then a protocol before the server's.

    With TLS it is a protocol from the handshake on.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._accepted: socket.socket | None = None
        self.handshake: asyncio.Task[None] | None = None
        self._early = bytearray()
        self._transport: asyncio.Transport | None = None
        self._behind: asyncio.Protocol | None = None
        self.received = 0

    def read(self, accepted: socket.socket) -> None:
        """Read from a socket until the headers of the first request are complete."""
        self._accepted = accepted
        self._connections.loop.add_reader(accepted, self._read, accepted)

    def abort(self) -> None:
        """Close it at once."""
        self._connections.lost(self, self._transport)
        if self._transport is not None:
            self._transport.abort()
        elif self.handshake is not None:
            self.handshake.cancel()
        elif (accepted := self._accepted) is not None:
            self._accepted = None
            self._connections.loop.remove_reader(accepted)
            accepted.close()

    def _read(self, accepted: socket.socket) -> None:
        """Read of the first request until its headers are complete."""
        try:
            data = accepted.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._early += data
        if not data or len(self._early) > self._connections.bounds.request_bytes:
            self.abort()
        elif any(end in self._early for end in _ENDS):
            self._accepted = None
            self._connections.loop.remove_reader(accepted)
            self._connections.promote(self, accepted)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand on the connection, and what was read of it."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.knows(self, transport)
        self._behind = self._connections.make()
        self._behind.connection_made(transport)
        early, self._early = bytes(self._early), bytearray()
        if early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        """Hand on what a client sends, as long as it is not too much for one request."""
        self.received += len(data)
        if self.received > self._connections.bounds.request_bytes:
            self.abort()
            return
        if self._connections.is_idle(self):
            self._connections.waits(self)
        if self._behind is not None:
            self._behind.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand on that a client sends no more."""
        return self._behind.eof_received() if self._behind is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._connections.lost(self, self._transport)
        if self._behind is not None:
            self._behind.connection_lost(exc)

    def pause_writing(self) -> None:
        """Hand on that a client reads too slowly."""
        if self._behind is not None:
            self._behind.pause_writing()

    def resume_writing(self) -> None:
        """Hand on that a client has read."""
        if self._behind is not None:
            self._behind.resume_writing()


async def listen(connections: Connections, host: str | None, port: int) -> int:
    """Listen on an address; return the port. A burst of connections waits in the kernel."""
    bound = await connections.loop.create_server(asyncio.Protocol, host, port, start_serving=False)
    for each in bound.sockets:
        connections.listen(socket.fromfd(each.fileno(), each.family, each.type))
    number: int = bound.sockets[0].getsockname()[1]
    bound.close()
    return number
