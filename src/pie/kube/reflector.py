"""A reflector: keeps a local copy of one kind of objects up to date by list and watch.

How it stays true to the server:
- It starts with a WatchList (initial events, then changes, in one stream), and falls back to a paginated list
  on any error of that: servers before 1.34 and old etcds answer with errors. Nothing is applied until all of
  it is there.
- A new list against an old copy yields the difference, deletions that no watch reported included.
- A watch goes on from the last resourceVersion it saw (bookmarks move it), and from a new list after 410,
  which comes as an HTTP status or as an ERROR event.
- An object that cannot be read is left out, and the others do not suffer from it. One that could be read
  before stays as it was last read: unknown is not deleted.
- A connection that falls silent is cut, and watched again from the same place: bookmarks come about every
  minute, except for a kind of which nothing changed since the API server started.
- Attempts are spaced by a jittered back-off, which only a watch that lived for a while resets: a server that
  accepts and closes at once is not asked in a busy loop.
"""

import asyncio
import logging
import random
from contextlib import aclosing
from typing import Final, Generic, Never

import msgspec
import structlog

from pie.kube.client import Client
from pie.kube.defects import Defects
from pie.kube.errors import (
    ApiError,
    CredentialsError,
    Forbidden,
    KubeError,
    ServiceUnavailable,
    Silent,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    api_error,
)
from pie.kube.listeners import Listener, Listeners
from pie.kube.listing import list_all
from pie.kube.metrics import ReflectorMetrics
from pie.kube.repeated import Repeated
from pie.kube.resources import Resource
from pie.kube.store import Key, Store, key_of
from pie.kube.timing import DEFAULT_TIMING, Timing
from pie.kube.watchstream import (
    Added,
    Bookmark,
    Deleted,
    Event,
    EventDecoder,
    Failed,
    Modified,
    Skipped,
    T,
    events,
)

log = structlog.get_logger()


_CONFIRM_SECONDS: Final = 5.0
"""`confirm` asks the server no more often than this."""

_LINES: Final = 5
"""So many log lines of one kind in ten minutes: watches are tried again for as long as it takes."""

_OVERTIME_SECONDS: Final = 30.0
"""How long a server may take to end a watch whose time is up."""


