"""What the actors make of objects that somebody made, or took away, by hand."""

import asyncio
from typing import Any

import pytest

from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.errors import ActorDied, Refused
from pie.embedded.kinds import NODES, PODS, PVCS, PVS, condition, find
from pie.embedded.machines import DRIVER, STORAGE_CLASS
from tests.embedded.conftest import Start
from tests.harness import until


async def pod_with_claim(cluster: EmbeddedCluster, name: str) -> str:
    """Make a pod with a claim, and wait for its node; return the claim's volume."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": STORAGE_CLASS,
        "resources": {"requests": {"storage": "1Mi"}},
    }
    cluster.registry.create(PVCS, {"metadata": {"name": name}, "spec": spec}, "pie")
    await pod(cluster, name, claim=name)
    volume: str = find(cluster.registry.get(PVCS, "pie", name), "spec.volumeName")
    return volume


def make_pod(cluster: EmbeddedCluster, name: str, claim: str) -> None:
    """Make a pod that uses a claim."""
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
    spec = {"containers": [{"name": "c", "image": "i"}], "volumes": volumes}
    cluster.registry.create(PODS, {"metadata": {"name": name}, "spec": spec}, "pie")


async def pod(cluster: EmbeddedCluster, name: str, claim: str) -> None:
    """Make a pod that uses a claim, and wait for its node."""
    make_pod(cluster, name, claim)

    async def placed() -> Any:
        return find(cluster.registry.get(PODS, "pie", name), "spec.nodeName")

    await until(placed, f"{name} has a node")


async def test_a_pod_whose_volume_was_deleted_says_so_and_others_are_scheduled(
    start_embedded: Start,
) -> None:
    cluster = await start_embedded(nodes=1)
    volume = await pod_with_claim(cluster, "first")
    cluster.registry.delete(PVS, "", volume)
    make_pod(cluster, "a-pod", claim="first")
    await pod_with_claim(cluster, "later")
    said = condition(cluster.registry.get(PODS, "pie", "a-pod"), "PodScheduled")
    assert said["message"] == f'persistentvolume "{volume}" not found'


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"claimRef": {"namespace": "pie", "name": "x"}},
        {"claimRef": {"namespace": "pie", "name": "x", "uid": "u"}},
    ],
    ids=["unclaimed", "pre-bound", "of another machine"],
)
async def test_a_volume_of_the_driver_that_was_made_by_hand_is_left_alone(
    start_embedded: Start, more: dict[str, Any]
) -> None:
    cluster = await start_embedded(nodes=1)
    spec = {"accessModes": ["ReadWriteOnce"], "csi": {"driver": DRIVER, "volumeHandle": "x"}, **more}
    with pytest.raises(Refused, match=r"spec\.capacity\.storage: Required value"):
        cluster.registry.create(PVS, {"metadata": {"name": "by-hand"}, "spec": spec})
    spec["capacity"] = {"storage": "1Gi"}
    cluster.registry.create(PVS, {"metadata": {"name": "by-hand"}, "spec": spec})
    await pod_with_claim(cluster, "first")
    assert cluster.registry.find(PVS, "", "by-hand") is not None


async def run_until_an_actor_dies() -> None:
    async with EmbeddedCluster(nodes=1) as cluster:
        # No client can write this: admission would refuse it.
        cluster.store.write(NODES, {"kind": "Node", "metadata": {"name": "node-0"}})
        await asyncio.wait([cluster.running], timeout=10)


async def test_an_actor_that_dies_ends_the_cluster_and_says_which_and_of_what() -> None:
    with pytest.raises(ActorDied, match="watch_nodes met KeyError"):
        await run_until_an_actor_dies()
