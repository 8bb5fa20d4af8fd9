"""Who writes what for a run on real nodes: kubelet, provisioner and attacher included.

Runs PieProbes on two real nodes, for a class whose volumes are attached and for one whose are not, and counts
in the API server's audit log:

    python bench/run_writes.py [--runs 3]

`pie.core.cost.lines` has these figures; `tests/real/test_api_writes.py` compares them with what it counts.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import pod_starts
from bench.pod_starts import Starts
from testbed.audit import FIRST_ERROR_CODE, WRITE_VERBS, AuditEvent
from testbed.cluster import Cluster
from tests.harness import GROUP, Pie, apply_probe, gone, pieprobe, until
from tests.real.conftest import install_crd

OF_VOLUMES = frozenset({"persistentvolumes", "volumeattachments"})
NOT_OF_A_RUN = frozenset({"leases", "pieprobes/status"})
BINDING = ("kube-scheduler", "create", "pods/binding")


class Wrote(NamedTuple):
    """A kind of write. `client` is a controller's own client in kube-controller-manager."""

    actor: str
    client: str
    verb: str
    resource: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Runs to count: of a kind of probe, for a class, by a runner."""

    provision: bool
    storage_class: str
    runner: str = "CronJob"

    @property
    def attach(self) -> bool:
        """Whether volumes of the class are attached."""
        return self.storage_class == "attachable"

    @property
    def namespace(self) -> str:
        """Where the PieProbe is."""
        return f"{'provision' if self.provision else 'mount'}-{self.storage_class}-{self.runner.lower()}"


@dataclass(frozen=True, slots=True)
class Counted:
    """Runs, and what was written for them. pie's Lease and the status of the PieProbe are left out.

    The starts are also those of first runs; with a CronJob the audit log has no names of new pods.
    """

    asked: Asked
    runs: int
    writes: Counter[Wrote]
    starts_by_pie: Starts
    starts_by_audit: Starts

    def table(self) -> str:
        """Return the writes of a run, as rows."""
        rows = [f"{self.asked.namespace}: {self.runs} runs"]
        for wrote, count in sorted(self.writes.items()):
            rows.append(f"  {count / self.runs:6.2f} {' '.join(filter(None, wrote))}")
        return "\n".join(rows)


async def count(cluster: Cluster, asked: Sequence[Asked], runs: int) -> list[Counted]:
    """Count so many runs of each target, all at the same time; the first run of a target does not count.

    At most one class may attach at a time: the writes to nodes are counted as its own.
    """
    assert sum(each.attach for each in asked) <= 1
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_count(cluster, each, runs)) for each in asked]
    return [task.result() for task in tasks]


async def _count(cluster: Cluster, asked: Asked, runs: int) -> Counted:
    namespace = asked.namespace
    await cluster.create_namespace(namespace)
    targets = 1 if asked.provision else cluster.spec.nodes
    names: set[str] = set()
    async with Pie(cluster.kubeconfig, namespace, "--leader-elect") as pie:
        await pie.leads()
        await until(partial(_pulls_are_watched, cluster, namespace), "pie watches the pulls of images")
        began = cluster.audit.now()
        await apply_probe(cluster.api, namespace, _pieprobe(asked))
        since = await _settled(cluster, asked, names, began, targets)
        until_ = await _settled(cluster, asked, names, since, targets * runs)
        by_pie, by_audit = await _starts(cluster, asked, pie, began)
        path = f"{GROUP}/namespaces/{namespace}/pieprobes/p1"
        await cluster.api.delete(path)
        await until(lambda: gone(cluster.api, path), f"{path} is gone")
    counted = Counter(_writes(cluster, asked, names, since, until_))
    return Counted(asked, _runs(counted), counted, by_pie, by_audit)


async def _starts(cluster: Cluster, asked: Asked, pie: Pie, began: datetime) -> tuple[Starts, Starts]:
    """Return the starts by pie and by the audit log, when both have heard of the same pods."""

    async def heard() -> tuple[Starts, Starts] | None:
        by_pie = pod_starts.by_pie(await pie.samples())
        by_audit = pod_starts.by_audit(cluster.audit, asked.namespace, began)
        return (by_pie, by_audit) if asked.runner == "CronJob" or by_pie.pods == by_audit.pods else None

    found: tuple[Starts, Starts] = await until(heard, f"the starts of all pods in {asked.namespace}", 120)
    return found


async def _pulls_are_watched(cluster: Cluster, namespace: str) -> bool:
    return pod_starts.pulls_are_watched(cluster.audit, namespace)


def _pieprobe(asked: Asked) -> dict[str, object]:
    disabled = "disableMountProbes" if asked.provision else "disableProvisionProbe"
    spec = {disabled: True, "probePeriod": 1, "probeThreshold": "1m"}
    if asked.runner != "CronJob":
        spec |= {"runner": asked.runner}
    return pieprobe("p1", asked.storage_class, "kubernetes.io/hostname", **spec)


async def _settled(cluster: Cluster, asked: Asked, names: set[str], since: datetime, runs: int) -> datetime:
    """Return a moment at which so many runs have ended, and nothing of any run is left.

    Meanwhile, note the names of their volumes and attachments: these have no namespace.
    """

    async def settled() -> datetime | None:
        namespace = asked.namespace
        all_volumes = await cluster.api.items("/api/v1/persistentvolumes")
        volumes = [each for each in all_volumes if each["spec"]["claimRef"]["namespace"] == namespace]
        names.update(each["metadata"]["name"] for each in volumes)
        attachments = await cluster.api.items("/apis/storage.k8s.io/v1/volumeattachments")
        attached = [each for each in attachments if each["spec"]["source"]["persistentVolumeName"] in names]
        names.update(each["metadata"]["name"] for each in attached)
        if _runs(Counter(_writes(cluster, asked, names, since, cluster.audit.now()))) < runs:
            return None
        for path in (f"/apis/batch/v1/namespaces/{namespace}/jobs", f"/api/v1/namespaces/{namespace}/pods"):
            if await cluster.api.items(path):
                return None
        unbound = any(each["status"].get("phase") != "Bound" for each in volumes)
        return None if attached or unbound else cluster.audit.now()

    moment: datetime = await until(settled, f"{runs} runs in {asked.namespace}", 60 * (runs + 4), 0.5)
    return moment


def _runs(counted: Counter[Wrote]) -> int:
    """Return how many runs there were: each has one pod, which is bound once."""
    return sum(n for wrote, n in counted.items() if (wrote.actor, wrote.verb, wrote.resource) == BINDING)


def _writes(
    cluster: Cluster, asked: Asked, names: Collection[str], since: datetime, until_: datetime
) -> Iterator[Wrote]:
    for event in cluster.audit.events(since, until_):
        about = event.object_ref
        if (
            event.verb in WRITE_VERBS
            and event.stage == "ResponseComplete"
            and event.response_status.code < FIRST_ERROR_CODE
            and event.agent != "testbed"
            and event.resource not in NOT_OF_A_RUN
            and (
                about.namespace == asked.namespace
                or (about.resource in OF_VOLUMES and about.name in names)
                or (about.resource == "nodes" and asked.attach)
            )
        ):
            yield Wrote(event.agent, _client(event), event.verb, event.resource)


def _client(event: AuditEvent) -> str:
    """Return which controller of kube-controller-manager sent a request: its user agent ends in its name."""
    if event.agent != "kube-controller-manager":
        return ""
    return event.user_agent.rpartition("/")[2].rpartition(":")[2]


def together(*, provision: bool) -> list[list[Asked]]:
    """Return the runs to count, in groups of those that can be counted at the same time."""
    cronjob = [Asked(provision, storage_class) for storage_class in ("local", "attachable")]
    return [
        [*cronjob, Asked(provision, "local", runner="Pod")],
        [Asked(provision, "attachable", runner="Pod")],
    ]


async def main(runs: int) -> None:
    """Count runs of all kinds."""
    async with Cluster(nodes=2, attachable=True) as cluster:
        await install_crd(cluster.api)
        for provision in (False, True):
            for asked in together(provision=provision):
                for counted in await count(cluster, asked, runs):
                    print(counted.table(), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    asyncio.run(main(parser.parse_args().runs))
