"""A scripted API server on loopback: it answers the n-th request with the n-th step, and keeps what came."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import msgspec
from aiohttp import web

from pie.kube.config import ClusterConfig

Step = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """A request that came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float


class Drop:
    """A part of a stream: the connection breaks here, without an end."""


class Hang:
    """A part of a stream: silence from here on, with the connection open."""


class ScriptedServer:
    """An HTTP server that follows a script. After its end it answers nothing, and keeps the line open."""

    def __init__(self, *steps: Step, tls: Any = None) -> None:
        self.requests: list[Seen] = []
        self._steps = list(steps)
        self._tls = tls
        self._closing = asyncio.Event()
        self._port = 0

    def then(self, *steps: Step) -> None:
        """Add to the script."""
        self._steps += steps

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def config(self) -> ClusterConfig:
        return ClusterConfig(server=self.url)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        now = asyncio.get_running_loop().time()
        body = await request.read()
        self.requests.append(
            Seen(request.method, request.path, dict(request.query), request.headers, body, now)
        )
        if not self._steps:
            await self._closing.wait()
            return web.Response()
        return await self._steps.pop(0)(request)

    def stream(self, *parts: bytes | type[Drop] | type[Hang] | Callable[[], Awaitable[object]]) -> Step:
        """Make a step that sends these parts as separate chunks; without Drop or Hang it ends cleanly."""

        async def step(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            response.enable_chunked_encoding()
            await response.prepare(request)
            for part in parts:
                if isinstance(part, bytes):
                    await response.write(part)
                elif part is Drop:
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                elif part is Hang:
                    await self._closing.wait()
                    return response
                else:
                    await cast(Callable[[], Awaitable[object]], part)()
            await response.write_eof()
            return response

        return step


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Step:
    """Make a step that answers with JSON, or with bytes as they are."""

    async def step(_request: web.Request) -> web.StreamResponse:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return web.Response(body=content, status=status, headers=headers)

    return step


def failure(status: int, reason: str, message: str = "no", headers: Mapping[str, str] | None = None) -> Step:
    """Make a step that answers with a Status object."""
    return answer(
        {"kind": "Status", "code": status, "reason": reason, "message": message},
        status=status,
        headers=headers,
    )


def pod(name: str, version: int, *, uid: str = "", padding: int = 0) -> dict[str, Any]:
    """Make a pod as the API server sends it."""
    metadata = {"name": name, "namespace": "ns", "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {
        "metadata": metadata,
        "spec": {"nodeName": "n", "unknown": "x" * padding},
        "status": {"phase": "Running"},
    }


def event(kind: str, item: dict[str, Any]) -> bytes:
    """One line of a watch."""
    return msgspec.json.encode({"type": kind, "object": item}) + b"\n"


def bookmark(version: int, *, ends: bool = False) -> bytes:
    """Make a bookmark; `ends` marks the end of the initial events."""
    metadata: dict[str, Any] = {"resourceVersion": str(version)}
    if ends:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return event("BOOKMARK", {"kind": "Pod", "metadata": metadata})


def error_event(code: int, reason: str) -> bytes:
    """Make an ERROR event."""
    return event("ERROR", {"kind": "Status", "code": code, "reason": reason, "message": "no"})


def page(items: list[dict[str, Any]], version: int, continue_: str = "") -> dict[str, Any]:
    """One page of a list."""
    return {"metadata": {"resourceVersion": str(version), "continue": continue_}, "items": items}


async def eventually(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait until a condition holds, and fail in words where it never does."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  this way any condition can be waited for
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None
