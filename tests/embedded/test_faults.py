"""pie's controller on the embedded cluster: real probes, real I/O, faults that it has to see and clear."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pie import leash
from pie.cli.stories import STORIES
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.faults import FAULTS, FaultError
from pie.embedded.kinds import NODES, PVCS, find
from pie.embedded.machines import STORAGE_CLASS
from tests.embedded.conftest import PlainApi, Start
from tests.faults.matrix import ROWS
from tests.faults.row import Expected, Given, Moment
from tests.faults.said import Said
from tests.harness import GROUP, ON_TIME, PERFORMANCE, Pie, apply_probe, gone, pieprobe, until
from tests.probe.conftest import demand

pytestmark = pytest.mark.timeout(180)

PROBES = f"{GROUP}/namespaces/pie/pieprobes"
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


NEW_VOLUMES = "new-volumes"
"""The PieProbe that probes the provision of volumes; the others are named as the node that each probes."""


class Scene:
    """A cluster with a controller that probes it: a PieProbe for each node, as the matrix has its lanes."""

    def __init__(self, cluster: EmbeddedCluster, api: PlainApi, pie: Pie) -> None:
        self.cluster = cluster
        self.api = api
        self.pie = pie

    async def probe(self, name: str, node: str, **spec: Any) -> None:
        """Apply a PieProbe that probes one node."""
        rule = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        spec = {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}, **SPEC, **spec}
        await apply_probe(self.api, "pie", pieprobe(name, STORAGE_CLASS, "", **spec))

    async def said(self, probe: str) -> Said:
        """Return what pie says of a PieProbe now."""
        status = (await self.api.get(f"{PROBES}/{probe}")).get("status") or {}
        return Said(probe, status, await self.pie.samples())

    async def says(self, fault: str, probe: str) -> None:
        """Return when pie says of a fault what it must say of the real one."""
        wanted = expected(fault, "" if probe == NEW_VOLUMES else probe)
        given = Given()

        async def found() -> bool:
            nonlocal given
            said = await self.said(probe)
            given = said.incident(()) if wanted.incident else said.suppression()
            return wanted.matches(given)

        try:
            await until(found, "", 90, every_seconds=0.5)
        except AssertionError:
            raise AssertionError(f"of {fault} pie says {given}, not {wanted}") from None

    async def well(self, *probes: str) -> None:
        """Return when all is well with these PieProbes, which have a target each."""

        async def found() -> bool:
            return all([(await self.said(probe)).well(1) for probe in probes])

        await until(found, f"all is well with {probes}", 90, every_seconds=0.5)

    async def failures(self, node: str) -> float:
        """Return how many runs failed on a node."""
        return await self.pie.value(PERFORMANCE, node=node, succeed="false") or 0


@asynccontextmanager
async def scene(
    start: Start, nodes: int, minute_seconds: float = MINUTE_SECONDS, **spec: Any
) -> AsyncIterator[Scene]:
    cluster = await start(
        nodes=nodes, minute_seconds=minute_seconds, node_grace_seconds=3.0, probe_options=("--size", "4M")
    )
    async with PlainApi(cluster.front.address) as api, Pie(cluster.kubeconfig, "pie") as pie:
        stage = Scene(cluster, api, pie)
        for node in cluster.machines:
            await stage.probe(node, node, disableProvisionProbe=True, **spec)
        yield stage


ROW_OF = {
    "plugin-crash": "node plugin gone on one node",
    "eio": "I/O errors (filesystem shut down)",
    "volume-full": "volume full",
    "read-only": "filesystem read-only",
    "corruption": "bytes of the volume are wrong",
    "data-loss": "volume emptied between two runs",
    "hang": "I/O hangs (fsfreeze)",
    "provisioner-down": "csi-provisioner gone",
    "pool-full": "pool full",
    "cordon": "node cordoned",
    "taint": "node tainted for others",
    "kubelet-down": "kubelet gone",
    "reboot": "node reboots",
    "new-node": "new node with the taint of its CNI",
}
"""The row of the matrix of real nodes that has the same fault: pie has to say the same of both."""

DIFFERS = {
    "slow-disk": "fio is stopped four fifths of the time, so its slowest I/O is slow, and the typical one, by"
    " which pie judges a disk, is not: it is measured, and not held against the storage",
    "api-slow": "the matrix breaks parts of the control plane, and none of them is slow",
    "api-gone": "the real API server is never taken away: those who break things need it",
}
"""The faults whose outcome is not that of a row, and why."""

ON_A_NODE = ("plugin-crash", "eio", "volume-full", "read-only", "corruption", "data-loss", "hang")
MAINTENANCE = ("cordon", "taint", "kubelet-down", "reboot")


def expected(fault: str, node: str = "") -> Expected:
    """Return what pie must say of a fault, on a node or of the class, by the row of the real one."""
    rows = [row for row in ROWS if row.title == ROW_OF[fault] and row.moment is Moment.QUIET]
    return replace(rows[0].expected, nodes=(node,) if node else ())


def test_every_fault_is_one_of_the_matrix_of_real_nodes_or_it_is_said_why_not() -> None:
    assert sorted(ROW_OF | DIFFERS) == sorted(FAULTS)
    assert ROW_OF.keys().isdisjoint(DIFFERS)
    assert {fault: expected(fault).reason for fault in ROW_OF}


def test_a_story_waits_for_what_pie_says_of_the_real_faults() -> None:
    steps = [step for story in STORIES.values() for step in story.steps if step.until]
    injected = [[fault.partition(" ")[0] for fault in step.inject] for step in steps]
    assert {"pool-full", "hang"} <= {fault for faults in injected for fault in faults}, (
        "nothing else waits for them"
    )
    for step, faults in zip(steps, injected, strict=True):
        assert step.until == {(expected(fault).stage, expected(fault).reason) for fault in faults}


@pytest.mark.real  # for its length only
@pytest.mark.skipif(not leash.supported(), reason="this machine cannot make system calls fail")
async def test_of_every_fault_pie_says_what_it_says_of_the_real_one_and_deleted_probes_leave_nothing(
    start_embedded: Start,
) -> None:
    """All at once, one to a node, and one node without any: it must stay well."""
    where = {fault: f"node-{i + 2}" for i, fault in enumerate(ON_A_NODE)}
    # Slower than the others, since two cores may have other work than the probes of eight nodes.
    async with scene(start_embedded, len(ON_A_NODE) + 1, minute_seconds=6, deadline="11s") as stage:
        await stage.probe(NEW_VOLUMES, "node-1", disableMountProbes=True)
        probes = [*stage.cluster.machines, NEW_VOLUMES]
        await stage.well(*probes)
        await everything_is_measured(stage)
        before = await stage.failures("node-1"), await stage.failures(where["hang"])
        for fault, node in where.items():
            await stage.cluster.faults.inject(fault, node)
        await stage.cluster.faults.inject("provisioner-down", "node-1")
        async with asyncio.TaskGroup() as group:
            group.create_task(stage.says("provisioner-down", NEW_VOLUMES))
            for fault, node in where.items():
                if fault != "hang":
                    group.create_task(stage.says(fault, node))
        # The incident of a hang takes another due time: to this controller, which counts in whole minutes,
        # two minutes later. The story of disks waits for it.
        hung = {"node": where["hang"], "succeed": "false"}
        await stage.pie.until_value(PERFORMANCE, lambda value: value > before[1], **hung)
        for fault, at in sorted(stage.cluster.faults.active):
            await stage.cluster.faults.clear(fault, at)
        await stage.well(*probes)
        assert await stage.failures("node-1") == before[0]
        assert await stage.failures(where["hang"]) == before[1] + 1
        await nothing_is_left(stage)


@pytest.mark.real  # for its length only
async def test_of_maintenance_pie_says_what_it_says_of_the_real_one_and_nothing_else(
    start_embedded: Start,
) -> None:
    where = {fault: f"node-{i + 2}" for i, fault in enumerate((*MAINTENANCE, "new-node"))}
    spec = {
        "suppression": {"newNodeGrace": "0s", "rebootGrace": "10s"},
        # No run shall be late for want of a processor.
        "probeThreshold": "40s",
        "deadline": "40s",
    }
    async with scene(start_embedded, len(where), **spec) as stage:
        await stage.well(*stage.cluster.machines)
        await stage.probe(where["new-node"], where["new-node"], disableProvisionProbe=True)
        for fault in MAINTENANCE:
            await stage.cluster.faults.inject(fault, where[fault])
        await stage.cluster.faults.inject("new-node")
        async with asyncio.TaskGroup() as group:
            for fault, node in where.items():
                group.create_task(stage.says(fault, node))
        for fault, at in sorted(stage.cluster.faults.active):
            await stage.cluster.faults.clear(fault, at)
        await stage.well(*stage.cluster.machines)
        for node in stage.cluster.machines:
            said = await stage.said(node)
            assert said.bad.total() == 0, node
            assert said.incidents == [], node


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
    for probe in (*stage.cluster.machines, NEW_VOLUMES):
        await stage.api.delete(f"{PROBES}/{probe}")
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
    async with scene(start_embedded, 2) as stage:
        await stage.well("node-1", "node-2")
        await stage.cluster.faults.inject("slow-disk", "node-2")
        name = "pie_io_write_latency_on_mount_probe_seconds"

        async def slower() -> bool:
            samples = await stage.pie.samples()
            usual, slow = (samples.value(name, node=node) or 0 for node in ("node-1", "node-2"))
            return slow > 2 * usual > 0

        await until(slower, "the slow node's latency is twice the other's or more", 40)


async def test_a_fault_that_is_unknown_or_has_no_place_is_refused_in_words(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=1)
    with pytest.raises(FaultError, match="there is no fault 'flood'; there are: api-gone"):
        await cluster.faults.inject("flood")
    with pytest.raises(FaultError, match="there is no node 'node-9'; there are: node-1"):
        await cluster.faults.inject("hang", "node-9")
    with pytest.raises(FaultError, match="nothing to corrupt"):
        await cluster.faults.inject("corruption", "node-1")
    assert all(fault.meaning.endswith(".") for fault in FAULTS.values())


async def standing_volume(cluster: EmbeddedCluster, node: str) -> Path:
    """Make a claim as a mount probe's, with something in its volume; return the volume's records."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": STORAGE_CLASS,
        "resources": {"requests": {"storage": "1Mi"}},
    }
    about = {"name": node, "annotations": {"volume.kubernetes.io/selected-node": node}}
    cluster.registry.create(PVCS, {"metadata": about, "spec": spec}, "pie")

    async def bound() -> Any:
        return find(cluster.registry.get(PVCS, "pie", node), "spec.volumeName")

    volume: str = await until(bound, "the claim is bound")
    records = cluster.machines[node].volumes / volume / ".pie/records"
    records.parent.mkdir()
    records.write_bytes(bytes(200))
    return records


