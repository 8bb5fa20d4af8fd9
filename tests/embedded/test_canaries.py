"""Canaries on the embedded cluster: real I/O on files, and faults that pie has to see."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pie.embedded import childprocess
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.kinds import EVENTS, PODS, PVCS, PVS, Json, find
from pie.embedded.machines import STORAGE_CLASS
from tests.duesoon import due_soon
from tests.embedded.conftest import PlainApi, Start
from tests.harness import GROUP, Pie, apply_probe, pieprobe, until

pytestmark = pytest.mark.timeout(400)

SPEC: dict[str, Any] = {
    "disableProvisionProbe": True,
    "disableMountProbes": True,
    "probeThreshold": "30s",
    "suppression": {"newNodeGrace": "0s", "rebootGrace": "0s"},
}

OK = ("True", "OK")
FEATURE = {"True": ("yes", "yes"), "False": ("yes", "no"), "Unknown": ("no", "unknown")}
"""By the status of the condition: whether the page says that the feature is offered, and that it works."""


async def features(pie: Pie) -> list[tuple[str, str, str]]:
    """Return what the page says of the features of all PieProbes."""
    async with aiohttp.ClientSession(pie.address) as session, session.get("/api/v1/overview") as answer:
        probes = (await answer.json())["probes"]
    return [(each["name"], each["offered"], each["works"]) for probe in probes for each in probe["features"]]


@pytest.mark.parametrize(
    ("canary", "condition", "faults"),
    [
        pytest.param(
            "block",
            "BlockHealthy",
            {"io-error": ("False", "IOError")},
            marks=pytest.mark.skipif(
                not childprocess.supported(), reason="this machine cannot make system calls fail"
            ),
        ),
        (
            "clone",
            "CloneHealthy",
            {"clones-other": ("False", "CloneDiffers"), "clones-refused": ("Unknown", "NotOffered")},
        ),
    ],
)
async def test_a_feature_is_proved_or_called_bad_or_not_offered_and_nothing_is_left(
    tmp_path: Path, canary: str, condition: str, faults: dict[str, tuple[str, str]]
) -> None:
    async with asyncio.TaskGroup() as group:
        for fault, expected in (("", OK), *faults.items()):
            group.create_task(said_of(tmp_path / f"cluster-{fault}", canary, condition, fault, expected))


async def said_of(
    directory: Path, canary: str, condition: str, fault: str, expected: tuple[str, str]
) -> None:
    """See what the first run of a new PieProbe says in a cluster with a fault."""
    async with (
        EmbeddedCluster(nodes=2, directory=directory) as cluster,
        PlainApi(cluster.front.address) as api,
        Pie(cluster.kubeconfig, "pie") as pie,
    ):
        if fault:
            await cluster.faults.inject(fault)
        name = due_soon("canary", STORAGE_CLASS, "pie", canary=canary)
        spec = {**SPEC, "canaries": {canary: {"period": "1m"}}}
        path = f"{GROUP}/namespaces/pie/pieprobes/{name}"

        async def said() -> tuple[str, str] | None:
            conditions = ((await api.get(path)).get("status") or {}).get("conditions") or []
            found = {each["type"]: (each["status"], each["reason"]) for each in conditions}
            now = found.get(condition, ("", "Pending"))
            return now if now[1] != "Pending" else None

        async def nothing_left() -> bool:
            return not [each for kind in (PODS, PVCS, PVS) for each in cluster.store.all(kind)]

        await apply_probe(api, "pie", pieprobe(name, STORAGE_CLASS, "kubernetes.io/os", **spec))
        assert await until(said, f"a run of {name} ends", 120) == expected
        assert await features(pie) == [(canary, *FEATURE[expected[0]])]
        await api.delete(path)
        await until(nothing_left, "nothing is left", 60)


async def claimed(cluster: EmbeddedCluster) -> Json:
    """Create a PVC of 1 MiB on the only node, and have it ask for 3 MiB when it is bound."""
    claim = {
        "metadata": {"name": "pvc", "annotations": {"volume.kubernetes.io/selected-node": "node-1"}},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    cluster.registry.create(PVCS, claim, "pie")
    bound: Json = await until(lambda: has(cluster, "status.capacity.storage", "1Mi"), "a volume", 30)
    assert size_of(cluster, bound) == 1 << 20
    more = {"requests": {"storage": "3Mi"}}
    cluster.registry.edit(bound, lambda copy: copy["spec"].update(resources=more))
    return bound


def size_of(cluster: EmbeddedCluster, claim: Json) -> int:
    path = cluster.machines["node-1"].volumes / claim["spec"]["volumeName"] / "size"
    return path.stat().st_size


@pytest.mark.parametrize("lies", [False, True])
async def test_a_volume_is_expanded_when_its_pvc_asks_for_more(start_embedded: Start, lies: bool) -> None:
    cluster = await start_embedded(nodes=1)
    if lies:
        await cluster.faults.inject("expands-nothing")
    claim = await claimed(cluster)
    await until(lambda: has(cluster, "status.capacity.storage", "3Mi"), "a larger volume", 30)
    assert size_of(cluster, claim) == (1 if lies else 3) << 20


async def test_a_refused_expansion_is_in_an_event_and_in_the_pvc_until_it_is_done(
    start_embedded: Start,
) -> None:
    cluster = await start_embedded(nodes=1)
    await cluster.faults.inject("expand-refused")
    claim = await claimed(cluster)
    status = "status.allocatedResourceStatuses.storage"
    await until(lambda: has(cluster, status, "ControllerResizeInfeasible"), "the refusal", 30)
    said = [each["message"] for each in cluster.store.all(EVENTS) if each["reason"] == "VolumeResizeFailed"]
    assert "the pool is offline" in said[0]
    assert size_of(cluster, claim) == 1 << 20
    await cluster.faults.clear("expand-refused")
    larger = await until(lambda: has(cluster, "status.capacity.storage", "3Mi"), "a larger volume", 30)
    assert find(larger, status) is None


async def has(cluster: EmbeddedCluster, path: str, value: str) -> Json | None:
    """Return the PVC once it has a value."""
    claim = cluster.registry.get(PVCS, "pie", "pvc")
    return claim if find(claim, path) == value else None
