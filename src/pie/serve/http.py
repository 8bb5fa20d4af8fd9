"""The HTTP servers: `/metrics`, API and page on one address, `/healthz` and `/readyz` on another."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from pie.serve.api import Api
from pie.serve.bounds import Bounds, Connections, listen
from pie.serve.door import Door
from pie.serve.page import add_page
from pie.serve.series import TargetSeries
from pie.serve.webfile import Serving, WebFile

RENDER_SECONDS = 1.0
"""So long all scrapers get the text that one of them caused: many of them cost no more than one."""

_TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


def parse_address(address: str) -> tuple[str | None, int]:
    """Return host (None: all) and port of a Go style bind address such as `:8080` or `127.0.0.1:0`.

    Raises ValueError for anything else.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004  the last TCP port
        raise ValueError(f"{address!r} is not an address; write :8080 or 127.0.0.1:8080")
    return host.strip("[]") or None, int(port)


class Exposition:
    """The text of `/metrics`, rendered at most once in RENDER_SECONDS."""

    def __init__(
        self, registry: CollectorRegistry, series: TargetSeries, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._series = series
        self._now = now
        self._text = b""
        self._rendered_at: float | None = None

    def read(self) -> tuple[bytes, float | None]:
        """Return the text, and how many seconds its rendering took; None: it was rendered for another one."""
        began = self._now()
        if self._rendered_at is not None and began < self._rendered_at + RENDER_SECONDS:
            return self._text, None
        self._text = generate_latest(self._registry) + self._series.render()
        self._rendered_at = began
        return self._text, self._now() - began


def metrics_app(registry: CollectorRegistry, series: TargetSeries, api: Api) -> web.Application:
    """Return the application that serves `/metrics`, the API and the page."""
    exposition = Exposition(registry, series)

    async def metrics(_request: web.Request) -> web.Response:
        text, seconds = exposition.read()
        timing = "cache" if seconds is None else f"render;dur={1000 * seconds:.1f}"
        return web.Response(body=text, headers={"Content-Type": _TEXT_FORMAT, "Server-Timing": timing})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    api.add_to(app)
    add_page(app)
    return app


def health_app(ready: Callable[[], str]) -> web.Application:
    """Return the application that serves `/healthz` and `/readyz`; `ready` says what is missing, or ""."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        missing = ready()
        return web.Response(text=f"{missing or 'ok'}\n", status=503 if missing else 200)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


@asynccontextmanager
async def serving(
    app: web.Application, address: str, bounds: Bounds | None = None, web_file: WebFile | None = None
) -> AsyncIterator[int]:
    """Serve an application on an address while the context lasts; yields the port that was bound.

    It holds no more than `bounds` say, whatever clients do. A web config file says who may ask, and how.
    """
    host, port = parse_address(address)
    how = web_file.serving if web_file is not None else Serving
    connections = Connections((bounds or Bounds()).here(), lambda: how().context)
    if web_file is not None:
        door = Door(how)
        app.middlewares.insert(0, door.middleware)
        app.on_response_prepare.append(door.add_headers)
    app.middlewares.insert(0, connections.middleware)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        connections.make = runner.server or connections.make
        yield await listen(connections, host, port)
    finally:
        connections.close()
        await runner.cleanup()
