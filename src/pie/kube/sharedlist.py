"""Reading objects that many ask for at the same time: a few one by one, more of them by one list for all.

In an outage thousands of runs are late in the same second, and each wants to know how its pod is now. That
must not cost thousands of requests to an API server that may be in trouble itself.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic

from pie.kube.backoff import Backoff
from pie.kube.client import Client, Dated
from pie.kube.errors import ApiError, KubeError, NotFound, Undecodable
from pie.kube.listing import list_all
from pie.kube.resources import Resource
from pie.kube.store import Key, key_of
from pie.kube.watchstream import Skipped, T

EVERY_SECONDS: Final = 5.0
"""Between the starts of two lists at least."""

MOST_GETS: Final = 20
"""So many objects are read by name in that time; who asks for more gets them from the list."""

_BUSY_PART: Final = 5.0
_LONGEST_GAP_SECONDS: Final = 30.0
"""A list that took long is not repeated before this many times as long has passed, and at most so long."""

_AFTER_FAILURE: Final = Backoff(base_seconds=1.0, cap_seconds=30.0)


@dataclass(frozen=True)
class Snapshot(Generic[T]):
    """All objects as they were at `asked_at` (local, monotonic) or later, and what of them cannot be read.

    `answered_seconds`: what time it was then by the clock of the server that answered.
    """

    objects: Mapping[Key, T]
    skipped: tuple[Skipped, ...]
    asked_at: float
    answered_seconds: float

    def of_owner(self, uid: str) -> Sequence[T]:
        """Return the objects whose controller has this uid."""
        return self._by_owner.get(uid, ())

    @cached_property
    def _by_owner(self) -> Mapping[str, Sequence[T]]:
        found: dict[str, list[T]] = {}
        for item in self.objects.values():
            if (owner := item.metadata.controller_owner) is not None:
                found.setdefault(owner.uid, []).append(item)
        return found


class SharedList(Generic[T]):
    """Answers about one kind of objects in one namespace or in all, each as of the moment the asker needs.

    Only one list is on its way at any time. Who needs a newer answer than the last one gives waits for the
    next, together with all others who do. After a failed list everybody gets its error, until it is time to
    try again: callers come back by themselves.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str | None,
        *,
        decode: type[T],
        label_selector: str | None = None,
        every_seconds: float = EVERY_SECONDS,
        most_gets: int = MOST_GETS,
        page_size: int = 500,
        after_failure: Backoff = _AFTER_FAILURE,
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._decode = decode
        self._label_selector = label_selector
        self._every_seconds = every_seconds
        self._page_size = page_size
        self._after_failure = after_failure
        self._got_at: deque[float] = deque(maxlen=most_gets)
        self._latest: Snapshot[T] | None = None
        self._listing: asyncio.Task[None] | None = None
        self._next_at = float("-inf")  # local, monotonic
        self._failures = 0
        self._error: KubeError | None = None

    async def one(self, name: str, since: float, *, namespace: str = "") -> T | None:
        """Return the object with this name, as it was at `since` (the API server's clock) or later.

        `namespace` is where it is, if the list is of all namespaces. Raises Undecodable for an object that is
        there and does not fit its Struct.
        """
        found = await self.dated(name, since, namespace=namespace)
        return found.item if found is not None else None

    async def dated(self, name: str, since: float, *, namespace: str = "") -> Dated[T] | None:
        """Return the same, and what time it was by the clock of the server that answered."""
        key = (self._namespace or namespace, name)
        if self._answers(self._local(since)) is None and self._may_get():
            try:
                return await self._client.get_dated(self._resource, name, key[0], decode=self._decode)
            except NotFound:
                return None
        snapshot = await self.all(since)
        if any(key_of(odd.object) == key for odd in snapshot.skipped):
            raise Undecodable(f"cannot read {self._resource.describe(*key)}")
        item = snapshot.objects.get(key)
        return Dated(item, snapshot.answered_seconds) if item is not None else None

    async def all(self, since: float) -> Snapshot[T]:
        """Return all objects, as they were at `since` (the API server's clock) or later."""
        needed = self._local(since)
        while (found := self._answers(needed)) is None:
            # A task that is done does not suspend who awaits it, so this loop would never end.
            if self._listing is None or self._listing.done():
                if self._error is not None and self._now() < self._next_at:
                    raise self._error.with_traceback(None)
                self._listing = asyncio.create_task(self._list())
                self._listing.add_done_callback(_heard)
            # Shielded: the others who wait for it must not suffer when one of them is cancelled.
            await asyncio.shield(self._listing)
        return found

    def _answers(self, needed: float) -> Snapshot[T] | None:
        latest = self._latest
        return latest if latest is not None and latest.asked_at >= needed else None

    def _local(self, since: float) -> float:
        """Return a moment of the server's clock on the local one, which never steps back; at most now."""
        return self._now() - max(0.0, self._client.now() - since)

    def _may_get(self) -> bool:
        now, most = self._now(), self._got_at.maxlen
        if most == 0 or (len(self._got_at) == most and now - self._got_at[0] < self._every_seconds):
            return False
        self._got_at.append(now)
        return True

    async def _list(self) -> None:
        """List once it is time to; everybody who asks before that is served by it."""
        await asyncio.sleep(max(0.0, self._next_at - self._now()))
        asked_at = self._now()
        try:
            listed = await list_all(
                self._client,
                self._resource,
                self._namespace,
                decode=self._decode,
                label_selector=self._label_selector,
                field_selector=None,
                page_size=self._page_size,
            )
        except KubeError as error:
            asked = (error.retry_after_seconds or 0.0) if isinstance(error, ApiError) else 0.0
            self._next_at = self._now() + asked + self._after_failure.delay(self._failures)
            self._failures += 1
            self._error = error
            raise
        busy_seconds = min(_LONGEST_GAP_SECONDS, _BUSY_PART * (self._now() - asked_at))
        self._next_at = asked_at + max(self._every_seconds, busy_seconds)
        self._failures, self._error = 0, None
        self._latest = latest = Snapshot(listed.objects, listed.skipped, asked_at, listed.answered_seconds)
        # Memory: thousands of pods are kept only as long as somebody may still want them.
        asyncio.get_running_loop().call_later(2 * self._every_seconds, self._drop, latest)

    def _drop(self, snapshot: Snapshot[T]) -> None:
        if self._latest is snapshot:
            self._latest = None

    def _now(self) -> float:
        return self._client.clock.monotonic()


def _heard(listing: asyncio.Task[None]) -> None:
    """Read the error of a list, so that asyncio does not report it again."""
    if not listing.cancelled():
        listing.exception()
