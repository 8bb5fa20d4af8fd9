"""A dirty cluster on a real control plane: nothing crashes, each due time is counted once.

What `tests/dirty` does in the simulation is done here by the real thing: webhooks, limits, the Eviction API,
TTLs and the Job controller, on simulated nodes of which some cannot run a probe.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

from pie.core.model import Kind, Target
from testbed import faults, kwok
from testbed.cluster import Cluster
from testbed.faults import Options
from testbed.kwok_stages import OTHER_ARCHITECTURE, OTHER_OS, WITHOUT_DRIVER
from tests.accounting import Accounts, lasting
from tests.chart.install import controller_account, refusals
from tests.dirty.expected import EXPECTED, RIGHT, TRUE
from tests.harness import GROUP, Pie, apply_probe, pieprobe, until
from tests.real.conftest import install_crd

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

NAMESPACE, PROBE, PERIOD_SECONDS = "pie", "dirty", 60
SPEC = {"probePeriod": PERIOD_SECONDS // 60, "probeThreshold": "40s", "deadline": "50s"}
WELL_NODES = 3
SOILED_SECONDS = 1.5 * PERIOD_SECONDS
# What became of a due time is known so long after it, on a busy machine later.
DECIDED_SECONDS = 60
PODS = f"{NAMESPACE}/pie-probe={PROBE}"
DIRT = {
    "sidecar-first": 1,
    "sidecar-ends": 1,
    "short-lived-jobs": 1,
    "limit-defaults": 1,
    "jobs-deleted": 5,
    "pods-deleted": 5,
    "pods-evicted": 5,
}
"""Faults of pods by name, and how seldom they hit a pod."""
MAY_BE_SAID = {
    "a node without the driver",
    "evictions",
    "a janitor that deletes Jobs",
    "a janitor that deletes pods",
}
"""The dirt of `tests/dirty` that is here, too, and opens incidents."""


async def test_in_a_dirty_cluster_nothing_crashes_and_each_due_time_is_counted_once(
    start_cluster: Callable[..., Awaitable[Cluster]],
) -> None:
    cluster = await start_cluster(kwok_nodes=WELL_NODES)
    api = cluster.api
    await install_crd(api)
    await cluster.create_namespace(NAMESPACE)
    await add_odd_nodes(cluster)
    for name, one_in in DIRT.items():
        await faults.inflict(cluster, name, options=Options(pods=PODS, one_in=one_in))
    async with (
        controller_account(cluster, NAMESPACE) as kubeconfig,
        Pie(kubeconfig, NAMESPACE, "--log-level", "debug") as pie,
    ):
        await apply_probe(api, NAMESPACE, pieprobe(PROBE, kwok.STORAGE_CLASS, "type=kwok", **SPEC))
        since = await begin(cluster)
        await asyncio.sleep(SOILED_SECONDS)
        now = time.time()
        await faults.undo(cluster, "sidecar-first")
        await asyncio.sleep(DECIDED_SECONDS)
        await lasting(lambda: errors(pie, since, now))
        found = await api.get(f"{GROUP}/namespaces/{NAMESPACE}/pieprobes/{PROBE}")
        assert await pie.stop() == 0
    assert refusals(cluster, NAMESPACE) == []
    accounts = Accounts(pie.entries)
    counted = sum((accounts.as_what(target) for target in since), Counter[str]())
    print(f"{counted.total()} due times of {len(since)} targets: {dict(counted)}")  # noqa: T201  figures
    assert errors(pie, since, now) == []
    assert counted["on time"] > 0
    assert pie.said("defect in pie, please report it") == ""
    said = {(each["stage"], each["reason"]) for each in found["status"].get("incidents") or ()}
    listed = {(row.stage, row.reason) for row in (*EXPECTED, *RIGHT) if row.dirt in MAY_BE_SAID}
    assert said - listed - TRUE == set()


def errors(pie: Pie, since: dict[Target, float], until_: float) -> list[str]:
    """Return in words which due times were not counted exactly once."""
    accounts = Accounts(pie.entries)
    return [
        error
        for target, began in since.items()
        for error in accounts.errors(target, PERIOD_SECONDS, began, until_)
    ]


async def add_odd_nodes(cluster: Cluster) -> None:
    """Add nodes that match, and that differ from what a probe needs or expects."""
    for name, oddities, driver in (
        ("kwok-without-labels", {"topology.kubernetes.io/zone": "", "beta.kubernetes.io/os": ""}, True),
        (WITHOUT_DRIVER, {}, False),
        (OTHER_ARCHITECTURE, {"kubernetes.io/arch": "arm64", "beta.kubernetes.io/arch": "arm64"}, True),
        (OTHER_OS, {"kubernetes.io/os": "windows", "beta.kubernetes.io/os": "windows"}, True),
    ):
        await kwok.add_nodes(cluster.api, [name], oddities=oddities, driver=driver)


async def begin(cluster: Cluster) -> dict[Target, float]:
    """Wait for the CronJobs of all nodes on which a probe can run; return when each target has begun."""

    async def cronjobs() -> list[dict[str, Any]]:
        found = await cluster.api.items(f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs")
        return found if len(found) > WELL_NODES + 1 else []

    await until(cronjobs, "CronJobs of all well nodes and of the class", 60, 1)
    await asyncio.sleep(2)  # those of nodes that are no targets do not come
    since = {}
    for item in await cronjobs():
        node = item["metadata"]["labels"].get("node", "")
        target = Target(PROBE, Kind.MOUNT if node else Kind.PROVISION, kwok.STORAGE_CLASS, node)
        since[target] = datetime.fromisoformat(item["metadata"]["creationTimestamp"]).timestamp()
    return since
