"""The reflector against a scripted server that does everything API servers and networks do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from prometheus_client import CollectorRegistry

from pie.core.objects import Pod
from pie.kube.backoff import Backoff
from pie.kube.client import Client
from pie.kube.metrics import KubeMetrics
from pie.kube.reflector import Reflector, Timing
from pie.kube.resources import PODS
from tests.kube.scripted import (
    Drop,
    Hang,
    ScriptedServer,
    answer,
    bookmark,
    error_event,
    event,
    eventually,
    failure,
    page,
    pod,
)

QUICK = Timing(
    backoff=Backoff(base_seconds=0.01, cap_seconds=0.05),
    watch_seconds=(60, 60),
    inactivity_seconds=30,
    steady_seconds=10,
    page_size=2,
)
NO_WATCHLIST = failure(422, "Invalid", "sendInitialEvents is forbidden for watch")


class Watched:
    """A running reflector and the changes it told."""

    def __init__(self, client: Client, timing: Timing) -> None:
        self.changes: list[str] = []
        self.registry = CollectorRegistry()
        client.metrics = KubeMetrics(self.registry)
        self.reflector = Reflector(
            client, PODS, Pod, namespace="ns", label_selector="app=x", on_change=self._changed, timing=timing
        )

    def _changed(self, old: Pod | None, new: Pod | None) -> None:
        what = "+" if old is None else "-" if new is None else "~"
        item = new or old
        assert item is not None
        stored = self.reflector.store.get((item.metadata.namespace, item.metadata.name))
        assert old is None or stored is None or stored is new or stored.metadata.uid != old.metadata.uid
        self.changes.append(f"{what}{item.metadata.name}@{item.metadata.resource_version}")

    @property
    def pods(self) -> dict[str, str]:
        """Name to resourceVersion."""
        return {name: item.metadata.resource_version for (_, name), item in self.reflector.store.items()}

    async def until(self, pods: dict[str, str]) -> None:
        await eventually(lambda: self.pods == pods, f"{pods} in the store")


@asynccontextmanager
async def reflecting(server: ScriptedServer, timing: Timing = QUICK) -> AsyncIterator[Watched]:
    client = Client(server.config, attempts=3, backoff=Backoff(base_seconds=0.01, cap_seconds=0.02))
    async with client:
        watched = Watched(client, timing)
        task = asyncio.create_task(watched.reflector.run())
        try:
            yield watched
            assert not task.done(), "the reflector must never end by itself"
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_watchlist_fills_the_store_and_goes_on_as_a_watch() -> None:
    async with ScriptedServer() as server:
        server.then(
            server.stream(
                event("ADDED", pod("a", 5)),
                event("ADDED", pod("b", 3)),
                bookmark(7, ends=True),
                event("MODIFIED", pod("a", 8)),
                event("DELETED", pod("b", 9)),
                event("ADDED", pod("c", 10)),
                Hang,
            )
        )
        async with reflecting(server) as watched:
            await watched.until({"a": "8", "c": "10"})
            assert watched.changes == ["+a@5", "+b@3", "~a@8", "-b@9", "+c@10"]
            assert watched.reflector.synced.is_set()
            query = server.requests[0].query
            assert query["sendInitialEvents"] == "true"
            assert query["resourceVersionMatch"] == "NotOlderThan"
            assert query["allowWatchBookmarks"] == "true"
            assert query["labelSelector"] == "app=x"
            assert query["timeoutSeconds"] == "60"
            assert server.requests[0].path == "/api/v1/namespaces/ns/pods"
            assert len(server.requests) == 1


async def test_without_watchlist_it_lists_page_by_page_and_watches_from_there() -> None:
    async with ScriptedServer(
        NO_WATCHLIST,
        answer(page([pod("a", 1), pod("b", 2)], 10, "token")),
        answer(page([pod("c", 3)], 10)),
    ) as server:
        server.then(server.stream(event("MODIFIED", pod("c", 11)), Hang))
        async with reflecting(server) as watched:
            await watched.until({"a": "1", "b": "2", "c": "11"})
            queries = [seen.query for seen in server.requests]
            assert queries[1] == {"limit": "2", "labelSelector": "app=x"}
            assert queries[2]["continue"] == "token"
            assert queries[3]["resourceVersion"] == "10"
            assert "sendInitialEvents" not in queries[3]
