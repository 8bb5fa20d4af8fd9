"""The objects, their versions, and a bounded history of changes.

Objects are never changed in place: what `get` returns stays as it was. One counter gives every change its
resourceVersion, as etcd's revision does. What is older than the history can no longer be watched from.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pie.embedded.kinds import Kind

Json = dict[str, Any]
Key = tuple[str, str]
"""namespace (empty for cluster-wide kinds) and name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change: `type` is ADDED, MODIFIED or DELETED; `object` its last state, `old` the one before."""

    version: int
    kind: Kind
    type: str
    object: Json
    old: Json | None


def key_of(item: Json) -> Key:
    """Return the key of an object."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


class Store:
    """Objects by kind and key; `history` is how many changes are remembered."""

    def __init__(self, *, history: int = 4096) -> None:
        self.version = 1
        self.oldest = 1
        """Changes up to this version are forgotten."""
        self._objects: dict[Kind, dict[Key, Json]] = {}
        self._limit = history
        self._history: deque[Change] = deque()
        self._listeners: list[Callable[[Change], None]] = []
        self._moved = asyncio.Event()

    def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """Return an object; None where there is none."""
        return self._objects.get(kind, {}).get((namespace, name))

    def all(self, kind: Kind, namespace: str = "") -> list[Json]:
        """Return the objects of a kind, in order of namespace and name; an empty namespace means all."""
        found = self._objects.get(kind, {})
        return [found[key] for key in sorted(found) if namespace in {"", key[0]}]

    def write(self, kind: Kind, item: Json) -> Json:
        """Store an object under its next version, and return it."""
        key = key_of(item)
        old = self._objects.setdefault(kind, {}).get(key)
        stored = self._stamped(item)
        self._objects[kind][key] = stored
        self._record(Change(self.version, kind, "MODIFIED" if old else "ADDED", stored, old))
        return stored

    def remove(self, kind: Kind, item: Json) -> Json:
        """Take an object away, and return its last state."""
        old = self._objects[kind].pop(key_of(item))
        gone = self._stamped(item)
        self._record(Change(self.version, kind, "DELETED", gone, old))
        return gone

    def _stamped(self, item: Json) -> Json:
        self.version += 1
        return {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}

    def _record(self, change: Change) -> None:
        self._history.append(change)
        while len(self._history) > self._limit:
            self.oldest = self._history.popleft().version
        for listener in self._listeners:
            listener(change)
        self._moved.set()
        self._moved = asyncio.Event()

    def compact(self) -> None:
        """Forget the whole history: older watches and continue tokens are refused from now on."""
        self._history.clear()
        self.oldest = self.version

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Have `listener` called after every change; it must not block, and not raise."""
        self._listeners.append(listener)

    def since(self, version: int) -> Iterator[Change]:
        """Yield the changes after a version that the history still holds, oldest first."""
        newer: list[Change] = []
        for change in reversed(self._history):
            if change.version <= version:
                break
            newer.append(change)
        yield from reversed(newer)

    @property
    def moved(self) -> asyncio.Event:
        """What will be set by the next change. Take it before looking at what there is already."""
        return self._moved

    def snapshot(self, kind: Kind, version: int) -> dict[Key, Json]:
        """Return the objects of a kind as they were at a version not older than `oldest`."""
        found = dict(self._objects.get(kind, {}))
        for change in reversed(self._history):
            if change.version <= version:
                break
            if change.kind is not kind:
                continue
            if change.old is None:
                found.pop(key_of(change.object), None)
            else:
                found[key_of(change.object)] = change.old
        return found
