"""Maintenance of real nodes, announced and not: nothing is held against the storage, nothing forgotten."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from pie.core.batch.cron import cron
from pie.core.model import Kind, Target
from testbed.cluster import Cluster
from tests.accounting import DECIDED_SECONDS, Accounts, lasting
from tests.chart.install import controller_account, refusals
from tests.conftest import demand_machine
from tests.harness import ON_TIME, PERFORMANCE, Pie, until
from tests.real.conftest import STORAGE_CLASS, Probed, install_crd

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]

PROBE, PERIOD_SECONDS = "rolling", 60
FIRST, SECOND, NEW = NODES = ["node-1", "node-2", "node-3"]
CILIUM = {"key": "node.cilium.io/agent-not-ready", "effect": "NoExecute"}
GRACE = {"newNodeGrace": "90s", "rebootGrace": "90s"}
# A node is not removed so soon before a due time: it would be anybody's guess which came first.
CLEAR_SECONDS = 10


class Rolling:
    """Three nodes, the third of them not there yet, and a PieProbe for all of them."""

    def __init__(self, probed: Probed) -> None:
        self.probed = probed
        self.cluster = probed.cluster
        self.api = probed.api
        self.since: dict[Target, float] = {}
        self.until: dict[Target, float] = {}

    async def until_good(self, node: str) -> None:
        """Wait for one more good run on a node."""
        labels = {"pie_probe_name": PROBE, "node": node, "succeed": "true"}
        await self.probed.more(PERFORMANCE, 240, **labels)

    async def until_suppressed(self, node: str) -> None:
        """Wait until one more due time of a node is counted as suppressed."""
        before = self.suppressed(mount(node))

        async def more() -> bool:
            return self.suppressed(mount(node)) > before

        await until(more, f"a suppressed run on {node}", 150, 1)

    def suppressed(self, target: Target) -> int:
        """Return how many due times of a target are counted as suppressed."""
        counts = self.accounts.as_what(target)
        return counts.total() - counts["on time"] - counts["late"]

    @property
    def accounts(self) -> Accounts:
        """What the controller counted by now."""
        return Accounts(self.probed.pie.entries)

    async def until_ready(self, node: str, *, wanted: bool = True) -> None:
        """Wait until a node is Ready, or is not."""

        async def so() -> bool:
            found = await self.api.find(f"/api/v1/nodes/{node}")
            conditions = found["status"].get("conditions", []) if found else []
            return any(
                each["type"] == "Ready" and (each["status"] == "True") is wanted for each in conditions
            )

        try:
            await until(so, f"{node} is {'' if wanted else 'not '}Ready", 150)
        except AssertionError as error:
            said = (self.cluster.log_directory / f"kubelet-{node}.log").read_text()[-4000:]
            raise AssertionError(f"{error}; its kubelet said last:\n{said}") from None

    async def change(self, node: str, **spec: Any) -> None:
        """Change a node's spec."""
        await self.api.patch(f"/api/v1/nodes/{node}", {"spec": spec})

    # The maintenance.

    async def cordon_and_reboot(self, node: str) -> None:
        await self.change(node, unschedulable=True)
        await self.until_suppressed(node)
        await self.cluster.reboot(node)
        await self.until_ready(node)
        await self.change(node, unschedulable=None)

    async def lose_power(self, node: str) -> None:
        """Have a node go without a word; it is cordoned when somebody notices."""
        await self.cluster.power_off(node)
        await self.until_ready(node, wanted=False)
        await self.until_suppressed(node)
        await self.change(node, unschedulable=True)
        await self.cluster.power_on(node)
        await self.until_ready(node)
        await self.change(node, unschedulable=None)

    async def reboot_in_mid_run(self, node: str) -> None:
        async def running() -> bool:
            pods = await self.api.items(self.probed.path("pods"), selector=f"node={node}")
            return any(pod["status"]["phase"] == "Running" for pod in pods)

        await until(running, f"a run on {node}", 150, 0.1)
        await self.change(node, unschedulable=True)
        await self.cluster.reboot(node)
        await self.until_ready(node)
        await self.change(node, unschedulable=None)

    async def arrive(self, node: str) -> None:
        """Have a node come, tainted by its CNI until the first due time has passed."""
        path = f"/api/v1/nodes/{node}"
        await self.cluster.power_on(node)
        await until(lambda: self.api.find(path), f"{node} is registered", 60, 0.05)
        await self.change(
            node, taints=[CILIUM, {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
        )
        await self.until_suppressed(node)
        await self.until_ready(node)
        await self.change(node, taints=None)
        await self.note_targets()

    async def remove(self, node: str) -> None:
        """Remove a node when all its due times are decided, and none is near."""
        target = mount(node)

        async def clear() -> bool:
            now = self.until[target] = time.time()
            left = cron(target, PERIOD_SECONDS).next_due(now) - now
            return left >= CLEAR_SECONDS and not self.errors(target, now)

        await until(clear, f"no due time of {node} is open", 2 * DECIDED_SECONDS + PERIOD_SECONDS, 1)
        await self.api.delete(f"/api/v1/nodes/{node}")
        await self.cluster.power_off(node)

    # The account of it.

    async def note_targets(self) -> None:
        """Note from when on each target has due times: those after its CronJob was made."""
        for each in await self.api.items(self.probed.path("cronjobs")):
            node = each["metadata"]["labels"].get("node", "")
            target = mount(node) if node else Target(PROBE, Kind.PROVISION, STORAGE_CLASS)
            self.since[target] = datetime.fromisoformat(each["metadata"]["creationTimestamp"]).timestamp()

    async def held_against_the_storage(self) -> list[str]:
        """Return what was counted or reported as bad."""
        samples = await self.probed.pie.samples()
        labels = {ON_TIME["mount"]: "on_time", ON_TIME["provision"]: "on_time", PERFORMANCE: "succeed"}
        counted = [
            f"{metric} {each.labels} {each.value}"
            for metric, label in labels.items()
            for each in samples.all(metric)
            if each.labels[label] == "false" and each.value
        ]
        stored = await self.api.get(self.probed.path("pieprobes", PROBE))
        return counted + [str(each) for each in stored["status"].get("incidents", [])]

    async def not_accounted_for(self) -> list[str]:
        """Return in words which due times were not counted exactly once."""
        decided = time.time() - DECIDED_SECONDS
        ends = {target: self.until.get(target, decided) for target in self.since}
        return await lasting(
            lambda: [each for target, end in ends.items() for each in self.errors(target, end)]
        )

    def errors(self, target: Target, end: float) -> list[str]:
        """Return in words which due times of a target, up to a moment, were not counted exactly once."""
        return self.accounts.errors(target, PERIOD_SECONDS, self.since[target], end)


def mount(node: str) -> Target:
    return Target(PROBE, Kind.MOUNT, STORAGE_CLASS, node)


@asynccontextmanager
async def rolling() -> AsyncIterator[Rolling]:
    """Give a cluster of its own, with a controller and good runs on the two nodes that are there."""
    demand_machine(nodes=True)
    async with Cluster(nodes=len(NODES)) as cluster:
        await cluster.power_off(NEW)
        await cluster.api.delete(f"/api/v1/nodes/{NEW}")
        await install_crd(cluster.api)
        await cluster.create_namespace("pie")
        async with (
            controller_account(cluster, "pie") as kubeconfig,
            Pie(kubeconfig, "pie", "--log-level", "debug") as pie,
        ):
            story = Rolling(Probed(cluster, "pie", pie))
            await story.probed.probe(PROBE, NODES, suppression=GRACE)
            await asyncio.gather(story.until_good(FIRST), story.until_good(SECOND))
            await story.note_targets()
            yield story
            assert refusals(cluster, "pie") == []


async def test_a_rolling_maintenance_is_held_against_nothing_and_every_due_time_accounted_for() -> None:
    async with rolling() as story:
        await asyncio.gather(story.cordon_and_reboot(FIRST), story.arrive(NEW))
        await asyncio.gather(story.lose_power(SECOND), story.reboot_in_mid_run(NEW))
        await story.remove(NEW)
        await asyncio.gather(story.until_good(FIRST), story.until_good(SECOND))
        assert await story.held_against_the_storage() == []
        assert await story.not_accounted_for() == []
        assert all(story.suppressed(mount(node)) for node in NODES)
