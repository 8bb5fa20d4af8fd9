"""The JSON API under `/api/v1`: docs/api.md says what it answers."""

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import msgspec
from aiohttp import web
from msgspec.structs import replace

from pie.core.apitypes import Failure, Heatmap, LatencyTrend, Overview, TargetDetail, TargetList
from pie.core.kinds import KINDS, asked_target
from pie.core.model import ProbeId, Target
from pie.core.trend import COLUMNS

_Asked = tuple[str | int | ProbeId, ...]
"""The key of an answer: the path and its parsed parameters."""
_Answer = msgspec.Struct | None
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_DEFAULT_COLUMNS: Final = 120
_COST_FACTOR: Final = 20
"""An answer is cached for this many times the time it took to compute: at most 5 % of a CPU for each."""

_MOST_KEPT: Final = 16
"""A request for another answer waits until one of these expires; together they cost 80 % at most."""

_MOST_WAITING: Final = 64
_MOST_LISTENERS: Final = 64
_MOST_LISTENERS_OF_PEER: Final = 16
"""Of one address: a proxy in front of pie is one, so several people share this."""
_WRITE_SECONDS: Final = 30.0
"""A listener that reads nothing for so long is closed."""
_LOOK_EVERY_SECONDS: Final = 1.0
_KEEP_ALIVE_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer, and until when it is cached, on the monotonic clock."""

    until: float
    body: bytes
    packed: bytes


class Source(Protocol):
    """Computes the answers; None means that the thing does not exist."""

    @property
    def revision(self) -> int:
        """A number that grows whenever the answers change."""

    def overview(self) -> Overview:
        """Answer `/overview`."""

    def named(self, of: ProbeId) -> ProbeId:
        """Return the PieProbe that is meant: without a namespace, the only one of that name."""

    def targets(self, of: ProbeId) -> TargetList | None:
        """Answer `/targets`: without a name, of all PieProbes."""

    def target(self, of: ProbeId, kind: str, node: str, storage_class: str = "") -> TargetDetail | None:
        """Answer `/targets/{probe}/{kind}`; `storage_class` is needed where the PieProbe has several."""

    def heatmap(self, of: ProbeId, columns: int) -> Heatmap | None:
        """Answer `/heatmap`."""

    def latency(self, of: ProbeId, columns: int) -> LatencyTrend | None:
        """Answer `/latency`."""


class Records(Protocol):
    """Who knows the records of targets."""

    def of(self, target: Target) -> bytes:
        """Return a file with the newest records of a target; empty: there are none. It takes a while."""


class Api:
    """The handlers. `source` is set once this replica leads; `leader` is the name of the leader, or empty."""

    def __init__(
        self,
        leader: Callable[[], str] = lambda: "",
        *,
        most_listeners: int = _MOST_LISTENERS,
        most_listeners_of_peer: int = _MOST_LISTENERS_OF_PEER,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self.source: Source | None = None
        self.records: Records | None = None
        self._leader = leader
        self._most_listeners = most_listeners
        self._most_listeners_of_peer = most_listeners_of_peer
        self._kept: dict[_Asked, _Kept] = {}
        self._most_waiting = most_waiting
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._listeners: Counter[str] = Counter()
        self._ending = asyncio.Event()

    def add_to(self, app: web.Application) -> None:
        """Serve the API from an application."""
        for path, asked, answer in (
            ("overview", lambda _: (), lambda source: source.overview()),
            ("targets", lambda query: (_probe(query),), lambda source, *of: source.targets(*of)),
            ("targets/{probe}/{kind}", _target, lambda source, *of: source.target(*of)),
            ("heatmap", _strip, lambda source, *of: source.heatmap(*of)),
            ("latency", _strip, lambda source, *of: source.latency(*of)),
        ):
            app.router.add_get(f"/api/v1/{path}", self._answering(path, asked, answer))
        app.router.add_get("/api/v1/events", self._events)
        app.router.add_get("/api/v1/record", self._record)
        app.router.add_get("/api/{path:.*}", self._unknown)
        app.on_shutdown.append(self._end)

    def _answering(
        self, path: str, understood: Callable[[dict[str, str]], _Asked], answer: Callable[..., _Answer]
    ) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if self.source is None:
                return self._standby()
            try:
                parameters = understood({**request.query, **request.match_info})
            except ValueError as error:
                return _failure(400, str(error))
            asked = (path, *parameters)
            kept = self._still(asked)
            if kept is None and self._waiting >= self._most_waiting:
                return _failure(429, f"{self._waiting} requests are waiting already; try again later")
            if kept is None:
                kept = await self._made(asked, partial(answer, self.source, *parameters))
            if kept is None:
                return _failure(404, "there is no such PieProbe or target; see /api/v1/targets")
            if "gzip" in request.headers.get("Accept-Encoding", ""):
                return _json(kept.packed, encoding="gzip")
            return _json(kept.body)

        return handle

    def _still(self, asked: _Asked) -> _Kept | None:
        """Return the answer if it is still cached."""
        now = time.monotonic()
        self._kept = {key: kept for key, kept in self._kept.items() if now < kept.until}
        return self._kept.get(asked)

    async def _made(self, asked: _Asked, make: Callable[[], _Answer]) -> _Kept | None:
        """Compute an answer as soon as there is space in the cache; None if it does not exist."""
        self._waiting += 1
        try:
            async with self._turn:
                while (kept := self._still(asked)) is None and len(self._kept) >= _MOST_KEPT:
                    soonest = min(each.until for each in self._kept.values())
                    await asyncio.sleep(soonest - time.monotonic())
                began = time.monotonic()
                if kept is None and (found := make()) is not None:
                    kept = self._kept[asked] = _packed(msgspec.json.encode(found), began)
                return kept
        finally:
            self._waiting -= 1

    def _standby(self) -> web.Response:
        leader = self._leader()
        if leader:
            return _failure(503, "this replica is a standby; ask the leader", leader)
        return _failure(503, "this replica does not lead, or has not read the cluster yet")

    async def _unknown(self, _request: web.Request) -> web.StreamResponse:
        return _failure(404, "there is no such path; docs/api.md lists all paths")

    async def _record(self, request: web.Request) -> web.StreamResponse:
        if self.source is None:
            return self._standby()
        if self.records is None:
            return _failure(404, "the controller runs without --record")
        if (
            target := asked_target(request.query.get("target", ""), request.query.get("namespace", ""))
        ) is None:
            return _failure(400, "name the target: mount/PIEPROBE/CLASS/NODE or provision/PIEPROBE/CLASS")
        target = replace(target, namespace=self.source.named(target.probe_id).namespace)
        if self._reading.locked():
            return _failure(429, "another request reads the record; try again later")
        async with self._reading:
            body = await asyncio.to_thread(self.records.of, target)
        if not body:
            return _failure(404, "the record has no such target")
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=body, content_type="application/octet-stream", headers=headers)

    # Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self.source is None:
            return self._standby()
        peer = request.remote or ""
        if (listeners := self._listeners.total()) >= self._most_listeners:
            return _failure(503, f"{listeners} clients listen already; try again later")
        if (listeners := self._listeners[peer]) >= self._most_listeners_of_peer:
            return _failure(429, f"{listeners} clients of this address listen already; try again later")
        stream = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        self._listeners[peer] += 1
        try:
            with suppress(ConnectionResetError, TimeoutError):
                await stream.prepare(request)
                await self._tell(request, stream, self.source)
        finally:
            self._listeners -= Counter([peer])
        return stream

    async def _tell(self, request: web.Request, stream: web.StreamResponse, source: Source) -> None:
        async def write(text: bytes) -> None:
            async with asyncio.timeout(_WRITE_SECONDS):
                await stream.write(text)

        told, told_at = -1, time.monotonic()
        await write(b"retry: 2000\n\n")
        while not (self._ending.is_set() or request.transport is None or request.transport.is_closing()):
            if (revision := source.revision) != told:
                await write(b'event: changed\ndata: {"revision": %d}\n\n' % revision)
                told, told_at = revision, time.monotonic()
            elif time.monotonic() - told_at >= _KEEP_ALIVE_SECONDS:
                await write(b": still here\n\n")
                told_at = time.monotonic()
            try:
                await asyncio.wait_for(self._ending.wait(), _LOOK_EVERY_SECONDS)
            except TimeoutError:
                continue

    async def _end(self, _app: web.Application) -> None:
        self._ending.set()


def _packed(body: bytes, began: float) -> _Kept:
    packed = gzip.compress(body, compresslevel=1, mtime=0)
    now = time.monotonic()
    return _Kept(now + _COST_FACTOR * (now - began), body, packed)


def _probe(query: dict[str, str]) -> ProbeId:
    namespace, _, name = query.get("probe", "").rpartition("/")
    return ProbeId(namespace or query.get("namespace", ""), name)


def _target(query: dict[str, str]) -> _Asked:
    kind = KINDS.get(query["kind"])
    if kind is None:
        raise ValueError(f"kind is {query['kind']!r}, and can be {' or '.join(sorted(KINDS))}")
    if kind.per_node and not query.get("node"):
        raise ValueError(f"a {kind.name} target needs a node: ?node=NAME")
    return _probe(query), kind.name, query["node"] if kind.per_node else "", query.get("class", "")


def _strip(query: dict[str, str]) -> _Asked:
    if not query.get("probe"):
        raise ValueError("name the PieProbe: ?probe=NAME")
    wanted = query.get("columns", str(_DEFAULT_COLUMNS))
    if wanted not in map(str, range(1, COLUMNS + 1)):
        raise ValueError(f"columns is {wanted!r}, and can be 1 to {COLUMNS}")
    return _probe(query), int(wanted)


def _failure(status: int, error: str, leader: str = "") -> web.Response:
    return _json(msgspec.json.encode(Failure(error, leader or None)), status)


def _json(body: bytes, status: int = 200, encoding: str = "") -> web.Response:
    headers = {
        "Cache-Control": "no-store",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if encoding:
        headers["Content-Encoding"] = encoding
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
