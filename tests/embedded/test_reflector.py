"""pie's reflector on the embedded API server: gaps, forgotten history, a server that goes and comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pie.core.wire import PieProbe
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.kinds import PIE_PROBES as PROBES
from pie.kube.backoff import Backoff
from pie.kube.client import Client
from pie.kube.config import load
from pie.kube.reflector import Reflector
from pie.kube.resources import PIE_PROBES
from pie.kube.timing import Timing
from tests.embedded.conftest import Start
from tests.embedded.server import pieprobe
from tests.harness import until

QUICK = Timing(backoff=Backoff(base_seconds=0.05, cap_seconds=0.2), page_size=2)


class Copy:
    """A reflector's copy, and every change that was told."""

    def __init__(self, client: Client) -> None:
        self.told: list[tuple[str, str]] = []
        self.reflector = Reflector(
            client, PIE_PROBES, PieProbe, namespace="pie", on_change=self._changed, timing=QUICK
        )

    def _changed(self, old: PieProbe | None, new: PieProbe | None) -> None:
        how = "added" if old is None else "deleted" if new is None else "changed"
        item = new or old
        assert item is not None
        self.told.append((how, item.metadata.name))

    async def until(self, names: str) -> None:
        async def equal() -> bool:
            return sorted(name for _, name in self.reflector.store) == list(names)

        await until(equal, f"the copy holds {names!r}", 60, 0.02)


@asynccontextmanager
async def copy_of(cluster: EmbeddedCluster) -> AsyncIterator[Copy]:
    async with Client(load(str(cluster.kubeconfig))) as client:
        copy = Copy(client)
        running = asyncio.create_task(copy.reflector.run())
        try:
            yield copy
        finally:
            running.cancel()
            await asyncio.wait([running])


def make(cluster: EmbeddedCluster, names: str) -> None:
    for name in names:
        cluster.registry.create(PROBES, pieprobe(name), "pie")


async def test_the_copy_follows_every_change(start_embedded: Start) -> None:
    cluster = await start_embedded()
    make(cluster, "ab")
    async with copy_of(cluster) as copy:
        await copy.until("ab")
        make(cluster, "c")
        cluster.registry.delete(PROBES, "pie", "a")
        await copy.until("bc")
        cluster.registry.change(PROBES, "pie", "b", lambda item: item["spec"].update(probePeriod=5))

        async def changed() -> bool:
            return copy.told[-1] == ("changed", "b")

        await until(changed, "the reflector reported the change", 60, 0.02)
        assert sorted(copy.told[:2]) == [("added", "a"), ("added", "b")]


async def test_what_happened_while_the_server_was_gone_and_forgotten_is_found(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=1)
    make(cluster, "abcde")
    async with copy_of(cluster) as copy:
        await copy.until("abcde")
        await cluster.faults.inject("api-gone")
        cluster.registry.delete(PROBES, "pie", "a")
        make(cluster, "f")
        cluster.store._history.clear()
        cluster.store.oldest = cluster.store.version
        await cluster.faults.clear("api-gone")
        await copy.until("bcdef")
        assert copy.told[5:] == [("deleted", "a"), ("added", "f")]


async def test_what_happened_while_the_server_was_gone_is_watched_from_where_it_was(
    start_embedded: Start,
) -> None:
    cluster = await start_embedded(nodes=1)
    make(cluster, "ab")
    async with copy_of(cluster) as copy:
        await copy.until("ab")
        await cluster.faults.inject("api-gone")
        make(cluster, "c")
        await cluster.faults.clear("api-gone")
        await copy.until("abc")
        assert copy.told[2:] == [("added", "c")]
