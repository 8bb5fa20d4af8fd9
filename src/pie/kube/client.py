"""The client: typed requests to the API server over aiohttp, decoded by msgspec.

A GET is tried again, a bounded number of times, when the server was not reached or said it was busy. A
write is sent again only after 429 and 401, where the server did nothing with it: callers are level-based
and come back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, Literal, Self, TypeVar

import msgspec
from prometheus_client import CollectorRegistry

from pie.core.decode import Unreadable, convert, decode, decode_clean
from pie.kube.backoff import Backoff
from pie.kube.clock import ServerClock
from pie.kube.config import ClusterConfig
from pie.kube.errors import (
    ApiError,
    Forbidden,
    KubeError,
    NotFound,
    ServerError,
    TooManyRequests,
    Undecodable,
    Unreachable,
)
from pie.kube.metrics import KubeMetrics
from pie.kube.pacing import Pacer
from pie.kube.refusals import Refusals
from pie.kube.resources import Resource
from pie.kube.strain import Strain
from pie.kube.transport import Answer, Chunks, Request, Transport
from pie.kube.watchstream import Skipped, skipped

FIELD_MANAGER: Final = "pie"
"""The one field manager of server-side apply."""

RETRY: Final = Backoff(base_seconds=0.2, cap_seconds=5.0)
"""Waiting between the tries of one request."""

_NO_LIMIT: Final = 1_000_000
"""So many requests per second that nothing is ever delayed."""

T = TypeVar("T")


class Dated(msgspec.Struct, Generic[T]):
    """An object, and the time at which the API server answered, by the server's own clock."""

    item: T
    answered_seconds: float


class Page(msgspec.Struct, Generic[T]):
    """One page of a list. `continue_` is empty on the last page; `skipped` is what cannot be read.

    `answered_seconds` is as in `Dated`.
    """

    items: list[T]
    resource_version: str
    continue_: str
    skipped: tuple[Skipped, ...] = ()
    answered_seconds: float = 0.0


class _ListMetadata(msgspec.Struct, rename="camel", frozen=True):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct, Generic[T]):
    metadata: _ListMetadata = _ListMetadata()
    items: list[T] | None = None


