"""How long a controller takes to answer while thousands of connections send no request, or half of one.

Runs a controller on an embedded cluster; another process holds the connections open:

    python bench/half_open.py [--connections 10000] [--nodes 3]
"""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parent.parent))

from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.kinds import PIE_PROBES
from pie.embedded.machines import STORAGE_CLASS
from tests.harness import Pie
from tests.serve.halfopen import half_open, possible

REQUESTS = 20
LIMIT_SECONDS = 1.0


async def slowest(urls: dict[str, str]) -> dict[str, float]:
    """Return the longest time that each of the URLs took, a new connection for each request."""
    found = dict.fromkeys(urls, 0.0)
    for _ in range(REQUESTS):
        for path, url in urls.items():
            began = time.monotonic()
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                answer.raise_for_status()
                await answer.read()
            found[path] = max(found[path], time.monotonic() - began)
    return found


async def measure(connections: int, nodes: int) -> bool:
    """Print the slowest answers without and with half-open connections; return whether they are in time."""
    async with EmbeddedCluster(nodes=nodes) as cluster:
        rule = {"key": "kubernetes.io/os", "operator": "Exists"}
        selector = {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}
        spec = {"monitoringStorageClass": STORAGE_CLASS, "nodeSelector": selector}
        cluster.registry.create(PIE_PROBES, {"metadata": {"name": "p"}, "spec": spec}, "pie")
        async with Pie(cluster.kubeconfig, "pie") as pie:
            await pie.leads()
            metrics, health = pie.ports
            urls = {
                "/healthz": f"http://127.0.0.1:{health}/healthz",
                "/metrics": f"http://127.0.0.1:{metrics}/metrics",
            }
            print("without:", {path: f"{took:.3f} s" for path, took in (await slowest(urls)).items()})
            number = possible(connections)
            async with half_open(health, number // 2), half_open(metrics, number // 2):
                found = await slowest(urls)
            print(f"with {number} half open:", {path: f"{took:.3f} s" for path, took in found.items()})
            print("load of the machine:", os.getloadavg(), "on", os.cpu_count(), "CPUs")
            return all(took <= LIMIT_SECONDS for took in found.values())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    sys.exit(0 if asyncio.run(measure(options.connections, options.nodes)) else 1)
