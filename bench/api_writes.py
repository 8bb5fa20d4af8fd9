"""What pie costs the control plane: API writes and Events of a healthy mount run, and reconciling.

Runs on the real control plane with simulated (KWOK) nodes, and counts in the API server's audit log:

    python bench/api_writes.py [--nodes 300] [--minutes 4]

Ends with 1 when a figure is above what pie promises. The stand-ins' own writes (KWOK's and the claim
binder's) are left out. Go pie, measured the same way: 15 writes and 5 Events a run, 600 objects in 7 s.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from pie.core.batch.cron import cron
from pie.core.model import Kind, Target
from testbed.api import CONFLICT
from testbed.audit import Write
from testbed.cluster import Cluster
from tests.harness import ON_TIME, PERFORMANCE, Pie, apply_probe, pieprobe, until
from tests.real.conftest import install_crd

NAMESPACE = "pie"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
_HOURLY_MINUTES = 59
WRITES_PER_RUN = 14
EVENTS_PER_RUN = 5.1
OBJECT_SECONDS = 0.010
# The status is written at most every ten seconds, on a busy machine some seconds later.
SETTLED_SECONDS = 20
QUIET_SECONDS = 300
STAND_INS = frozenset({"kwok", "testbed-binder", "testbed"})


@dataclass(frozen=True, slots=True)
class Cost:
    """What was counted. `idle_writes`: pie's while nothing ran, but for its lease; `late` of all `runs`."""

    object_seconds: float
    idle_writes: int
    runs: int
    late: int
    writes_per_run: float
    events_per_run: float

    def above_limits(self) -> list[str]:
        """Return which figures are above what pie promises."""
        promised = {
            f"{1000 * self.object_seconds:.1f} ms an object": self.object_seconds <= OBJECT_SECONDS,
            f"{self.idle_writes} writes while idle": not self.idle_writes,
            f"{self.late} late runs": not self.late,
            f"{self.writes_per_run:.2f} API writes a run": self.writes_per_run <= WRITES_PER_RUN,
            f"{self.events_per_run:.2f} Events a run": self.events_per_run <= EVENTS_PER_RUN,
        }
        return [figure for figure, kept in promised.items() if not kept]


async def measure(nodes: int, minutes: int) -> Cost:
    """Count, and print, the three figures: reconciling, an idle controller, a healthy run."""
    async with Cluster(kwok_nodes=nodes) as cluster:
        await install_crd(cluster.api)
        await cluster.create_namespace(NAMESPACE)
        async with Pie(cluster.kubeconfig, NAMESPACE, "--leader-elect") as pie:
            await pie.leads()
            name = _quiet_name(cluster.spec.kwok_node_names)
            object_seconds = await reconcile(cluster, pie, nodes, name=name)
            idle_writes = await _idle(cluster, nodes)
            # The first round binds the claims and marks them; the second is what goes on for ever.
            print("first round")
            await _runs(cluster, pie, nodes, minutes, name)
            print("second round")
            runs, late, writes, events = await _runs(cluster, pie, nodes, minutes, name)
    return Cost(object_seconds, idle_writes, runs, late, writes / runs, events / runs)


def _quiet_name(nodes: Collection[str]) -> str:
    """Return a name for a PieProbe of which no hourly run is due while nothing may run.

    The name decides when. With hundreds of nodes there is none: then the first one.
    """
    now = time.time()
    names = [f"p{number}" for number in range(1, 1000)]
    return next((name for name in names if _next_due(name, nodes, now) > now + QUIET_SECONDS), names[0])


def _next_due(name: str, nodes: Collection[str], now: float) -> float:
    targets = (Target(name, Kind.MOUNT, "kwok", node) for node in nodes)
    return min(cron(target, _HOURLY_MINUTES * 60).next_due(now) for target in targets)


def probe(period_minutes: int, name: str = "p1", runner: str = "CronJob") -> dict[str, Any]:
    """Return a PieProbe for every simulated node, without provision probe."""
    spec = {"probePeriod": period_minutes, "probeThreshold": "1m", "disableProvisionProbe": True}
    if runner != "CronJob":
        spec["runner"] = runner
    return pieprobe(name, "kwok", "type=kwok", **spec, suppression={})


