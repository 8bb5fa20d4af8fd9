"""What a controller of many nodes costs: memory and CPU until the desired state is there, and at rest.

Runs on a real API server whose nodes are objects only: nothing runs on them, so what is measured is what it
takes to know them, their CronJobs and their claims:

    python bench/nodes.py [--nodes 1000 5000]
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.api_writes import NAMESPACE, reconcile
from testbed.cluster import Cluster
from tests.harness import Pie
from tests.real.conftest import install_crd

AT_ONCE = 32
REST_SECONDS = 60


async def measure(nodes: int) -> None:
    """Make the nodes, let pie make its objects, and print what that cost."""
    async with Cluster(kube_controller_manager=False, kube_scheduler=False) as cluster:
        await install_crd(cluster.api)
        await cluster.create_namespace(NAMESPACE)
        late = {"provisioner": "none", "volumeBindingMode": "WaitForFirstConsumer"}
        await cluster.api.create(
            "/apis/storage.k8s.io/v1/storageclasses", {"metadata": {"name": "kwok"}, **late}
        )
        gate = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for number in range(nodes):
                group.create_task(_make(cluster, gate, _node(number)))
        async with Pie(cluster.kubeconfig, NAMESPACE, "--leader-elect") as pie:
            await pie.leads()
            await _print(pie, f"{nodes} nodes, none of them probed")
            await reconcile(cluster, pie, nodes, timeout_seconds=600, every_seconds=1)
            await _print(pie, f"{nodes} nodes, {2 * nodes} objects made")
            used = await pie.value("process_cpu_seconds_total") or 0.0
            await asyncio.sleep(REST_SECONDS)
            more = (await pie.value("process_cpu_seconds_total") or 0.0) - used
            await _print(pie, f"{nodes} nodes at rest: {100 * more / REST_SECONDS:.1f} % of a CPU")


async def _make(cluster: Cluster, gate: asyncio.Semaphore, node: dict[str, Any]) -> None:
    async with gate:
        await cluster.api.create("/api/v1/nodes", node)


def _node(number: int) -> dict[str, Any]:
    """Return a Node as large as they are: fifty images in its status, some 10 KB."""
    name = f"node-{number:05d}"
    images = [
        {"names": [f"registry.example.com/some/image-{each}@sha256:{each:064x}"], "sizeBytes": 123456789}
        for each in range(50)
    ]
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is ready"}
    stamps = {"lastTransitionTime": "2026-01-01T00:00:00Z", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
    return {
        "metadata": {"name": name, "labels": {"type": "kwok", "kubernetes.io/hostname": name}},
        "status": {"conditions": [{**ready, **stamps}], "images": images},
    }


async def _print(pie: Pie, what: str) -> None:
    resident = await pie.value("process_resident_memory_bytes") or 0.0
    used = await pie.value("process_cpu_seconds_total") or 0.0
    print(f"{what}: {resident / 1e6:.0f} MB resident, {used:.1f} s of CPU so far", flush=True)


async def main(sizes: list[int]) -> None:
    """Measure one size after the other, each on a new API server."""
    for nodes in sizes:
        await measure(nodes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, nargs="+", default=[1000, 5000])
    asyncio.run(main(parser.parse_args().nodes))