async def test_a_fault_that_is_there_already_is_not_made_again(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=2)
    records = [await standing_volume(cluster, node) for node in ("node-1", "node-2")]
    faults = cluster.faults
    await faults.inject("corruption", "node-1")
    await faults.inject("corruption")
    assert all(each.read_bytes().count(0xFF) == 1 for each in records)
    await faults.clear("corruption")
    await faults.clear("corruption")
    assert all(each.read_bytes() == bytes(200) for each in records)
    await faults.inject("data-loss", "node-2")
    await faults.inject("data-loss")
    assert not any(each.exists() for each in records)
    await faults.clear("data-loss")
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

    await cluster.faults.inject("cordon", "node-2")
    cluster.registry.delete(NODES, "", "node-1")
    with pytest.raises(FaultError, match=r'cordon on node-1: nodes "node-1" not found$'):
        await cluster.faults.inject("cordon")
    assert unschedulable() == [True, True]
    assert cluster.faults.active == {("cordon", "node-2"), ("cordon", "node-3")}
    cluster.registry.delete(NODES, "", "node-2")
    with pytest.raises(FaultError, match=r'cordon on node-2: nodes "node-2" not found$'):
        await cluster.faults.clear("cordon")
    assert unschedulable() == [False]
    assert cluster.faults.active == set()
    await cluster.faults.inject("new-node")
    await cluster.faults.clear("new-node")
    assert [find(node, "spec.taints") for node in cluster.store.all(NODES)] == [[], []]