async def reconcile(
    cluster: Cluster,
    pie: Pie,
    nodes: int,
    *,
    name: str = "p1",
    runner: str = "CronJob",
    timeout_seconds: float = 300,
    every_seconds: float = 0.2,
) -> float:
    """Have all nodes probed; return the seconds that each object of the desired state took, and print it."""
    loop = asyncio.get_running_loop()
    began, since = loop.time(), cluster.audit.now()
    await apply_probe(cluster.api, NAMESPACE, probe(_HOURLY_MINUTES, name, runner))
    objects = nodes * (2 if runner == "CronJob" else 1)

    async def all_there() -> bool:
        made = cluster.audit.count_writes(since, namespace=NAMESPACE)
        return sum(count for write, count in made.items() if _made_by_pie(write)) >= objects

    await until(all_there, f"{objects} objects", timeout_seconds, every_seconds)
    took = loop.time() - began
    used = await pie.value("process_cpu_seconds_total")
    print(f"reconcile: {objects} objects in {took:.1f} s, {1000 * took / objects:.1f} ms an object")
    print(f"CPU of pie from its start until then: {used:.1f} s")
    return took / objects


def _made_by_pie(write: Write) -> bool:
    return write.agent == "pie" and write.resource in {"cronjobs", "persistentvolumeclaims"}


async def _idle(cluster: Cluster, nodes: int) -> int:
    """Count what pie writes while no run is due or under way: nobody makes Jobs now."""

    async def settled() -> bool:
        return not await cluster.api.items(JOBS)

    await until(settled, "no run is under way", 120, 1)
    await cluster.stop("kube-controller-manager")

    async def silent() -> bool:
        since = cluster.audit.now() - timedelta(seconds=SETTLED_SECONDS)
        return not any(map(_of_pie, cluster.audit.count_writes(since)))

    await until(silent, "pie has written its status", 120, 1)
    since = cluster.audit.now()
    await asyncio.sleep(30)
    writes = cluster.audit.count_writes(since)
    await cluster.start("kube-controller-manager")
    ours = Counter({write: count for write, count in writes.items() if _of_pie(write)})
    print(f"idle, {nodes} nodes, 30 s: pie wrote, but for its Lease\n{_table(ours)}")
    return ours.total()


def _of_pie(write: Write) -> bool:
    return write.agent == "pie" and write.resource != "leases"


async def _runs(cluster: Cluster, pie: Pie, nodes: int, minutes: int, name: str) -> tuple[int, int, int, int]:
    """Let every target run, wait for a moment at which no run is under way, and count up to it.

    Returns the runs, how many were late, and all their API writes and Events.
    """

    async def good_runs() -> float:
        samples = (await pie.samples()).all(PERFORMANCE)
        return sum(sample.value for sample in samples if sample.labels["succeed"] == "true")

    since, before = cluster.audit.now(), await good_runs()
    await apply_probe(cluster.api, NAMESPACE, probe(minutes, name))

    async def settled() -> bool:
        return await good_runs() >= before + nodes and not await cluster.api.items(JOBS)

    await until(settled, f"{nodes} runs, and none under way", 120 + 120 * minutes, 1)
    writes = cluster.audit.count_writes(since, namespace=NAMESPACE)
    return await _per_run(pie, writes, _repeated(cluster, since))


def _repeated(cluster: Cluster, since: datetime) -> int:
    """Return how many Events kube-controller-manager may have reported twice.

    Where its own caches lag, it handles the end of a Job once more, with the Event, and only its write of the
    CronJob's status is refused then.
    """
    return sum(
        (event.agent, event.verb, event.resource) == ("kube-controller-manager", "update", "cronjobs/status")
        and event.response_status.code == CONFLICT
        for event in cluster.audit.events(since)
    )


async def _per_run(pie: Pie, writes: Counter[Write], repeated: int) -> tuple[int, int, int, int]:
    runs = writes[Write("kube-controller-manager", "create", "jobs")]
    late = sum(
        sample.value
        for sample in (await pie.samples()).all(ON_TIME["mount"])
        if sample.labels["on_time"] == "false"
    )
    the_new_period = Write("pie", "patch", "cronjobs")
    counted = Counter(
        {write: n for write, n in writes.items() if write.agent not in STAND_INS and write != the_new_period}
    )
    events = sum(n for write, n in counted.items() if write.resource == "events")
    api = sum(counted.values()) - events
    events -= repeated
    print(f"{runs} runs, {late:.0f} of them late; {repeated} Events of kube-controller-manager left out")
    print(f"a healthy mount run: {api / runs:.2f} API writes, {events / runs:.2f} Events")
    print(_table(counted, runs))
    return runs, int(late), api, events


def _table(writes: Counter[Write], runs: int = 1) -> str:
    rows = (
        f"  {count / runs:8.2f} {write.agent} {write.verb} {write.resource}"
        for write, count in writes.most_common()
    )
    return "\n".join(rows) if writes else "  nothing"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=300)
    parser.add_argument("--minutes", type=int, default=4)
    arguments = parser.parse_args()
    above = asyncio.run(measure(arguments.nodes, arguments.minutes)).above_limits()
    print(f"above what pie promises: {'; '.join(above) or 'nothing'}")
    sys.exit(bool(above))
