"""Functions that are called for each change of a local copy."""

from collections.abc import Callable
from typing import Generic

from pie.kube.defects import Defects
from pie.kube.watchstream import T

Listener = Callable[[T | None, T | None], None]


class Listeners(Generic[T]):
    """The listeners of one kind of objects, called in the order in which they were added.

    A listener that raises has met a defect of pie, at one object. That must stop neither the other
    listeners, nor the other objects, nor the watch.
    """

    def __init__(self, kind: str, defects: Defects) -> None:
        self._kind = kind
        self._defects = defects
        self._listeners: list[Listener[T]] = []

    def add(self, listener: Listener[T]) -> None:
        """Call `listener(old, new)` for each change from now on."""
        self._listeners.append(listener)

    def changed(self, old: T | None, new: T | None) -> None:
        """Call every listener."""
        for listener in self._listeners:
            try:
                listener(old, new)
            except Exception as error:  # noqa: BLE001  the boundary between the watch and those who use it
                item = new or old
                metadata = item.metadata if item is not None else None
                self._defects.note(
                    error,
                    kind=self._kind,
                    namespace=metadata.namespace if metadata else "",
                    name=metadata.name if metadata else "",
                    listener=getattr(listener, "__qualname__", repr(listener)),
                )
