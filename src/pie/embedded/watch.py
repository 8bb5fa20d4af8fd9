"""Watches: changes as a stream of JSON lines, with bookmarks, initial events, and 410 for old versions.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from pie.embedded.errors import Refused
from pie.embedded.kinds import Json, Kind
from pie.embedded.selectors import Matches
from pie.embedded.store import Change, Store

_INITIAL_EVENTS_END: Final = {"annotations": {"k8s.io/initial-events-end": "true"}}


@dataclass(frozen=True)
class Watch:
    """What a watch is about, how it shows objects, and where its lines go."""

    store: Store
    kind: Kind
    namespace: str
    matches: Matches
    show: Callable[[Json], Json]
    write: Callable[[bytes], Awaitable[None]]
    bookmark_seconds: float | None
    """How often a quiet watch gets a bookmark; None: its client asked for no bookmarks."""

    async def run(self, version: int, *, initial: bool) -> None:
        """Send what comes after a version (0: all there is, first) for ever, or until that is forgotten.

        `initial`: begin with all there is in any case, and say when that was all.
        """
        if initial or not version:
            version = self.store.version
            for item in filter(self.matches, self.store.all(self.kind, self.namespace)):
                await self._send("ADDED", self.show(item))
            if initial:
                await self._bookmark(version, _INITIAL_EVENTS_END)
        marked_at = time.monotonic()
        while version >= self.store.oldest:
            for change in (changes := self.store.since(version)):
                version = change.version
                if event := self._event(change):
                    await self._send(event, self.show(change.object))
            if self.bookmark_seconds is not None and time.monotonic() - marked_at >= self.bookmark_seconds:
                await self._bookmark(version, {})
                marked_at = time.monotonic()
            elif not changes:
                await self.store.moved(self.bookmark_seconds)
        message = f"too old resource version: {version} ({self.store.version})"
        await self._send("ERROR", Refused(410, "Expired", message).status)

    def _event(self, change: Change) -> str:
        """Return what a change means here: an object may begin or cease to match. Empty: nothing."""
        here = self.namespace in {"", change.object["metadata"].get("namespace")}
        if change.kind is not self.kind or not here:
            return ""
        after = change.type != "DELETED" and self.matches(change.object)
        if change.old is not None and self.matches(change.old):
            return "MODIFIED" if after else "DELETED"
        return "ADDED" if after else ""

    async def _send(self, event: str, item: Json) -> None:
        await self.write(json.dumps({"type": event, "object": item}).encode() + b"\n")

    async def _bookmark(self, version: int, marks: Json) -> None:
        if self.bookmark_seconds is not None:
            metadata = {"resourceVersion": str(version), "creationTimestamp": None, **marks}
            about = {"kind": self.kind.kind, "apiVersion": self.kind.api_version}
            await self._send("BOOKMARK", {**about, "metadata": metadata})
