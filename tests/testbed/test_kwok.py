"""Simulated nodes: pods end on them with a result of pie's probe, and claims get volumes and lose them."""

from collections.abc import Awaitable, Callable
from typing import Any

from pie.core.result import decode
from testbed.audit import Write
from testbed.cluster import Cluster
from tests.testbed.waiting import until

StartCluster = Callable[..., Awaitable[Cluster]]
PODS = "/api/v1/namespaces/default/pods"


async def test_a_pod_pinned_to_a_simulated_node_mounts_an_ephemeral_volume_and_ends_with_a_result(
    start_cluster: StartCluster,
) -> None:
    cluster = await start_cluster(kwok_nodes=3)
    await cluster.api.create(PODS, probe_pod(node="kwok-2"))

    pod = await until(
        lambda: cluster.api.get(f"{PODS}/probe"), lambda pod: pod["status"]["phase"] == "Succeeded"
    )
    assert pod["spec"]["nodeName"] == "kwok-2"
    result = decode(pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"])
    assert (result.ok, result.probe) == (True, "mount")
    volumes = await cluster.api.items("/api/v1/persistentvolumes")
    assert [volume["spec"]["claimRef"]["name"] for volume in volumes] == ["probe-volume"]

    await cluster.api.delete(f"{PODS}/probe")
    await until(lambda: cluster.api.items("/api/v1/persistentvolumes"), lambda left: not left)
    assert cluster.audit.count_writes()[Write("testbed-binder", "create", "persistentvolumes")] == 1


def probe_pod(*, node: str) -> dict[str, Any]:
    """Return a pod with a fresh volume, labelled as pie labels a mount probe."""
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "kwok",
        "resources": {"requests": {"storage": "100Mi"}},
    }
    by_name = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [by_name]}}
    return {
        "metadata": {"name": "probe", "labels": {"storage-class": "kwok", "node": node}},
        "spec": {
            "restartPolicy": "Never",
            "affinity": {"nodeAffinity": affinity},
            "containers": [{"name": "probe", "image": "pie.test/pie:dev"}],
            "volumes": [{"name": "volume", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}],
        },
    }
