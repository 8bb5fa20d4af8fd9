"""The controller dies, freezes or is one of two: no run is lost, none is counted twice."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
import pytest_asyncio

from pie.core.batch.cron import cron
from pie.core.model import Kind, Target
from testbed.audit import WRITE_VERBS
from testbed.cluster import Cluster
from tests.atonce import Stories, at_once
from tests.chart.install import controller_account, refusals
from tests.harness import GROUP, ON_TIME, PERFORMANCE, Pie, until
from tests.real.conftest import STORAGE_CLASS, Probed, install_crd

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

NODE = "node-1"
LEASE_SECONDS = 15
TARGET, PERIOD_SECONDS = Target("p1", Kind.MOUNT, STORAGE_CLASS, NODE), 60
# So long after a due time its Job is created, on a busy machine.
JOB_SECONDS = 15
HOW = ["killed", "frozen"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stories(shared_real_cluster: str) -> AsyncIterator[Stories]:
    """Each story is in a namespace of its own."""
    async with Cluster.attach(shared_real_cluster) as cluster:
        await install_crd(cluster.api)
        of_a_pair = {how: the_survivor_takes_over(cluster, how) for how in HOW}
        async with at_once({"dead": dead_for_a_while(cluster), **of_a_pair}) as stories:
            yield stories


@asynccontextmanager
async def a_namespace(cluster: Cluster) -> AsyncIterator[Probed]:
    """Give a namespace without a controller; the story starts its own."""
    name = f"pie-{uuid.uuid4().hex[:8]}"
    await cluster.create_namespace(name)
    try:
        async with controller_account(cluster, name) as kubeconfig:
            yield Probed(cluster, name, Pie(kubeconfig, name))
            assert refusals(cluster, name) == []
    finally:
        await cluster.api.delete(f"{GROUP}/namespaces/{name}/pieprobes/p1")
        await cluster.api.delete(f"/api/v1/namespaces/{name}")


async def finished_jobs(probed: Probed) -> int:
    """Count the Jobs that are over and still there."""
    jobs = await probed.api.items(probed.path("jobs"))
    over = {"Complete", "Failed"}
    return sum(any(each["type"] in over for each in job["status"].get("conditions", [])) for job in jobs)


async def running_pod(probed: Probed) -> bool:
    pods = await probed.api.items(probed.path("pods"))
    return any(pod["status"]["phase"] in {"Pending", "Running"} for pod in pods)


async def test_runs_that_finish_while_the_controller_is_dead_are_counted_once_each(stories: Stories) -> None:
    await stories["dead"]


async def dead_for_a_while(cluster: Cluster) -> None:
    async with a_namespace(cluster) as probed, probed.pie as pie:
        await probed.probe("p1", [NODE], disableProvisionProbe=True)
        await until(lambda: running_pod(probed), "a run is in its middle", 90)
        await pie.kill()
        # The outage spans at least one whole run.
        await until(lambda: _idle(probed), "two runs are over, and none is in its middle", 240)
        waiting, idle_at = await finished_jobs(probed), time.time()
        assert waiting >= 2
        await pie.start()
        labels = {"pie_probe_name": "p1", "node": NODE}
        await pie.until_value(PERFORMANCE, lambda value: value >= waiting, 90, **labels, succeed="true")
        await until(lambda: _swept(probed), "the Jobs that were read are deleted", 90)
        seen = await pie.samples()
        counted = seen.value(PERFORMANCE, **labels, succeed="true")
        since = cron(TARGET, PERIOD_SECONDS).dues_between(idle_at - JOB_SECONDS, time.time(), limit=10)
        print(f"{waiting} runs finished meanwhile, {len(since)} due times since")  # noqa: T201
        assert counted is not None
        assert waiting <= counted <= waiting + len(since)
        assert seen.value(ON_TIME["mount"], **labels, on_time="false") == 0
        assert seen.value("pie_lost_runs_total", pie_probe_name="p1", reason="Pruned") in {None, 0}


async def _idle(probed: Probed) -> bool:
    jobs = await probed.api.items(probed.path("jobs"))
    return not await running_pod(probed) and len(jobs) == await finished_jobs(probed) >= 2


async def _swept(probed: Probed) -> bool:
    return await finished_jobs(probed) == 0


@pytest.mark.parametrize("how", HOW)
async def test_the_survivor_takes_over_within_the_lease_and_counts_each_run_once(
    stories: Stories, how: str
) -> None:
    await stories[how]


async def the_survivor_takes_over(cluster: Cluster, how: str) -> None:
    async with a_namespace(cluster) as probed:
        await _take_over(probed, how)


async def _take_over(probed: Probed, how: str) -> None:
    cluster, name = probed.cluster, probed.namespace
    replicas = [await _replica(probed, user) for user in ("first", "second")]
    async with replicas[0] as first, replicas[1] as second:
        await until(lambda: _any_leads(first, second), "one of the two leads")
        leader, standby = (first, second) if first.leading else (second, first)
        await probed.probe("p1", [NODE], disableProvisionProbe=True)
        await leader.until_value(
            PERFORMANCE, lambda value: value >= 1, 120, pie_probe_name="p1", succeed="true"
        )
        assert (await standby.samples()).names(pie_probe_name="p1") == set()
        assert (await standby.get("/readyz"))[0] == 200
        if how == "killed":
            await leader.kill()
        else:
            leader.freeze()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await standby.leads(LEASE_SECONDS + 45)  # a busy machine needs seconds to fill the caches
        print(f"{how}: taken over after {loop.time() - began:.1f} s")  # noqa: T201
        await standby.until_value(
            PERFORMANCE, lambda value: value >= 1, 120, pie_probe_name="p1", succeed="true"
        )
        if how == "frozen":
            since = cluster.audit.now()
            leader.thaw()
            assert await leader.ended() != 0
            deposed = "first" if leader is first else "second"
            assert not _writes(cluster, since, f"system:serviceaccount:{name}:{deposed}")
        samples = await standby.samples()
        labels = {"pie_probe_name": "p1", "node": NODE}
        # As many I/O verdicts as starts: none lost, none twice.
        started = samples.value(ON_TIME["mount"], **labels, on_time="true")
        ended = samples.value(PERFORMANCE, **labels, succeed="true")
        assert started is not None
        assert ended is not None
        assert started - 1 <= ended <= started
        assert samples.value(ON_TIME["mount"], **labels, on_time="false") == 0


async def _any_leads(*controllers: Pie) -> bool:
    return any(each.leading for each in controllers)


async def _replica(probed: Probed, user: str) -> Pie:
    """Return a controller with a service account of its own, by which the audit log knows it."""
    name = probed.namespace
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": user}}
    await probed.api.apply(probed.path("serviceaccounts", user), account)
    kubeconfig = await probed.cluster.service_account_kubeconfig(name, user)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{name}-{user}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": user, "namespace": name}],
    }
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{name}-{user}"
    await probed.api.apply(path, binding)
    return Pie(kubeconfig, name, "--leader-elect")


def _writes(cluster: Cluster, since: datetime, user: str) -> list[str]:
    """Return what a user wrote after a moment."""
    return [
        f"{event.verb} {event.resource} {event.object_ref.name}"
        for event in cluster.audit.events(since)
        if event.user.username == user and event.verb in WRITE_VERBS
    ]
