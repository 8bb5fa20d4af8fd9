"""The controller on the API server of the oldest Kubernetes. For the CRD see test_crd.py."""

from collections.abc import AsyncIterator

import pytest

from testbed.cluster import Cluster
from tests.harness import Pie, apply_probe, pieprobe, until, until_condition
from tests.real.conftest import install_crd

pytestmark = pytest.mark.real

NAMESPACE = "storage"
STORAGE_CLASS = "fast"


@pytest.fixture
async def oldest(shared_oldest_api_server: str) -> AsyncIterator[Cluster]:
    """Give the API server with the CRD, a StorageClass, and a node that is Ready."""
    async with Cluster.attach(shared_oldest_api_server) as cluster:
        await install_crd(cluster.api)
        await cluster.create_namespace(NAMESPACE)
        await cluster.api.create(
            "/apis/storage.k8s.io/v1/storageclasses",
            {"metadata": {"name": STORAGE_CLASS}, "provisioner": "csi.example.com"},
        )
        await cluster.api.create("/api/v1/nodes", {"metadata": {"name": "n1", "labels": {"type": "worker"}}})
        yield cluster


async def test_a_pieprobe_gets_its_cronjobs_pvcs_and_status(oldest: Cluster) -> None:
    async with Pie(oldest.kubeconfig, NAMESPACE, "--leader-elect") as pie:
        await pie.leads()
        await apply_probe(oldest.api, NAMESPACE, pieprobe("p", STORAGE_CLASS, "type", probeThreshold="30s"))
        await until_condition(oldest.api, NAMESPACE, "p", "Ready", "True")
        cronjobs = f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"
        claims = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"

        async def created() -> bool:
            found = len(await oldest.api.items(cronjobs)), len(await oldest.api.items(claims))
            return found == (2, 1)

        await until(created, "two CronJobs and a PVC")
        assert [entry for entry in pie.entries if entry["level"] in {"error", "critical"}] == []
