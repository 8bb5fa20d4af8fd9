"""The objects, their versions, and a bounded history of changes.

Objects are never changed in place: what `get` returns stays as it was. One counter gives every change its
resourceVersion, as etcd's revision does. What is older than the history can no longer be watched from.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile

from pie.embedded.kinds import Json, Kind, key_of


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `type` is ADDED, MODIFIED or DELETED; `object` its last state, `old` the one before."""

    version: int
    kind: Kind
    type: str
    object: Json
    old: Json | None


class Store:
    """Objects by kind and key; `history` is how many changes are remembered."""

    def __init__(self, *, history: int = 4096) -> None:
        self.version = 1
        self.oldest = 1
        """Changes up to this version are forgotten."""
        self._objects: dict[Kind, dict[tuple[str, str], Json]] = defaultdict(dict)
        self._limit = history
        self._history: deque[Change] = deque()
        self._listeners: list[Callable[[Change], None]] = []
        self._moved = asyncio.Event()

    def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """Return an object; None where there is none."""
        return self._objects[kind].get((namespace, name))

    def all(self, kind: Kind, namespace: str = "") -> list[Json]:
        """Return the objects of a kind, in order of namespace and name; an empty namespace means all."""
        return [item for key, item in sorted(self._objects[kind].items()) if namespace in {"", key[0]}]

    def write(self, kind: Kind, item: Json, *, remove: bool = False) -> Json:
        """Store an object under its next version, or remove it; return its last state."""
        self.version += 1
        stored = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
        old = self._objects[kind].pop(key_of(item), None)
        if not remove:
            self._objects[kind][key_of(item)] = stored
        how = "DELETED" if remove else "MODIFIED" if old else "ADDED"
        change = Change(self.version, kind, how, stored, old)
        self._history.append(change)
        while len(self._history) > self._limit:
            self.oldest = self._history.popleft().version
        for listener in self._listeners:
            listener(change)
        self.wake()
        return stored

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call `listener` after every change; it must not block, and not raise."""
        self._listeners.append(listener)

    def since(self, version: int) -> list[Change]:
        """Return the changes after a version that the history still holds, oldest first."""
        return [*takewhile(lambda change: change.version > version, reversed(self._history))][::-1]

    def wake(self) -> None:
        """Wake everything that waits for a change."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def moved(self, seconds: float | None = None) -> None:
        """Return after the next change or `wake`, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()
