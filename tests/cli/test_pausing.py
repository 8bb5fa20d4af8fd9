"""`pie stop` and `pie resume` as a user runs them, with a controller and without one."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pie.core.naming import ANNOTATION_SUPPRESSED_SINCE
from pie.embedded.cluster import EmbeddedCluster
from pie.embedded.machines import STORAGE_CLASS
from pie.kube.lease import micro_time
from testbed.api import Api
from tests.cli.conftest import Ended, within
from tests.embedded.conftest import PlainApi, Start
from tests.harness import GROUP, Pie, apply_probe, pieprobe, until, until_condition

pytestmark = pytest.mark.timeout(180)

OLD_NODES = {"newNodeGrace": "0s"}


CRONJOBS = "/apis/batch/v1/namespaces/pie/cronjobs"
PROBES = f"{GROUP}/namespaces/pie/pieprobes"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/pie/leases/pie.topolvm.io"


class Seen:
    """What the cluster has, and `pie` on it."""

    def __init__(self, cluster: EmbeddedCluster, api: Api) -> None:
        self.kubeconfig = str(cluster.kubeconfig)
        self.api = api

    async def pie(self, command: str, *arguments: str) -> Ended:
        return await within(command, "-n", "pie", "--kubeconfig", self.kubeconfig, *arguments)

    async def apply(self, *names: str) -> None:
        for name in names:
            manifest = pieprobe(
                name, STORAGE_CLASS, "kubernetes.io/os", probePeriod=59, suppression=OLD_NODES
            )
            await apply_probe(self.api, "pie", manifest)
            await until_condition(self.api, "pie", name, "Ready", "True")

    async def paused(self) -> dict[str, bool]:
        return {each["metadata"]["name"]: each["spec"]["paused"] for each in await self.api.items(PROBES)}

    async def cronjobs(self, *, suspended: bool) -> set[str]:
        found = await self.api.items(CRONJOBS)
        return {each["metadata"]["name"] for each in found if each["spec"]["suspend"] is suspended}

    async def has_four(self) -> bool:
        return len(await self.api.items(CRONJOBS)) == 4


@pytest.fixture
async def seen(start_embedded: Start) -> AsyncIterator[Seen]:
    """Give a cluster with one node."""
    cluster = await start_embedded(nodes=1)
    async with PlainApi(cluster.front.address) as api:
        yield Seen(cluster, api)


async def test_the_controller_suspends_and_resumes(seen: Seen) -> None:
    none = await seen.pie("stop")
    assert (none.status, none.said) == (0, "There is no PieProbe in the namespace pie.\n")
    async with Pie(Path(seen.kubeconfig), "pie", "--leader-elect"):
        await seen.apply("a", "b")
        await until(seen.has_four, "four CronJobs")

        missing = await seen.pie("stop", "a", "x")
        there = "there is no PieProbe x in the namespace pie; there are: a, b"
        assert (missing.status, missing.complained) == (2, f"pie stop: {there}\n")
        assert await seen.paused() == {"a": False, "b": False}, "nothing was changed"

        one = await seen.pie("stop", "a")
        assert (one.status, await seen.paused()) == (0, {"a": True, "b": False})
        assert len(await seen.cronjobs(suspended=True)) == 2

        both = await seen.pie("stop")
        assert (both.status, await seen.cronjobs(suspended=False)) == (0, set())
        assert both.said == (
            "PieProbe a was paused before.\n"
            "PieProbe b is paused.\n"
            "No run starts any more. PVCs and their data stay. To go on: pie resume -n pie"
            f" --kubeconfig {seen.kubeconfig}\n"
        )
        gone_on = await seen.pie("resume", "a")
        assert (gone_on.status, await seen.paused()) == (0, {"a": False, "b": True})
        assert gone_on.said.endswith("The controller resumes their CronJobs, each at its next due time.\n")
        await seen.pie("resume")
        assert await seen.paused() == {"a": False, "b": False}


async def test_where_no_controller_leads_the_command_suspends_and_resumes(seen: Seen) -> None:
    async with Pie(Path(seen.kubeconfig), "pie", "--leader-elect") as pie:
        await seen.apply("a", "b")
        await until(seen.has_four, "four CronJobs")
        await pie.stop()
    stopped = await seen.pie("stop", "--timeout", "0")
    assert (stopped.status, len(await seen.cronjobs(suspended=True))) == (0, 4)
    assert "(no controller holds the Lease: this command suspended 4 CronJobs)" in stopped.said

    one, *_ = sorted(await seen.cronjobs(suspended=True))
    mark = {"metadata": {"annotations": {ANNOTATION_SUPPRESSED_SINCE: "2026-01-01T00:00:00Z"}}}
    await seen.api.patch(f"{CRONJOBS}/{one}", mark)
    resumed = await seen.pie("resume")
    assert (resumed.status, await seen.paused()) == (0, {"a": False, "b": False})
    assert "No controller holds the Lease: this command resumed 3 CronJobs." in resumed.said
    assert await seen.cronjobs(suspended=True) == {one}, "that of maintenance stays suspended"

    # A controller that leads and does not suspend: the command says so, and does not do its work.
    spec = {"holderIdentity": "other_1", "leaseDurationSeconds": 3600, "renewTime": micro_time(time.time())}
    await seen.api.patch(LEASE, {"spec": spec})
    stuck = await seen.pie("stop", "--timeout", "0")
    assert stuck.status == 1
    assert stuck.complained.startswith("pie stop: 3 CronJobs are not suspended yet: mount-")
    forgiven = await seen.pie("stop", "--timeout", "0", "--best-effort")
    assert (forgiven.status, forgiven.complained) == (0, stuck.complained)


@pytest.mark.parametrize(("more", "status"), [((), 2), (("--best-effort",), 0)])
async def test_where_there_is_no_cluster_that_is_said(
    nowhere: Path, more: tuple[str, ...], status: int
) -> None:
    ended = await within("stop", "--kubeconfig", str(nowhere), *more)
    assert ended.status == status
    assert ended.complained.startswith("pie stop: ")
    assert (await within("resume", "--kubeconfig", str(nowhere))).status == 2
