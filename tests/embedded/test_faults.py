"""pie's controller on the embedded cluster: real probes, real I/O, faults that it has to see and clear."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from pie.core.reasons import Reason
from pie.embedded import childprocess
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.faults import FAULTS, FaultError
from pie.embedded.kinds import NODES, find
from pie.embedded.machines import STORAGE_CLASS
from tests.embedded.conftest import PlainApi, Start
from tests.embedded.volumes import standing_volume
from tests.faults.matrix import ROWS
from tests.faults.row import Moment
from tests.harness import ON_TIME, PERFORMANCE, Pie, apply_probe, gone, pieprobe, until
from tests.probe.conftest import demand

pytestmark = pytest.mark.timeout(400)

MINUTE_SECONDS = 4
"""How long a minute of the cron schedules lasts here."""
SPEC: dict[str, Any] = {
    "probePeriod": 2,  # so that not all runs are due at once
    "probeThreshold": "5s",
    "deadline": "8s",
    "suppression": {"newNodeGrace": "0s", "rebootGrace": "0s"},
}


@pytest.fixture(autouse=True)
def fio() -> None:
    """Demand fio."""
    demand("fio")


class Scene:
    """A cluster with a controller that probes it."""

    def __init__(self, cluster: EmbeddedCluster, api: PlainApi, pie: Pie) -> None:
        self.cluster = cluster
        self.api = api
        self.pie = pie

    async def verdict(
        self, node: str, verdict: str, reason: Reason | None = None, timeout: float = 90
    ) -> None:
        """Return when the newest verdict on a node's mount target is this one."""

        async def found() -> bool:
            last = self._last(f"mount/p1/{STORAGE_CLASS}/{node}")
            return last[0] == verdict and reason in {None, last[1]}

        try:
            await until(found, "", timeout)
        except AssertionError:
            last = self._last(f"mount/p1/{STORAGE_CLASS}/{node}")
            raise AssertionError(f"{node} is {last}, not {verdict} {reason}") from None

    def _last(self, target: str) -> tuple[str, str]:
        verdicts = [
            (entry["verdict"], entry["reason"])
            for line in self.pie.lines
            if line.startswith("{") and (entry := json.loads(line))["event"] == "verdict"
            if entry["target"] == target
        ]
        return verdicts[-1] if verdicts else ("", "")

    async def failures(self, node: str) -> float:
        """Return how many runs failed on a node."""
        return await self.pie.value(PERFORMANCE, node=node, succeed="false") or 0

    async def healthy(self, *nodes: str) -> None:
        """Return when the newest verdicts on these nodes are ok."""
        async with asyncio.TaskGroup() as group:
            for node in nodes:
                group.create_task(self.verdict(node, "ok"))


@asynccontextmanager
async def scene(
    start: Start, nodes: int, minute_seconds: float = MINUTE_SECONDS, **spec: Any
) -> AsyncIterator[Scene]:
    cluster = await start(nodes=nodes, minute_seconds=minute_seconds, probe_options=("--size", "4M"))
    async with PlainApi(cluster.front.address) as api, Pie(cluster.kubeconfig, "pie") as pie:
        await apply_probe(api, "pie", pieprobe("p1", STORAGE_CLASS, "kubernetes.io/os", **SPEC | spec))
        yield Scene(cluster, api, pie)


ROW_OF = {
    "node-plugin-gone": "node plugin gone on one node",
    "io-error": "I/O errors (filesystem shut down)",
    "full-volume": "volume full",
    "read-only": "filesystem read-only",
    "corrupted": "bytes of the volume are wrong",
    "emptied": "volume emptied between two runs",
    "hang": "I/O hangs (fsfreeze)",
}
"""The row of the matrix of real nodes that has the same fault: pie has to say the same of both."""


def said_of_the_real_one(title: str) -> tuple[str, Reason]:
    """Return the verdict, and its reason, that a row of the matrix expects."""
    (row,) = (row for row in ROWS if row.title == title and row.moment is Moment.QUIET)
    return row.expected.verdict, Reason(row.expected.reason)


ON_A_NODE = {fault: said_of_the_real_one(title) for fault, title in ROW_OF.items()}


