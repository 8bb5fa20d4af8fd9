"""One request over the wire: connection pool, credentials, errors, metrics. `Client` builds on it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import SimpleNamespace
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from pie import __version__
from pie.kube.auth import Access, Credentials
from pie.kube.clock import ServerClock, date_seconds
from pie.kube.config import ClusterConfig
from pie.kube.errors import ApiError, Silent, Unreachable, api_error
from pie.kube.metrics import METHODS, KubeMetrics
from pie.kube.resources import Resource

_CONTENT_TYPES: Final = {"apply": "application/apply-patch+yaml", "patch": "application/merge-patch+json"}
_WRITES: Final = frozenset({"create", "apply", "patch", "delete"})
_CONNECT_SECONDS: Final = 10.0
_MAX_RETRY_AFTER_SECONDS: Final = 60.0

Chunks = AsyncIterator[bytes]


class Request(msgspec.Struct, frozen=True):
    """What is asked of the API server. `verb` is one of `METHODS`; None in a query leaves the parameter out.

    `label` names the object for people where the path does not (create).
    """

    verb: str
    resource: Resource
    namespace: str | None = None
    name: str | None = None
    subresource: str | None = None
    query: Mapping[str, str | None] = {}
    body: bytes | None = None
    label: str = ""

    def __str__(self) -> str:
        """Return a description of the request for error messages: `delete pods pie/mount-x`."""
        return (
            f"{self.verb} {self.resource.describe(self.namespace, self.name or self.label, self.subresource)}"
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer, and the time from sending to the last byte.

    `date_seconds` is its `Date`, epoch seconds on the clock of the API server that answered, if it has one.
    """

    body: bytes
    took_seconds: float
    date_seconds: float | None = None


@dataclass(slots=True)
class _Call:
    """A request on its way, for the trace hooks; `error` is why it was refused."""

    request: Request
    error: Exception | None = None


class Transport:
    """Sends requests one by one; knows nothing of retries except the one after a 401."""

    def __init__(
        self,
        config: ClusterConfig,
        *,
        clock: ServerClock,
        metrics: KubeMetrics,
        before_write: Callable[[], None] | None,
        timeout_seconds: float,
    ) -> None:
        self._config = config
        self._host = urlsplit(config.server).netloc.rpartition("@")[2]
        self._shown = urlsplit(config.server)._replace(netloc=self._host).geturl()  # no password
        self._credentials = Credentials(config)
        self._clock = clock
        self._metrics = metrics
        self._before_write = before_write
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=_CONNECT_SECONDS)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Create the connection pool. The environment is not read again: the config has the proxy."""
        tracing = aiohttp.TraceConfig()
        # Both are called right before the bytes go out on a connection that is there, however long that took.
        tracing.on_request_headers_sent.append(self._check_write)
        tracing.on_request_chunk_sent.append(self._check_write)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # watches hold connections; pacing bounds the writes
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[tracing],
            headers={
                "User-Agent": f"pie/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
            timeout=self._timeout,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def send(self, request: Request) -> Answer:
        """Send a request and read its answer. Raises ApiError, Unreachable, or as `before_write`."""
        started = self._clock.monotonic()
        async with self._exchange(request, self._timeout) as response:
            body = await response.read()
            date = date_seconds(response.headers.get("Date"))
        took = self._clock.monotonic() - started
        self._metrics.duration.labels(request.verb, request.resource.plural).observe(took)
        return Answer(body, took, date)

    @asynccontextmanager
    async def watch(
        self, request: Request, *, inactivity_seconds: float, total_seconds: float
    ) -> AsyncIterator[Chunks]:
        """Send a request and yield its answer in chunks; close a connection that is silent for too long."""
        timeout = aiohttp.ClientTimeout(
            total=total_seconds, sock_connect=_CONNECT_SECONDS, sock_read=inactivity_seconds
        )
        async with self._exchange(request, timeout) as response:
            yield response.content.iter_any()

    @asynccontextmanager
    async def _exchange(
        self, request: Request, timeout: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield a successful response to the request; raise one of our errors for every other one."""
        code = "error"
        series = self._metrics.requests_of(request.verb, request.resource.plural, self._host)
        call = _Call(request)
        try:
            response = await self._authorized(request, timeout, call)
            code = str(response.status)
            async with response:
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise await _failure(request, response)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if call.error is not None:
                raise call.error from None
            code = "error"
            words = str(error) or ("timed out" if isinstance(error, TimeoutError) else type(error).__name__)
            silent = request.verb == "watch" and isinstance(error, aiohttp.SocketTimeoutError)
            kind = Silent if silent else Unreachable
            raise kind(f"cannot {request}: {self._shown}: {words}") from error
        finally:
            series.count(code)

    async def _authorized(
        self, request: Request, timeout: aiohttp.ClientTimeout, call: _Call
    ) -> aiohttp.ClientResponse:
        """Send with the current credentials, and once more with new ones if the server answers 401."""
        access = await self._credentials.current()
        response = await self._send_once(request, access, timeout, call)
        if response.status != HTTPStatus.UNAUTHORIZED or not self._credentials.reject(access):
            return response
        response.release()
        return await self._send_once(request, await self._credentials.current(), timeout, call)

    async def _send_once(
        self, request: Request, access: Access, timeout: aiohttp.ClientTimeout, call: _Call
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("the client is not open; use it as `async with Client(...)`")
        headers = CIMultiDict(access.headers)
        if request.body is not None:
            headers["Content-Type"] = _CONTENT_TYPES.get(request.verb, "application/json")
        path = request.resource.path(request.namespace, request.name, request.subresource)
        query = {key: value for key, value in request.query.items() if value is not None}
        sent_at = self._clock.monotonic()
        response = await self._session.request(
            METHODS[request.verb],
            URL(self._config.server.rstrip("/") + path, encoded=True).with_query(query),
            data=request.body,
            headers=headers,
            timeout=timeout,
            ssl=access.context or True,
            server_hostname=self._config.tls_server_name or None,
            proxy=self._config.proxy_url,
            allow_redirects=False,
            trace_request_ctx=call,
        )
        self._clock.observe(response.headers.get("Date"), sent_at)
        return response

    async def _check_write(
        self, _session: aiohttp.ClientSession, context: SimpleNamespace, _params: object
    ) -> None:
        """Call `before_write` immediately before the bytes are sent."""
        call: _Call = context.trace_request_ctx
        if self._before_write is None or call.request.verb not in _WRITES:
            return
        try:
            self._before_write()
        except Exception as error:
            call.error = error  # aiohttp would wrap it
            raise


async def _failure(request: Request, response: aiohttp.ClientResponse) -> ApiError:
    body = await response.read()
    return api_error(str(request), response.status, body, retry_after_seconds=_retry_after(response))


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return Retry-After in seconds, bounded; the API server never sends a date there."""
    header = response.headers.get("Retry-After", "")
    return min(float(header), _MAX_RETRY_AFTER_SECONDS) if header.isdecimal() else None
