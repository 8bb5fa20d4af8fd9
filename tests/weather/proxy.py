"""What stands between pie and the API server: it delays, refuses, cuts and garbles, as a row wants it."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp
import yaml
from aiohttp import web

from testbed.kubeconfig import Kubeconfig
from tests.certificates import issue

GONE: Final = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
    b'"message":"too old resource version","reason":"Expired","code":410}}\n'
)
MALFORMED: Final = (
    b'{"type":"MODIFIED","object":{"kind":"Pod","metadata":{"name":17},"status":[]}}\n',
    b'{"type":"MODIFIED","object":null}\n',
    b'{"type":"BOOKMARK"}\n',
    b'{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x","labels":{"\\u001b[2J":null}}}}\n',
    b"not JSON\n",
    b"\n",
)
"""Lines that no API server sends in a watch."""

CA, TOKEN = "ca.crt", "token"
UNAUTHORIZED: Final = 401
OVERSIZED: Final = b'{"type":"MODIFIED","object":{"metadata":{"name":"' + b"x" * 40_000_000 + b'"}}}\n'
_HOP_BY_HOP: Final = frozenset({"connection", "content-length", "host", "transfer-encoding"})
_STATUS: Final = (
    '{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"hostile weather","code":{}}}'
)


@dataclass(frozen=True)
class Weather:
    """What happens to requests; the default is nothing."""

    delay_seconds: float = 0.0
    refused: float = 0.0
    """Share of requests that are answered with one of `statuses`."""
    statuses: tuple[int, ...] = (429, 500, 503)
    retry_after_seconds: int | None = 1
    watch_seconds: float | None = None
    """Each watch is cut after a random time up to this."""
    gone: bool = False
    """The first event of each watch that is cut is 410: its resource version is too old."""
    garbled: float = 0.0
    """Share of parts of a watch before which a line stands that no API server sends."""
    oversized: float = 0.0
    """Share of parts of a watch before which 40 MB without an end stand."""


FINE: Final = Weather()


class Proxy:
    """Serves an API server on loopback, as its administrator. `weather` may be changed at any time.

    Who goes through it needs the CA and the token of the files that its kubeconfig names.
    """

    def __init__(self, cluster_kubeconfig: Path, directory: Path, seed: int = 1) -> None:
        """`kubeconfig` is the file for who goes through the proxy."""
        self.weather = FINE
        self._directory = directory
        self.kubeconfig = directory / "proxy.kubeconfig"
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._rotations = 0
        self._issued = directory
        self._upstream = Kubeconfig.read(cluster_kubeconfig)
        self._random = random.Random(seed)  # noqa: S311  the same weather each time
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Begin to serve."""
        await self.rotate()
        self.publish()
        tls = ssl.create_default_context(cafile=self._upstream.certificate_authority)
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._upstream.token}"},
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            read_bufsize=2**20,
        )
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        host, port = self._runner.addresses[0][:2]
        self.kubeconfig.write_text(_kubeconfig(f"https://{host}:{port}", self._directory))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def rotate(self) -> None:
        """Show a certificate of another CA, and take another token only; cut all connections."""
        self._rotations += 1
        self._issued = self._directory / f"rotation-{self._rotations}"
        self._issued.mkdir()
        found = await asyncio.to_thread(issue, self._issued)
        self._tls.load_cert_chain(found.path("server.crt"), found.path("server.key"))
        for connection in (
            list(self._runner.server.connections) if self._runner and self._runner.server else []
        ):
            if connection.transport is not None:
                connection.transport.abort()

    def publish(self) -> None:
        """Write the files with the CA and the token that are valid now, as a kubelet does: by a rename."""
        for name, content in ((CA, (self._issued / "ca.crt").read_text()), (TOKEN, self._token)):
            unnamed = self._directory / f"{name}.new"
            unnamed.write_text(content)
            unnamed.rename(self._directory / name)

    @property
    def _token(self) -> str:
        return f"token-{self._rotations}"

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        weather = self.weather
        await asyncio.sleep(weather.delay_seconds * self._random.random() * 2)
        if self._random.random() < weather.refused:
            status = self._random.choice(weather.statuses)
            headers = (
                {}
                if weather.retry_after_seconds is None
                else {"Retry-After": str(weather.retry_after_seconds)}
            )
            return web.json_response(text=_STATUS.format(status), status=status, headers=headers)
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return web.json_response(text=_STATUS.format(UNAUTHORIZED), status=UNAUTHORIZED)
        assert self._session is not None
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP | {"authorization"}
        }
        try:
            async with self._session.request(
                request.method,
                self._upstream.server + request.raw_path,
                headers=headers,
                data=await request.read(),
            ) as answer:
                return await self._answered(request, answer)
        except aiohttp.ClientError:
            self._cut(request)
            return web.Response(status=502)

    async def _answered(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
        passed = web.StreamResponse(status=answer.status, headers=kept)
        await passed.prepare(request)
        watch = bool(request.query.get("watch"))
        parts = self._watched(answer) if watch else aiter(answer.content.iter_any())
        async for part in parts:
            await passed.write(part)
        if watch and self.weather.watch_seconds is not None and not self.weather.gone:
            self._cut(request)
        await passed.write_eof()
        return passed

    async def _watched(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """Yield a watch line by line, with what the weather adds, until the weather ends it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        share = self._random.random()
        line: asyncio.Task[bytes] | None = None
        try:
            while True:
                weather = self.weather
                if weather.watch_seconds is not None and loop.time() > began + share * weather.watch_seconds:
                    if weather.gone:
                        yield GONE
                    return
                if self._random.random() < weather.garbled:
                    yield self._random.choice(MALFORMED)
                if self._random.random() < weather.oversized:
                    yield OVERSIZED
                line = line or asyncio.ensure_future(answer.content.readline())
                done, _ = await asyncio.wait({line}, timeout=0.2)
                if done:
                    found, line = line.result(), None
                    if not found:
                        return
                    yield found
        finally:
            if line is not None:
                line.cancel()

    @staticmethod
    def _cut(request: web.Request) -> None:
        """Cut the connection in the middle of an answer."""
        if request.transport is not None:
            request.transport.abort()


def _kubeconfig(server: str, directory: Path) -> str:
    cluster = {"server": server, "certificate-authority": str(directory / CA)}
    context = {"cluster": "proxy", "user": "user", "namespace": "default"}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": cluster}],
            "users": [{"name": "user", "user": {"tokenFile": str(directory / TOKEN)}}],
            "contexts": [{"name": "proxy", "context": context}],
            "current-context": "proxy",
        }
    )