@pytest.mark.real  # for its length only
@pytest.mark.skipif(not childprocess.supported(), reason="this machine cannot make system calls fail")
async def test_every_fault_is_told_apart_and_clears_and_a_deleted_probe_leaves_nothing(
    start_embedded: Start,
) -> None:
    """All at once, one to a node, and one node without any: it must stay well."""
    where = {fault: f"node-{i + 2}" for i, fault in enumerate(ON_A_NODE)}
    # Slower than the others, since two cores may have other work than the probes of eight nodes.
    async with scene(start_embedded, len(ON_A_NODE) + 1, minute_seconds=7, deadline="13s") as stage:
        await stage.healthy("node-1", *where.values())
        await everything_is_measured(stage)
        before = await stage.failures("node-1"), await stage.failures(where["hang"])
        for fault, node in where.items():
            await stage.cluster.faults.inject(fault, node)
        await stage.cluster.faults.inject("provisioner-gone")
        async with asyncio.TaskGroup() as group:
            group.create_task(
                stage.pie.until_value(ON_TIME["provision"], lambda value: value >= 1, 60, on_time="false")
            )
            for fault, (verdict, reason) in ON_A_NODE.items():
                group.create_task(stage.verdict(where[fault], verdict, reason))
        good = await stage.pie.value(ON_TIME["provision"], on_time="true") or 0
        for fault, at in sorted(stage.cluster.faults.active):
            await stage.cluster.faults.clear(fault, at)
        await stage.healthy(*where.values())
        await stage.pie.until_value(ON_TIME["provision"], lambda value: value > good, on_time="true")
        assert await stage.failures("node-1") == before[0]
        assert await stage.failures(where["hang"]) == before[1] + 1
        await nothing_is_left(stage)


async def everything_is_measured(stage: Scene) -> None:
    labels = {"node": "node-1", "on_time": "true"}
    await stage.pie.until_value(ON_TIME["mount"], lambda value: value >= 1, **labels)
    await stage.pie.until_value(ON_TIME["provision"], lambda value: value >= 1, on_time="true")
    samples = await stage.pie.samples()
    for direction in ("read", "write"):
        latency = samples.value(f"pie_io_{direction}_latency_on_mount_probe_seconds", node="node-1")
        assert latency is not None
        assert latency > 0
    records = list(stage.cluster.directory.glob("volumes/node-1/*/.pie/records"))
    assert records[0].stat().st_size > 0


async def nothing_is_left(stage: Scene) -> None:
    await stage.api.delete("/apis/pie.topolvm.io/v1alpha1/namespaces/pie/pieprobes/p1")
    for plural in ("pods", "persistentvolumeclaims"):
        await until(lambda plural=plural: gone(stage.api, f"/api/v1/namespaces/pie/{plural}"), plural)
    await until(lambda: gone(stage.api, "/api/v1/persistentvolumes"), "the volumes are gone")
    assert list(stage.cluster.directory.glob("volumes/*/*")) == []


async def test_a_full_pool_refuses_a_claim_in_the_drivers_words(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=1, pool_bytes=1024**3)
    async with PlainApi(cluster.front.address) as api:
        path = "/api/v1/namespaces/pie/persistentvolumeclaims"
        for name in ("first", "second"):
            spec = {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": STORAGE_CLASS,
                "resources": {"requests": {"storage": "1Gi"}},
            }
            annotations = {"volume.kubernetes.io/selected-node": "node-1"}
            await api.create(path, {"metadata": {"name": name, "annotations": annotations}, "spec": spec})

        async def refused() -> bool:
            events = await api.items("/api/v1/namespaces/pie/events")
            about = {
                each["involvedObject"]["name"] for each in events if "ResourceExhausted" in each["message"]
            }
            return about == {"second"}

        await until(refused, "the second claim is refused")
        assert (await api.get(f"{path}/first"))["status"]["phase"] == "Bound"


@pytest.mark.real  # for its length only
async def test_slow_io_is_measured(start_embedded: Start) -> None:
    async with scene(start_embedded, 2, disableProvisionProbe=True) as stage:
        await stage.healthy("node-1", "node-2")
        await stage.cluster.faults.inject("slow", "node-2")
        name = "pie_io_write_latency_on_mount_probe_seconds"

        async def slower() -> bool:
            samples = await stage.pie.samples()
            usual, slow = (samples.value(name, node=node) or 0 for node in ("node-1", "node-2"))
            return slow > 2 * usual > 0

        await until(slower, "the slow node's latency is twice the other's or more", 40)


@pytest.mark.real  # for its length only
async def test_probes_do_the_io_of_the_spec_and_are_slow_above_its_limit(start_embedded: Start) -> None:
    io = {"size": "1M", "readWrite": "randwrite", "ioDepth": 4, "rateIops": 4096, "maxLatency": "1us"}
    spec = {"io": io, "integrity": {"enabled": False}, "disableProvisionProbe": True}
    async with scene(start_embedded, 1, **spec) as stage:
        await stage.verdict("node-1", "late", Reason.IO_SLOW)
        samples = await stage.pie.samples()
        assert samples.value("pie_io_write_latency_on_mount_probe_seconds", node="node-1")
        assert samples.value("pie_io_read_latency_on_mount_probe_seconds", node="node-1") == 0
        assert samples.value(PERFORMANCE, node="node-1", succeed="false") == 0
        # The page and `pie explain` say it.
        url = f"{stage.pie.address}/api/v1/targets/p1/mount?node=node-1"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            detail = await answer.json()
        assert detail["options"].startswith("--size 1M --read-write randwrite")
        assert detail["max_latency_seconds"] == 1e-6
        assert samples.value("pie_io_latency_seconds_count", direction="write", statistic="p99")
        (own,) = stage.cluster.directory.glob("volumes/node-1/*/.pie")
        assert (own / "fio" / "job").stat().st_size == 2**20
        assert not (own / "records").exists()