class Reflector(Generic[T]):
    """A local copy of the objects that match, by (namespace, name).

    `on_change(old, new)` is called after `store` has changed: (None, new) for an addition, (old, new) for a
    change, (old, None) for a deletion, `old` then being the last known state. An object replaced by another
    of the same name (another uid) is a deletion and an addition. It must not block. `listen` adds more
    listeners. A listener that raises is a defect of pie, logged and counted; everything else goes on.

    `resource` is what it watches; `store` is for reading only. `synced` is set when it is complete for the
    first time. `last_error` says in words why the copy may be out of date, and is empty while all is well.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        decode: type[T],
        *,
        on_change: Listener[T] | None = None,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self._defects = Defects(client.metrics.defects, "watch", resource.plural)
        listeners = Listeners[T](resource.kind, self._defects)
        if on_change is not None:
            listeners.add(on_change)
        self.listen = listeners.add
        self._store = Store[T](listeners.changed)
        self.store = self._store.objects
        self.synced = asyncio.Event()
        self.last_error = ""
        self._client = client
        self.resource = resource
        self._type = decode
        self._decoder = EventDecoder(decode)
        self._namespace = namespace
        self._selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        self._timing = timing
        self._metrics = ReflectorMetrics(client.metrics, resource.plural)
        self._clock = client.clock
        self._made_at = self._clock.monotonic()
        self._metrics.age.set_function(self._age_seconds)
        self._metrics.heard.set_function(lambda: self.heard_at)
        self._metrics.objects.set_function(lambda: len(self.store))
        self._log = log.bind(resource=resource.plural)
        self._repeated = Repeated(_LINES)
        self._version = ""  # where to watch from; empty where a new list is needed
        self._plain_list_next = False
        self._listed_at = self._heard_at = float("-inf")  # local, monotonic
        self._watching_since: float | None = None
        self._session_scope = asyncio.timeout(None)

    @property
    def heard_at(self) -> float:
        """When the copy was last proved current, on the server's clock; 0 before the first time.

        The proofs are an event, a bookmark, and the asking of a list that was then answered.
        """
        return self._clock.at(self._heard_at) if self.synced.is_set() else 0.0

    def _age_seconds(self) -> float:
        return self._clock.monotonic() - max(self._heard_at, self._made_at)

    async def run(self) -> Never:
        """Keep the copy current until cancelled."""
        failures = 0
        while True:
            wait_seconds = 0.0
            self._session_scope = asyncio.timeout(None)
            try:
                async with self._session_scope:
                    await self._session()
            except KubeError as error:
                self._note(error)
                wait_seconds = (error.retry_after_seconds or 0.0) if isinstance(error, ApiError) else 0.0
            except Exception as error:  # noqa: BLE001  a defect here must not end the controller
                self._version = ""
                if isinstance(error, TimeoutError) and self._session_scope.expired():
                    continue  # `confirm` ended it
                self.last_error = f"cannot watch {self.resource.plural}: defect in pie: {error!r}"
                self._defects.note(error)
            since, self._watching_since = self._watching_since, None
            if since is not None and _local_seconds() - since >= self._timing.steady_seconds:
                failures = 0
            await asyncio.sleep(wait_seconds + self._timing.backoff.delay(failures))
            failures += 1

    def confirm(self) -> None:
        """Ask the server for everything again now, as a silent watch proves nothing; `heard_at` will move.

        For a verdict that hangs on what was *not* seen. Ignored while a list is under way, and for 5 s
        after one.
        """
        if self._clock.monotonic() - self._listed_at < _CONFIRM_SECONDS:
            return
        self._version = ""
        if self._watching_since is not None:
            self._watching_since = None
            self._session_scope.reschedule(_local_seconds())

    async def _session(self) -> None:
        """Read everything anew where that is needed, then watch until the stream ends."""
        if self._version:
            await self._watch()
        elif self._plain_list_next:
            await self._list()
            await self._watch()
        else:
            self._plain_list_next = True  # should this attempt break off
            try:
                await self._watch()
            except (Unauthorized, Forbidden):
                self._plain_list_next = False  # a list would meet the same
                raise
            except TooManyRequests:
                raise
            except ApiError as error:
                if not self._plain_list_next:  # it is the watch that failed, after the initial events
                    raise
                self._log.info("no WatchList, listing instead", error=str(error))
                await self._list()
                await self._watch()

    async def _list(self) -> None:
        """Replace the copy by a paginated list."""
        asked_at = self._clock.monotonic()
        listed = await list_all(
            self._client,
            self.resource,
            self._namespace,
            decode=self._type,
            label_selector=self._selectors["labelSelector"],
            field_selector=self._selectors["fieldSelector"],
            page_size=self._timing.page_size,
        )
        for odd in listed.skipped:
            self._report(odd)
            self._keep(listed.objects, odd)
        self._replace(listed.objects, listed.version, asked_at, how="list")

    async def _watch(self) -> None:
        """Watch from the last version, or with initial events where there is none, until the stream ends."""
        asked_at = self._clock.monotonic()
        initial: dict[Key, T] | None = None if self._version else {}
        seconds = random.uniform(*self._timing.watch_seconds)  # noqa: S311  spreads load, guards no secret
        query = self._selectors | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version or None,
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        if initial is not None:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        async with self._client.watch(
            self.resource,
            self._namespace,
            query=query,
            inactivity_seconds=self._timing.inactivity_seconds,
            total_seconds=seconds + _OVERTIME_SECONDS,
        ) as chunks:
            if initial is None:
                self._begin_watching()
            async with aclosing(events(chunks, self._decoder)) as stream:
                async for event in stream:
                    if initial is None:
                        self._apply(event)
                    elif isinstance(event, Bookmark) and event.ends_initial_events:
                        version = event.object.metadata.resource_version
                        self._replace(initial, version, asked_at, how="watchlist")
                        initial = None
                        self._begin_watching()
                    else:
                        self._collect(initial, event)
        if initial is not None:
            raise Unreachable(f"cannot watch {self.resource.plural}: the initial events broke off")

    def _begin_watching(self) -> None:
        self._watching_since = _local_seconds()
        self.last_error = ""

    def _failed(self, event: Failed) -> ApiError:
        """Return the error for an ERROR event. Whatever it is, the watch cannot go on from its version."""
        self._version = ""
        request = f"watch {self.resource.describe(self._namespace)}"
        return api_error(request, event.object.code, msgspec.json.encode(event.object))

    def _collect(self, initial: dict[Key, T], event: Event[T]) -> None:
        match event:
            case Added(item) | Modified(item):
                initial[key_of(item)] = item
            case Deleted(item):
                initial.pop(key_of(item), None)
            case Skipped():
                self._metrics.undecodable.inc()
                self._report(event)
                self._keep(initial, event)
            case Failed():
                raise self._failed(event)
            case Bookmark():
                return  # before the end, it says nothing

    def _replace(self, fresh: dict[Key, T], version: str, asked_at: float, *, how: str) -> None:
        """Make the copy equal to `fresh`, which is what the server had at `asked_at` or later."""
        self._version = version
        self._plain_list_next = False
        self._store.replace(fresh)
        self._listed_at = asked_at
        self._metrics.lists[how].inc()
        self.synced.set()
        self._heard(asked_at)

    def _apply(self, event: Event[T]) -> None:
        """Take in one event of a watch that goes on."""
        match event:
            case Added(item) | Modified(item):
                self._store.put(item)
                self._metrics.events[type(event).__name__.lower()].inc()
                version = item.metadata.resource_version
            case Deleted(item):
                self._store.remove(item)
                self._metrics.events["deleted"].inc()
                version = item.metadata.resource_version
            case Skipped(marked):
                self._metrics.undecodable.inc()
                self._report(event)
                if self._last_read(event) is None:
                    self._store.drop(key_of(marked))
                version = marked.metadata.resource_version
            case Bookmark(marked):
                version = marked.metadata.resource_version
            case Failed():
                raise self._failed(event)
        self._version = version or self._version
        self._heard(self._clock.monotonic())

    def _heard(self, at: float) -> None:
        self._heard_at = max(self._heard_at, at)
        self.last_error = ""

    def _keep(self, fresh: dict[Key, T], odd: Skipped) -> None:
        """Put into a fresh copy what was last read of an object that cannot be read any more."""
        key = key_of(odd.object)
        fresh.pop(key, None)
        if (known := self._last_read(odd)) is not None:
            fresh[key] = known

    def _last_read(self, odd: Skipped) -> T | None:
        """Return the object as it was last read; None where it is gone, or another one has its name now."""
        known = self.store.get(key_of(odd.object))
        uid = odd.object.metadata.uid
        return known if known is not None and not odd.gone and uid in {"", known.metadata.uid} else None

    def _report(self, odd: Skipped) -> None:
        metadata = odd.object.metadata
        if self._repeated.write("skipped") is None:
            return
        self._log.error("object skipped", namespace=metadata.namespace, name=metadata.name, error=odd.reason)

    def _note(self, error: KubeError) -> None:
        """Remember a failure, and whether the next attempt needs a new list."""
        keep = (
            Unreachable,
            TooManyRequests,
            ServiceUnavailable,
            Unauthorized,
            Forbidden,
            CredentialsError,
        )
        if not isinstance(error, keep):
            self._version = ""
        self.last_error = str(error)
        self._metrics.failed(type(error).__name__)
        left_out = self._repeated.write(type(error).__name__)
        if left_out is not None and not isinstance(error, Forbidden):  # `Refusals` logs that
            level = logging.INFO if isinstance(error, Silent) else logging.WARNING
            relist = not self._version
            self._log.log(level, "watch interrupted", error=self.last_error, relist=relist, left_out=left_out)


def _local_seconds() -> float:
    return asyncio.get_running_loop().time()
