"""The listening side of the API server: it can be slow, and it can be gone."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from pie.embedded.watch import Watches

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LIMIT_BYTES = 4 * 1024 * 1024


class Front:
    """Listens on loopback and passes requests on. `delay_seconds` is added to each of them."""

    def __init__(self, handler: Handler, watches: Watches, port: int) -> None:
        self._handler = handler
        self._watches = watches
        self._port = port
        self._runner: web.AppRunner | None = None
        self.delay_seconds = 0.0
        self.reachable = asyncio.Event()
        """Set while the API server listens; the actors stand still while it does not."""

    @property
    def address(self) -> str:
        """The server's URL."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen; on a port of our own choice the first time, and on the same one ever after."""
        app = web.Application(client_max_size=_LIMIT_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        listener = socket.create_server(("127.0.0.1", self._port), backlog=512, reuse_port=False)
        self._port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()
        self.reachable.set()

    async def stop(self) -> None:
        """Close the port and break off every request."""
        self.reachable.clear()
        self._watches.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        return await self._handler(request)