async def test_a_fault_that_is_unknown_or_has_no_place_is_refused_in_words(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=1)
    with pytest.raises(FaultError, match="there is no fault 'flood'; there are: api-gone"):
        await cluster.faults.inject("flood")
    with pytest.raises(FaultError, match="there is no node 'node-9'; there are: node-1"):
        await cluster.faults.inject("hang", "node-9")
    with pytest.raises(FaultError, match="nothing to corrupt"):
        await cluster.faults.inject("corrupted", "node-1")
    assert all(fault.meaning.endswith(".") for fault in FAULTS.values())


async def test_a_fault_that_is_there_already_is_not_made_again(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=2)
    records = [await standing_volume(cluster, node) for node in ("node-1", "node-2")]
    faults = cluster.faults
    await faults.inject("corrupted", "node-1")
    await faults.inject("corrupted")
    assert all(each.read_bytes().count(0xFF) == 1 for each in records)
    await faults.clear("corrupted")
    await faults.clear("corrupted")
    assert all(each.read_bytes() == bytes(200) for each in records)
    await faults.inject("emptied", "node-2")
    await faults.inject("emptied")
    assert not any(each.exists() for each in records)
    await faults.clear("emptied")
    assert all(each.exists() for each in records)
    await faults.inject("new-node")
    await faults.inject("new-node")
    assert list(cluster.machines) == ["node-1", "node-2", "node-3"]
    await faults.inject("api-gone")
    await faults.inject("api-gone")
    assert faults.active == {("new-node", ""), ("api-gone", "")}
    await faults.clear("api-gone")
    assert cluster.front.reachable


async def test_a_node_that_is_gone_keeps_no_other_from_having_a_fault_or_losing_it(
    start_embedded: Start,
) -> None:
    cluster = await start_embedded(nodes=3)

    def unschedulable() -> list[bool]:
        return [find(node, "spec.unschedulable") for node in cluster.store.all(NODES)]

    await cluster.faults.inject("cordoned", "node-2")
    cluster.registry.delete(NODES, "", "node-1")
    with pytest.raises(FaultError, match=r'cordoned on node-1: nodes "node-1" not found$'):
        await cluster.faults.inject("cordoned")
    assert unschedulable() == [True, True]
    assert cluster.faults.active == {("cordoned", "node-2"), ("cordoned", "node-3")}
    cluster.registry.delete(NODES, "", "node-2")
    with pytest.raises(FaultError, match=r'cordoned on node-2: nodes "node-2" not found$'):
        await cluster.faults.clear("cordoned")
    assert unschedulable() == [False]
    assert cluster.faults.active == set()
    await cluster.faults.inject("new-node")
    await cluster.faults.clear("new-node")
    assert [find(node, "spec.taints") for node in cluster.store.all(NODES)] == [[], []]


async def test_a_reboot_that_was_ended_by_hand_does_not_end_the_next_one(
    start_embedded: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pie.embedded.faults._REBOOT_SECONDS", 0.6)
    cluster, loop = await start_embedded(nodes=1), asyncio.get_running_loop()
    await cluster.faults.inject("reboot", "node-1")
    await asyncio.sleep(0.3)  # into the first one's time
    await cluster.faults.clear("reboot", "node-1")
    again_at = loop.time()
    await cluster.faults.inject("reboot", "node-1")

    async def back() -> bool:
        return not cluster.faults.active

    await until(back, "the machine is back", 60)
    assert loop.time() - again_at >= 0.6


async def test_an_api_server_whose_port_was_taken_stays_gone_until_it_is_free_again(
    start_embedded: Start,
) -> None:
    cluster = await start_embedded(nodes=1)
    port = int(cluster.front.address.rpartition(":")[2])
    await cluster.faults.inject("api-gone")
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(FaultError, match=r"api-gone on the cluster: .*in use"),
    ):
        await cluster.faults.clear("api-gone")
    assert cluster.faults.active == {("api-gone", "")}
    assert not cluster.front.reachable
    await cluster.faults.clear("api-gone")
    assert cluster.front.reachable
