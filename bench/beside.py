"""How long an application waits for its storage beside pie, on a control plane with its default limits.

An application creates a PVC and a pod every few seconds on a real control plane with simulated (KWOK) nodes,
first alone, then beside pie: with CronJobs, with `runner: Pod`, and with that and a budget:

    python bench/beside.py [--nodes 300] [--minutes 5]

It prints how long the PVCs needed until they were bound, and the pods until they ran, and which requests the
clients of the control plane held back (client-go: "Waited before sending request").
"""

import argparse
import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.api_writes import NAMESPACE, probe
from bench.scale.measure import CSI_DRIVERS, WITHOUT_ATTACH
from testbed.api import Json
from testbed.cluster import Cluster
from tests.harness import GROUP, Pie, apply_probe, gone, until
from tests.real.conftest import install_crd

APPLICATION = "application"
CLAIMS = f"/api/v1/namespaces/{APPLICATION}/persistentvolumeclaims"
PODS = f"/api/v1/namespaces/{APPLICATION}/pods"
EVERY_SECONDS = 5.0
BUDGET = 10
COMPONENTS = ("kube-controller-manager", "kube-scheduler")
_WAITED = re.compile(r"Waited (?:for|before sending request).*?(?:due to client-side throttling|delay)")
_RESOURCE = re.compile(
    r"(?:GET|POST|PUT|PATCH|DELETE):?\S*?/(?:api/v1|apis/[\w.]+/\w+)/(?:namespaces/[\w-]+/)?([a-z]+)"
)


@dataclass(slots=True)
class Waits:
    """How long each PVC and each pod of the application waited, by their names; in seconds."""

    began: dict[str, float] = field(default_factory=dict)
    bound: dict[str, float] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)

    def words(self) -> str:
        """Return how many there were, and the median, the 99th percentile and the longest wait."""
        return f"{len(self.began)} pods; {_words('bound', self.bound)}; {_words('running', self.running)}"


def _words(what: str, waits: dict[str, float]) -> str:
    found = sorted(waits.values())
    p99 = quantiles(found, n=100, method="inclusive")[-1]
    return f"{what} p50 {median(found):.2f} s, p99 {p99:.2f} s, longest {found[-1]:.2f} s"


async def apply_application(cluster: Cluster, minutes: float) -> Waits:
    """Create a PVC and its pod every few seconds, and delete them when the pod has run."""
    waits, loop = Waits(), asyncio.get_running_loop()

    async def on_claim(event: Json) -> None:
        _note(waits.began, waits.bound, event, "Bound", loop.time())

    async def on_pod(event: Json) -> None:
        _note(waits.began, waits.running, event, "Running", loop.time())

    async def one(name: str) -> None:
        waits.began[name] = loop.time()
        await cluster.api.create(CLAIMS, _claim(name))
        await cluster.api.create(PODS, _pod(name))

        async def ran() -> bool:
            return name in waits.running and name in waits.bound

        await until(ran, f"pod {name} runs", 300)
        await cluster.api.delete(f"{PODS}/{name}")
        await cluster.api.delete(f"{CLAIMS}/{name}")

    watches = [
        asyncio.create_task(cluster.api.watch(CLAIMS, on_claim)),
        asyncio.create_task(cluster.api.watch(PODS, on_pod)),
    ]
    async with asyncio.TaskGroup() as group:
        for number in range(int(60 * minutes / EVERY_SECONDS)):
            group.create_task(one(f"app-{int(time.time())}-{number}"))
            await asyncio.sleep(EVERY_SECONDS)
    for watch in watches:
        watch.cancel()
    return waits


def _note(began: dict[str, float], ended: dict[str, float], event: Json, phase: str, now: float) -> None:
    name = event["object"]["metadata"]["name"]
    if event["object"].get("status", {}).get("phase") == phase and name in began and name not in ended:
        ended[name] = now - began[name]


def _claim(name: str) -> Json:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "kwok",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return {"metadata": {"name": name}, "spec": spec}


def _pod(name: str) -> Json:
    volume = {"name": "store", "persistentVolumeClaim": {"claimName": name}}
    container = {
        "name": "application",
        "image": "pie.test/application:dev",
        "volumeMounts": [{"name": "store", "mountPath": "/store"}],
    }
    return {"metadata": {"name": name}, "spec": {"containers": [container], "volumes": [volume]}}


@asynccontextmanager
async def probed(cluster: Cluster, runner: str, **spec: Any) -> AsyncIterator[None]:
    """Let pie probe all nodes every minute; begin when its volumes are bound and two periods are over."""
    nodes = len(cluster.spec.kwok_node_names)
    async with Pie(cluster.kubeconfig, NAMESPACE, "--leader-elect") as pie:
        await pie.leads()
        body = probe(1, runner=runner)
        body["spec"].update(spec)
        await apply_probe(cluster.api, NAMESPACE, body)

        async def all_bound() -> bool:
            claims = await cluster.api.items(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims")
            return sum(1 for each in claims if each["status"].get("phase") == "Bound") >= nodes

        await until(all_bound, f"the volumes of {nodes} targets are bound", 1200, 5)
        await asyncio.sleep(120)
        yield
        path = f"{GROUP}/namespaces/{NAMESPACE}/pieprobes/p1"
        await cluster.api.delete(path)
        await until(lambda: gone(cluster.api, path), f"{path} is gone", 600, 2)

        async def no_pods() -> bool:
            return not await cluster.api.items(f"/api/v1/namespaces/{NAMESPACE}/pods")

        await until(no_pods, "no pod of pie is left", 600, 5)


def held_back(logs: Path, since: dict[str, int]) -> Counter[str]:
    """Count, by component and resource, the requests that client-go held back for more than a second."""
    counted: Counter[str] = Counter()
    for name in COMPONENTS:
        with (logs / f"{name}.log").open(errors="replace") as log:
            log.seek(since.get(name, 0))
            for line in log:
                if _WAITED.search(line):
                    found = _RESOURCE.search(line)
                    counted[f"{name} {found[1] if found else '?'}"] += 1
    return counted


def _sizes(logs: Path) -> dict[str, int]:
    return {name: (logs / f"{name}.log").stat().st_size for name in COMPONENTS}


async def main(nodes: int, minutes: float) -> None:
    """Measure one phase after the other on the same cluster."""
    phases: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("runner CronJob, no budget", "CronJob", {}),
        ("runner Pod, no budget", "Pod", {}),
        (f"runner Pod, budget {BUDGET}", "Pod", {"budget": BUDGET}),
    )
    async with Cluster(kwok_nodes=nodes) as cluster:
        await install_crd(cluster.api)
        await cluster.api.create(CSI_DRIVERS, WITHOUT_ATTACH)
        for namespace in (NAMESPACE, APPLICATION):
            await cluster.create_namespace(namespace)
        alone = await apply_application(cluster, minutes)
        print(f"without pie: {alone.words()}", flush=True)
        for title, runner, spec in phases:
            async with probed(cluster, runner, **spec):
                since = _sizes(cluster.log_directory)
                waits = await apply_application(cluster, minutes)
                held = held_back(cluster.log_directory, since)
            print(
                f"{title}: {waits.words()}\n  held back: {dict(held.most_common(5)) or 'nothing'}", flush=True
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=5.0)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.nodes, chosen.minutes))
