"""One story on every kind of cluster, embedded, simulated (KWOK) and real nodes: pie has to say the same."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from pie.embedded.machines import STORAGE_CLASS
from testbed import kwok
from testbed.api import Api
from testbed.cluster import Cluster
from testbed.csi.server import TOPOLOGY_KEY
from tests.alerts import Scraper
from tests.embedded.conftest import PlainApi, Start
from tests.faults.row import Given
from tests.faults.said import Said
from tests.harness import GROUP, ON_TIME, PERFORMANCE, Pie, apply_probe, pieprobe, until
from tests.real.conftest import install_crd

# The embedded one, too: for its length only.
pytestmark = [pytest.mark.real, pytest.mark.timeout(420), pytest.mark.usefixtures("promtool")]

NAMESPACE = "pie"
WAIT_SECONDS = 150
SPEC: dict[str, Any] = {"probePeriod": 1, "probeThreshold": "40s", "deadline": "50s"}
COLLECTIONS = (
    f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs",
    f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs",
    f"/api/v1/namespaces/{NAMESPACE}/pods",
    f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims",
    "/api/v1/persistentvolumes",
)


@dataclass(frozen=True)
class Setting:
    """Nodes that the PieProbe `name` selects by a label key, and the class whose volumes they can have."""

    api: Api
    pie: Pie
    name: str
    storage_class: str
    label: str

    async def said(self) -> Said:
        """Return what pie says of the PieProbe now."""
        found = await self.api.get(f"{GROUP}/namespaces/{NAMESPACE}/pieprobes/{self.name}")
        return Said(self.name, found.get("status") or {}, await self.pie.samples())

    async def nodes(self) -> list[str]:
        """Return the names of the nodes."""
        items = await self.api.items("/api/v1/nodes", selector=self.label)
        return sorted(item["metadata"]["name"] for item in items)

    async def series(self) -> list[str]:
        """Return the series about the PieProbe that are left."""
        samples = await self.pie.samples()
        names = (*ON_TIME.values(), PERFORMANCE)
        return [name for name in names for each in samples.all(name) if self.name in each.labels.values()]

    async def of_this_class(self) -> list[str]:
        """Return what there is of CronJobs, Jobs, pods, claims and volumes."""
        found = [each for path in COLLECTIONS for each in await self.api.items(path)]
        return [each["metadata"]["name"] for each in found if self.storage_class in str(each)]


async def story(at: Setting) -> None:
    """Good runs everywhere; a node is cordoned and uncordoned; the PieProbe is deleted."""
    nodes = await at.nodes()
    assert len(nodes) > 1
    began, scraper = time.monotonic(), Scraper(at.pie)
    scraping = asyncio.create_task(scraper.run())
    await apply_probe(at.api, NAMESPACE, pieprobe(at.name, at.storage_class, at.label, **SPEC))

    async def well() -> bool:
        return (await at.said()).well(len(nodes) + 1)

    await until(well, f"all is well with {at.name}", WAIT_SECONDS, every_seconds=0.5)
    before = await at.said()
    assert set(nodes) <= before.good.keys()

    cordon = f"/api/v1/nodes/{nodes[0]}"
    await at.api.patch(cordon, {"spec": {"unschedulable": True}})
    wanted = Given(verdict="suppressed", reason="NodeCordoned", nodes=(nodes[0],))

    async def suppressed() -> bool:
        return (await at.said()).suppression() == wanted

    await until(suppressed, f"{wanted}", WAIT_SECONDS, every_seconds=0.5)
    other = {"pie_probe_name": at.name, "node": nodes[1], "on_time": "true"}
    runs = await at.pie.value(ON_TIME["mount"], **other) or 0
    await at.pie.until_value(ON_TIME["mount"], lambda value: value > runs, WAIT_SECONDS, **other)
    await at.api.patch(cordon, {"spec": {"unschedulable": None}})
    await until(well, f"all is well again with {at.name}", WAIT_SECONDS, every_seconds=0.5)
    again = (await at.said()).good[nodes[0]]

    async def probed_again() -> bool:
        return (await at.said()).good[nodes[0]] > again

    await until(probed_again, f"{nodes[0]} is probed again", WAIT_SECONDS, every_seconds=0.5)
    after = await at.said()
    assert (after.bad.total(), after.incidents) == (0, [])
    assert await scraper.wrong("alert", began, None, pie_probe_name=at.name) == []
    scraping.cancel()

    await at.api.delete(f"{GROUP}/namespaces/{NAMESPACE}/pieprobes/{at.name}")

    async def nothing_left() -> bool:
        return not await at.of_this_class() and not await at.series()

    await until(nothing_left, f"nothing is left of {at.name}", WAIT_SECONDS, every_seconds=0.5)


async def test_on_the_embedded_cluster(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=2, minute_seconds=6, probe_options=("--size", "4M"))
    async with PlainApi(cluster.front.address) as api, Pie(cluster.kubeconfig, NAMESPACE) as pie:
        await story(Setting(api, pie, "embedded", STORAGE_CLASS, "kubernetes.io/hostname"))


async def test_on_simulated_and_on_real_nodes(start_cluster: Callable[..., Awaitable[Cluster]]) -> None:
    cluster = await start_cluster(nodes=2, kwok_nodes=2)
    await install_crd(cluster.api)
    await cluster.create_namespace(NAMESPACE)
    async with Pie(cluster.kubeconfig, NAMESPACE) as pie, asyncio.TaskGroup() as group:
        for name, storage_class, label in (
            ("simulated", kwok.STORAGE_CLASS, "type"),
            ("real", "local", TOPOLOGY_KEY),
        ):
            group.create_task(story(Setting(cluster.api, pie, name, storage_class, label)))
