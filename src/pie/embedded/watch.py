"""Watches: changes as a stream of JSON lines, with bookmarks, initial events, and 410 for what is forgotten.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

from pie.embedded.errors import Refused, bad_request, expired
from pie.embedded.kinds import Kind
from pie.embedded.selection import Matches
from pie.embedded.store import Change, Store

Json = dict[str, Any]
Show = Callable[[Json], Json]

_LONGEST_SECONDS: Final = 3600.0
_INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"


class Watches:
    """Serves watches on the store. `bookmark_seconds`: how often a quiet one hears where it stands."""

    def __init__(self, store: Store, *, bookmark_seconds: float = 60.0) -> None:
        self._store = store
        self._bookmark_seconds = bookmark_seconds
        self._open: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Break off every watch, as a server that goes away does."""
        for task in self._open:
            task.cancel()

    def check_version(self, text: str | None) -> int:
        """Return a resourceVersion that a client gave, 0 for none; raises Refused for one not reached yet."""
        if not text:
            return 0
        if not text.isdigit():
            raise bad_request(f"Invalid value: {text!r}: must be a resourceVersion")
        if int(text) > self._store.version:
            message = f"Too large resource version: {text}, current: {self._store.version}"
            raise Refused(504, "Timeout", message, {"retryAfterSeconds": 1})
        return int(text)

    async def serve(
        self, request: web.Request, kind: Kind, namespace: str, matches: Matches, show: Show
    ) -> web.StreamResponse:
        """Answer one watch request until its time is up, or its client is gone."""
        query = request.query
        version = self.check_version(query.get("resourceVersion"))
        initial = query.get("sendInitialEvents") in {"true", "1"}
        if initial and query.get("resourceVersionMatch") != "NotOlderThan":
            raise bad_request("sendInitialEvents requires resourceVersionMatch=NotOlderThan")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        stream = _Stream(response, show, bookmarks=query.get("allowWatchBookmarks") in {"true", "1"})
        seconds = float(query.get("timeoutSeconds") or _LONGEST_SECONDS)
        wanted = _Wanted(kind, namespace, matches)
        feeding = asyncio.create_task(self._feed(stream, wanted, version, initial=initial))
        self._open.add(feeding)
        try:
            async with asyncio.timeout(seconds):
                await feeding
        except (TimeoutError, ConnectionError):
            pass  # its time is up, or nobody listens any more: both are how watches end
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            if request.transport is not None:
                request.transport.abort()
        finally:
            feeding.cancel()
            self._open.discard(feeding)
        with suppress(ConnectionError):
            await response.write_eof()
        return response

    async def _feed(self, stream: "_Stream", wanted: "_Wanted", version: int, *, initial: bool) -> None:
        if version and version < self._store.oldest and not initial:
            message = f"too old resource version: {version} ({self._store.version})"
            await stream.send("ERROR", expired(message).status())
            return
        if initial or not version:
            version = self._store.version
            for item in self._store.all(wanted.kind, wanted.namespace):
                if wanted.matches(item):
                    await stream.send("ADDED", item)
        if initial:
            await stream.bookmark(wanted.kind, version, {_INITIAL_EVENTS_END: "true"})
        await self._follow(stream, wanted, version)

    async def _follow(self, stream: "_Stream", wanted: "_Wanted", version: int) -> None:
        marked_at = time.monotonic()
        while True:
            moved = self._store.moved
            if version < self._store.oldest:
                await stream.send("ERROR", expired(f"too old resource version: {version}").status())
                return
            for change in list(self._store.since(version)):
                version = change.version
                if (event := wanted.event(change)) is not None:
                    await stream.send(event, change.object)
            left = marked_at + self._bookmark_seconds - time.monotonic()
            if left <= 0:
                await stream.bookmark(wanted.kind, version, {})
                marked_at = time.monotonic()
                left = self._bookmark_seconds
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await moved.wait()


class _Wanted:
    """What a watch is about."""

    def __init__(self, kind: Kind, namespace: str, matches: Matches) -> None:
        self.kind = kind
        self.namespace = namespace
        self.matches = matches

    def event(self, change: Change) -> str | None:
        """Return what a change means to this watch: an object may begin or cease to match its selectors."""
        if change.kind is not self.kind or self.namespace not in {
            "",
            change.object["metadata"].get("namespace"),
        }:
            return None
        before = change.old is not None and self.matches(change.old)
        after = change.type != "DELETED" and self.matches(change.object)
        if before:
            return "MODIFIED" if after else "DELETED"
        return "ADDED" if after else None


class _Stream:
    """The answer to one watch."""

    def __init__(self, response: web.StreamResponse, show: Show, *, bookmarks: bool) -> None:
        self._response = response
        self._show = show
        self._bookmarks = bookmarks

    async def send(self, event: str, item: Json) -> None:
        """Send one event."""
        shown = item if event in {"ERROR", "BOOKMARK"} else self._show(item)
        await self._response.write(json.dumps({"type": event, "object": shown}).encode() + b"\n")

    async def bookmark(self, kind: Kind, version: int, annotations: dict[str, str]) -> None:
        """Say up to where everything has been sent, to a client that asked for it."""
        if not self._bookmarks:
            return
        metadata: Json = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        item = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        await self.send("BOOKMARK", item)
