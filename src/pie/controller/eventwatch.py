"""A watch of the new Events of a namespace, or of all, that a field selector selects."""

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Final, Never

import structlog

from pie.core.wire import Event
from pie.kube.client import Client
from pie.kube.defects import Defects
from pie.kube.errors import Forbidden, KubeError, Unreachable
from pie.kube.repeated import Repeated
from pie.kube.resources import EVENTS
from pie.kube.timing import RECONNECT
from pie.kube.watchstream import Added, EventDecoder, Failed, Marked, Modified, events

_log = structlog.get_logger()

_WATCH_SECONDS: Final = 300.0
_OVERTIME_SECONDS: Final = 30.0


def always(_namespace: str) -> bool:
    """Want the Events of every namespace."""
    return True


class EventWatch:
    """Calls `hear` with each Event in a namespace that `concerns` wants.

    `complete_since` is the time from which on it has heard all, epoch seconds; infinite: it hears none now.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        selector: str,
        hear: Callable[[Event], None],
        concerns: Callable[[str], bool] = always,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._selector = selector
        self._hear = hear
        self._concerns = concerns
        self._decoder = EventDecoder(Event)
        self._repeated = Repeated()
        self._defects = Defects(client.metrics.defects, "watch", EVENTS.plural)
        self.complete_since = math.inf

    async def run(self) -> Never:
        """Watch until cancelled."""
        version, failures, since = "", 0, math.inf
        while True:
            began = self._client.now()
            try:
                if not version:
                    version = await self._present()
                    since = self._client.now()
                self.complete_since = since
                version = await self._listen(version)
            except Unreachable as error:
                if self._repeated.write(Unreachable) is not None:
                    _log.info("watch of Events interrupted", error=str(error))
            except KubeError as error:
                version = ""
                if self._repeated.write(KubeError) is not None and not isinstance(error, Forbidden):
                    _log.warning("watch of Events failed", error=str(error))
            except Exception as error:  # noqa: BLE001  a defect here must not end the controller
                version = ""
                self._defects.note(error)
            self.complete_since = math.inf
            failures = 0 if self._client.now() - began > _WATCH_SECONDS / 10 else failures + 1
            await asyncio.sleep(RECONNECT.delay(failures))

    async def _present(self) -> str:
        """Return the resourceVersion from which on everything is new."""
        page = await self._client.list_page(EVENTS, self._namespace, decode=Marked, limit=1)
        return page.resource_version

    async def _listen(self, version: str) -> str:
        """Watch until the stream ends; return the resourceVersion to go on from, empty for "from now"."""
        query: Mapping[str, str | None] = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "fieldSelector": self._selector,
            "resourceVersion": version,
            "timeoutSeconds": f"{_WATCH_SECONDS:.0f}",
        }
        total_seconds = _WATCH_SECONDS + _OVERTIME_SECONDS
        # Silence is normal here: there may be no Event for a long time, and no bookmark.
        async with (
            self._client.watch(
                EVENTS,
                self._namespace,
                query=query,
                inactivity_seconds=total_seconds,
                total_seconds=total_seconds,
            ) as chunks,
            aclosing(events(chunks, self._decoder)) as stream,
        ):
            async for heard in stream:
                match heard:
                    case Added(event) | Modified(event):
                        version = event.metadata.resource_version
                        if self._concerns(event.involved_object.namespace):
                            self._hear(event)
                    case Failed():
                        return ""
                    case other:
                        version = other.object.metadata.resource_version or version
        return version