class Client:
    """Requests to one API server, as an async context manager.

    `before_write` is called right before a write goes out on its connection, and raises to refuse it. `pacer`
    spreads the writes, `read_pacer` the reads (watches are not paced); urgent ones go first, and those that
    are `last` after all others. `attempts` bounds the tries of one request, `timeout_seconds` the time of one
    try. `strain` counts how requests go.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        metrics: KubeMetrics | None = None,
        before_write: Callable[[], None] | None = None,
        pacer: Pacer | None = None,
        read_pacer: Pacer | None = None,
        timeout_seconds: float = 30.0,
        attempts: int = 4,
        backoff: Backoff = RETRY,
        clock: ServerClock | None = None,
    ) -> None:
        self.config = config
        self.metrics = metrics or KubeMetrics(CollectorRegistry())
        self.clock = clock or ServerClock()
        self.refusals = Refusals(self.clock.monotonic)
        self.strain = Strain()
        self._pacer = pacer or _unpaced()
        self._read_pacer = read_pacer or _unpaced()
        self._attempts = attempts
        self._backoff = backoff
        self._transport = Transport(
            config,
            clock=self.clock,
            metrics=self.metrics,
            before_write=before_write,
            timeout_seconds=timeout_seconds,
        )

    async def __aenter__(self) -> Self:
        """Open the connection pool; sends nothing yet."""
        await self._transport.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection, watches included."""
        await self._transport.close()

    def now(self) -> float:
        """Epoch seconds on the API server's clock; see `ServerClock`."""
        return self.clock.now()

    async def get(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        decode: type[T],
        subresource: str | None = None,
        query: Mapping[str, str | None] | None = None,
    ) -> T:
        """Read one object, or a subresource of it. Raises NotFound."""
        request = Request("get", resource, namespace, name, subresource, query or {})
        return _decoded(request, (await self._read(request, urgent=False)).body, decode)

    async def get_dated(
        self, resource: Resource, name: str, namespace: str | None = None, *, decode: type[T]
    ) -> Dated[T]:
        """Read one object, and the time on the clock of the server that answered. Raises NotFound."""
        request = Request("get", resource, namespace, name)
        answer = await self._read(request, urgent=False)
        return Dated(_decoded(request, answer.body, decode), self._answered_seconds(answer))

    async def get_or_none(
        self, resource: Resource, name: str, namespace: str | None = None, *, decode: type[T]
    ) -> T | None:
        """Read one object; None if it does not exist."""
        try:
            return await self.get(resource, name, namespace, decode=decode)
        except NotFound:
            return None

    async def list_page(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        decode: type[T],
        label_selector: str | None = None,
        field_selector: str | None = None,
        limit: int = 500,
        continue_: str = "",
        urgent: bool = False,
    ) -> Page[T]:
        """Read one page of a list, the newest state. `limit` 0 means everything at once.

        Raises Expired where the continue token is too old.
        """
        query = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": str(limit) if limit else None,
            "continue": continue_ or None,
        }
        request = Request("list", resource, namespace, query=query)
        answer = await self._read(request, urgent=urgent)
        page = _page(request, answer.body, decode)
        page.answered_seconds = self._answered_seconds(answer)
        self.metrics.undecodable.labels(resource.plural).inc(len(page.skipped))
        return page

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        query: Mapping[str, str | None],
        inactivity_seconds: float,
        total_seconds: float,
    ) -> AsyncIterator[Chunks]:
        """Open a watch: an async context manager that yields its lines. Used by the reflector."""
        request = Request("watch", resource, namespace, query=query)
        try:
            async with self._transport.watch(
                request, inactivity_seconds=inactivity_seconds, total_seconds=total_seconds
            ) as chunks:
                self.refusals.allowed(request)
                yield chunks
        except Forbidden as error:
            self.refusals.refused(request, error)
            raise

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        decode: type[T],
        urgent: bool = False,
        last: bool = False,
    ) -> T:
        """Create an object. Raises AlreadyExists. After Unreachable it may or may not exist."""
        query = {"fieldManager": FIELD_MANAGER}
        request = Request("create", resource, namespace, query=query, body=msgspec.json.encode(body))
        request = msgspec.structs.replace(request, label=body.get("metadata", {}).get("name", ""))
        return _decoded(request, await self._write(request, urgent=urgent, last=last), decode)

    async def apply(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        decode: type[T],
        subresource: str | None = None,
        urgent: bool = False,
        force: bool = True,
    ) -> T:
        """Apply server-side as field manager `pie`: create the object, or make our fields so.

        Without `force`: Conflict where somebody else wrote other values into one of our fields.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
        request = Request("apply", resource, namespace, name, subresource, query, msgspec.json.encode(body))
        return _decoded(request, await self._write(request, urgent=urgent), decode)

    async def merge_patch(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        namespace: str | None = None,
        *,
        decode: type[T],
        subresource: str | None = None,
        urgent: bool = False,
    ) -> T:
        """Change fields by JSON merge patch (RFC 7386); None removes one.

        With metadata.resourceVersion or metadata.uid in the body the change is refused where the object is
        not that one: Conflict for the version, Invalid for the uid (to the API server an immutable field).
        """
        query = {"fieldManager": FIELD_MANAGER}
        request = Request("patch", resource, namespace, name, subresource, query, msgspec.json.encode(body))
        return _decoded(request, await self._write(request, urgent=urgent), decode)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        grace_period_seconds: int | None = None,
        urgent: bool = False,
    ) -> None:
        """Delete an object if it still has this uid and resourceVersion. Raises NotFound or Conflict."""
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": {key: value for key, value in preconditions.items() if value is not None},
        }
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        request = Request("delete", resource, namespace, name, body=msgspec.json.encode(options))
        await self._write(request, urgent=urgent)

    def _answered_seconds(self, answer: Answer) -> float:
        return self.now() if answer.date_seconds is None else answer.date_seconds

    async def _read(self, request: Request, *, urgent: bool) -> Answer:
        again = (Unreachable, TooManyRequests, ServerError)
        return await self._send(request, self._read_pacer, urgent=urgent, again=again)

    async def _write(self, request: Request, *, urgent: bool, last: bool = False) -> bytes:
        again = (TooManyRequests,)
        return (await self._send(request, self._pacer, urgent=urgent, last=last, again=again)).body

    async def _send(
        self,
        request: Request,
        pacer: Pacer,
        *,
        urgent: bool,
        last: bool = False,
        again: tuple[type[KubeError], ...],
    ) -> Answer:
        for attempt in range(self._attempts):
            await pacer.wait(urgent=urgent, last=last)
            try:
                answer = await self._transport.send(request)
            except Forbidden as error:
                self.refusals.refused(request, error)
                raise
            except (TooManyRequests, ServerError, Unreachable) as error:
                hold_seconds = error.retry_after_seconds if isinstance(error, TooManyRequests) else None
                if isinstance(error, TooManyRequests):
                    self.strain.was_refused()
                pacer.failed(hold_seconds or 0.0)
                if attempt + 1 == self._attempts or not isinstance(error, again):
                    raise
                await asyncio.sleep(self._delay(attempt, error))
            else:
                pacer.answered(answer.took_seconds)
                self.strain.answered(answer.took_seconds, listed=request.verb == "list")
                self.refusals.allowed(request)
                return answer
        raise AssertionError("unreachable")

    def _delay(self, attempt: int, error: Exception) -> float:
        delay = self._backoff.delay(attempt)
        asked = error.retry_after_seconds if isinstance(error, ApiError) else None
        return delay if asked is None else asked + delay


def _unpaced() -> Pacer:
    return Pacer(qps=_NO_LIMIT, burst=_NO_LIMIT)


def _decoded(request: Request, body: bytes, kind: type[T]) -> T:
    try:
        return decode(body, kind)
    except Unreadable as error:
        raise Undecodable(f"cannot read the answer to {request}: {error}") from error


def _page(request: Request, body: bytes, kind: type[T]) -> Page[T]:
    """Return a page of a list: decoded at once if it is clean, else item by item, as one item may be bad."""
    try:
        clean = decode_clean(body, _List[kind])  # type: ignore[valid-type]  # known at run time only
        return Page(clean.items or [], clean.metadata.resource_version, clean.metadata.continue_)
    except Unreadable:
        listed = _decoded(request, body, _List[Any])
    items: list[T] = []
    odd: list[Skipped] = []
    for item in listed.items or ():
        try:
            items.append(convert(item, kind))
        except Unreadable as error:
            odd.append(skipped(item, error))
    return Page(items, listed.metadata.resource_version, listed.metadata.continue_, tuple(odd))
