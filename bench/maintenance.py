"""A week of maintenance in minutes: rolling cordons, reboots and taints of all nodes, one added, one removed.

Runs on the real control plane with simulated (KWOK) nodes, and says what became of every due time:

    python bench/maintenance.py [--nodes 300] [--waves 6] [--minutes 3]

Each node is in one wave: cordoned (every third one tainted by a cluster manager instead), its probes killed
without a word, NotReady, then Ready with another bootID and free again. With the default arguments it writes
docs/suppression.md and the measured rates in README.md. Ends with an error if a single run
counted as a failure, if an alert on the storage fired, or if a due time was not counted exactly once.
"""

import argparse
import asyncio
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from pie.core.batch.cron import cron
from pie.core.kinds import KINDS
from pie.core.model import Kind, Target
from testbed.api import Api, ApiError
from testbed.audit import Write
from testbed.cluster import Cluster
from testbed.kwok import add_nodes, report_ready
from tests.accounting import DECIDED_SECONDS, Accounts, targets_since
from tests.alerts import Scraper
from tests.faults import rates
from tests.harness import GROUP, ON_TIME, PERFORMANCE, Pie, apply_probe, pieprobe, some_at_a_time, until
from tests.real.conftest import install_crd

NAMESPACE, PROBE, CLASS = "pie", "p1", "kwok"
SUPPRESSED = "pie_suppressed_runs_total"
CLUSTER_MANAGER = {"key": "ToBeDeletedByClusterAutoscaler", "value": "1700000000", "effect": "NoSchedule"}
CILIUM = {"key": "node.cilium.io/agent-not-ready", "effect": "NoExecute"}
# A target is not removed so close to its due time: it would be anybody's guess which came first.
CLEAR_SECONDS = 5
# Nodes, waves and minutes of the replay that docs/suppression.md and README.md show.
ON_THE_PAGE = (300, 6, 3)


async def main(nodes: int, waves: int, minutes: int) -> bool:
    """Replay the maintenance; tell whether all went well."""
    async with Cluster(kwok_nodes=nodes) as cluster:
        await install_crd(cluster.api)
        await cluster.create_namespace(NAMESPACE)
        async with Pie(cluster.kubeconfig, NAMESPACE, "--leader-elect", "--log-level", "debug") as pie:
            await pie.leads()
            replay = Replay(cluster, pie, nodes, minutes)
            good = await replay.run(waves)
    if (nodes, waves, minutes) == ON_THE_PAGE:
        rates.write_maintenance(replay.report)
    return good


