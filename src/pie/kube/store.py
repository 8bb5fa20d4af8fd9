"""The local copy of a reflector: objects by name, and the difference of each change."""

from collections.abc import Callable, Iterable, Mapping
from typing import Generic

from pie.kube.watchstream import T

Key = tuple[str, str]
"""namespace (empty for cluster-wide kinds) and name."""


def key_of(item: T) -> Key:
    """Return the key of an object."""
    return item.metadata.namespace, item.metadata.name


class Store(Generic[T]):
    """Objects by key. `on_change(old, new)` is called for each difference, after `objects` has changed."""

    def __init__(self, on_change: Callable[[T | None, T | None], None]) -> None:
        self.objects: dict[Key, T] = {}
        self._on_change = on_change

    def put(self, item: T) -> None:
        """Store an object that was added or modified."""
        key = key_of(item)
        old = self.objects.get(key)
        if not _same(old, item):
            self.objects[key] = item
            self._tell([(old, item)])

    def remove(self, item: T) -> None:
        """Forget an object; `item` is its last state. Another object of the same name stays."""
        key = key_of(item)
        old = self.objects.get(key)
        if old is not None and old.metadata.uid == item.metadata.uid:
            del self.objects[key]
            self._tell([(item, None)])

    def drop(self, key: Key) -> None:
        """Forget the object with this key, if there is one."""
        if (old := self.objects.pop(key, None)) is not None:
            self._tell([(old, None)])

    def replace(self, fresh: Mapping[Key, T]) -> None:
        """Become equal to `fresh`. Objects that did not change stay the same objects in memory."""
        changes: list[tuple[T | None, T | None]] = [
            (old, None) for key, old in self.objects.items() if key not in fresh
        ]
        for key, new in fresh.items():
            old = self.objects.get(key)
            if not _same(old, new):
                changes.append((old, new))
                self.objects[key] = new
        for key in self.objects.keys() - fresh.keys():
            del self.objects[key]
        self._tell(changes)

    def _tell(self, changes: Iterable[tuple[T | None, T | None]]) -> None:
        for old, new in changes:
            if old is not None and new is not None and old.metadata.uid != new.metadata.uid:
                self._on_change(old, None)  # deleted and created again with the same name, between two lists
                self._on_change(None, new)
            else:
                self._on_change(old, new)


def _same(old: T | None, new: T) -> bool:
    return (
        old is not None
        and old.metadata.uid == new.metadata.uid
        and old.metadata.resource_version == new.metadata.resource_version
    )