class Replay:
    """One replay on one cluster."""

    def __init__(self, cluster: Cluster, pie: Pie, nodes: int, minutes: int) -> None:
        self._cluster = cluster
        self._api: Api = cluster.api
        self._pie = pie
        self._minutes = minutes
        self._names = [f"kwok-{number}" for number in range(1, nodes + 1)]
        self._since: dict[Target, float] = {}
        self._until: dict[Target, float] = {}
        self._scraper = Scraper(pie)
        self.report: list[str] = []

    async def run(self, waves: int) -> bool:
        """Do it all; tell whether all went well."""
        began, scraping = time.monotonic(), asyncio.create_task(self._scraper.run())
        await apply_probe(self._api, NAMESPACE, probe(self._minutes))
        await until(self._all_cronjobs, "a CronJob for every node and the class", 300, 1)
        size = -(-len(self._names) // waves)
        for number in range(waves):
            await self._wave(number + 1, self._names[number * size : (number + 1) * size])
        await self._new_node()
        self._since = await targets_since(self._api, NAMESPACE, PROBE, CLASS)
        await self._remove_node(self._names[-1])
        since = time.time()
        await until(
            lambda: self._all_good_since(since), "a good run on every node", 300 + 120 * self._minutes, 5
        )
        alerts = await self._scraper.wrong("alert", began, None)
        scraping.cancel()
        return await self._report(alerts)

    async def _remove_node(self, name: str) -> None:
        target = Target(PROBE, Kind.MOUNT, CLASS, name)
        left = cron(target, 60 * self._minutes).next_due(time.time()) - time.time()
        if left < CLEAR_SECONDS:
            await asyncio.sleep(left + CLEAR_SECONDS)
        await self._api.delete(f"/api/v1/nodes/{name}")
        self._until[target] = time.time()
        print(f"{name} removed")

    async def _all_cronjobs(self) -> bool:
        found = await self._api.items(f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs")
        return len(found) == len(self._names) + 1

    async def _wave(self, number: int, names: list[str]) -> None:
        """Take some nodes through a maintenance of about half a period."""
        began = time.time()
        since = self._cluster.audit.now()
        await some_at_a_time(self._drain(name, tainted=i % 3 == 0) for i, name in enumerate(names))
        await some_at_a_time(self._go_down(name) for name in names)
        await asyncio.sleep(30 * self._minutes)
        quiet = self._cluster.audit.count_writes(since, namespace=NAMESPACE)
        suspended = quiet[Write("pie", "patch", "cronjobs")]
        await some_at_a_time(self._come_back(name) for name in names)
        print(
            f"wave {number}: {len(names)} nodes, {time.time() - began:.0f} s;"
            f" {suspended} CronJobs suspended or resumed meanwhile"
        )

    async def _drain(self, name: str, *, tainted: bool) -> None:
        spec = {"taints": [CLUSTER_MANAGER]} if tainted else {"unschedulable": True}
        await self._api.patch(f"/api/v1/nodes/{name}", {"spec": spec})

    async def _go_down(self, name: str) -> None:
        for pod in await self._api.items(f"/api/v1/namespaces/{NAMESPACE}/pods", selector=f"node={name}"):
            if pod["status"].get("phase") in {"Pending", "Running"}:
                await self._kill(pod)
        await report_ready(self._api, name, "False")

    async def _kill(self, pod: dict[str, Any]) -> None:
        """End a pod as a reboot does: the kubelet finds its containers gone, and nothing left of them."""
        status = {"phase": "Failed", "reason": "Terminated", "containerStatuses": None}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}"
        try:
            await self._api.patch(f"{path}/status", {"status": status})
        except ApiError as error:
            print(f"  {error}")  # it ended by itself just now

    async def _come_back(self, name: str) -> None:
        await report_ready(self._api, name, "True", boot_id=str(uuid.uuid4()))
        spec = {"taints": None, "unschedulable": None}
        await self._api.patch(f"/api/v1/nodes/{name}", {"spec": spec})

    async def _new_node(self) -> None:
        """Add a node as it comes: its network agent takes a minute."""
        name = "kwok-new"
        await add_nodes(self._api, [name])
        await self._api.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": [CILIUM]}})
        await asyncio.sleep(60)
        await self._api.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})
        print(f"{name} added, tainted by its CNI for a minute")

    async def _all_good_since(self, since: float) -> bool:
        """Tell whether the whole period after a moment was good for every node and the class."""
        if time.time() < since + 60 * self._minutes + 60:
            return False
        status = (await self._api.get(f"{GROUP}/namespaces/{NAMESPACE}/pieprobes/{PROBE}"))["status"]
        return bool(status["targets"]["ok"] == status["targets"]["total"])

    async def _report(self, alerts: list[str]) -> bool:
        samples = await self._pie.samples()
        now = time.time() - DECIDED_SECONDS
        late = sum(
            each.value
            for kind in ON_TIME.values()
            for each in samples.all(kind)
            if each.labels["on_time"] == "false"
        )
        failed = sum(each.value for each in samples.all(PERFORMANCE) if each.labels["succeed"] == "false")
        status = (await self._api.get(f"{GROUP}/namespaces/{NAMESPACE}/pieprobes/{PROBE}"))["status"]
        self.report += [
            f"counted as failures: {late:.0f} late, {failed:.0f} failed",
            f"incidents: {status.get('incidents', [])}",
            f"alerts: {alerts}",
        ]
        accounts = Accounts(self._pie.entries)
        errors = [
            error
            for target, since in self._since.items()
            for error in accounts.errors(target, 60 * self._minutes, since, self._until.get(target, now))
        ]
        for kind in KINDS:
            targets = [target for target in self._since if target.kind == kind]
            counts = sum((accounts.as_what(target) for target in targets), Counter())
            self.report.append(f"{counts.total()} due times of {len(targets)} {kind} targets:")
            self.report += [f"  {count:5} {what}" for what, count in counts.most_common()]
        self.report += [
            f"on time, and their I/O cut short: {each.value:.0f} {each.labels['reason']}"
            for each in samples.all(SUPPRESSED)
            if each.value and each.labels["probe"] == "performance"
        ]
        self.report += [
            f"not counted exactly once: {len(errors)}",
            *(f"  {error}" for error in errors[:20]),
        ]
        print(*self.report, sep="\n")
        return late == failed == 0 and not status.get("incidents") and not alerts and not errors


def probe(minutes: int) -> dict[str, Any]:
    """Return a PieProbe for every simulated node."""
    grace = {"newNodeGrace": "2m", "rebootGrace": "1m"}
    return pieprobe(PROBE, CLASS, "type=kwok", probePeriod=minutes, probeThreshold="1m", suppression=grace)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in zip(("--nodes", "--waves", "--minutes"), ON_THE_PAGE, strict=True):
        parser.add_argument(name, type=int, default=default)
    arguments = parser.parse_args()
    sys.exit(0 if asyncio.run(main(arguments.nodes, arguments.waves, arguments.minutes)) else 1)
