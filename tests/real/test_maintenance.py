"""Maintenance of real nodes, announced and not: nothing of it is held against the storage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.harness import ON_TIME, PERFORMANCE, until
from tests.real.conftest import Probed

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

NODES = ["node-1", "node-2"]
NODE = NODES[0]
SUPPRESSED = "pie_suppressed_runs_total"


@asynccontextmanager
async def held_against_nothing(probed: Probed, at_least: float = 1) -> AsyncIterator[None]:
    """Probe both nodes; assert that none of their runs is bad, some are suppressed, and all ends well."""
    await probed.probe("rolling", NODES)
    for node in NODES:
        good = {"pie_probe_name": "rolling", "node": node, "succeed": "true"}
        await probed.pie.until_value(PERFORMANCE, lambda value: value >= 1, 150, **good)
    before = await suppressed(probed)
    yield
    assert await suppressed(probed) >= before + at_least
    await probed.more(PERFORMANCE, 240, pie_probe_name="rolling", node=NODE, succeed="true")
    samples = await probed.pie.samples()
    bad = [
        sample
        for metric, label in (
            (ON_TIME["mount"], "on_time"),
            (ON_TIME["provision"], "on_time"),
            (PERFORMANCE, "succeed"),
        )
        for sample in samples.all(metric)
        if sample.labels[label] == "false" and sample.value
    ]
    assert bad == []
    stored = await probed.api.get(probed.path("pieprobes", "rolling"))
    assert not stored["status"].get("incidents")


async def suppressed(probed: Probed) -> float:
    return sum(sample.value for sample in (await probed.pie.samples()).all(SUPPRESSED))


async def is_ready(probed: Probed, wanted: bool) -> bool:
    node = await probed.api.get(f"/api/v1/nodes/{NODE}")
    ready = next(each["status"] for each in node["status"]["conditions"] if each["type"] == "Ready")
    return (ready == "True") is wanted


async def test_a_node_that_loses_its_power_without_a_word(probed: Probed) -> None:
    async with held_against_nothing(probed):
        await probed.cluster.power_off(NODE)
        await until(lambda: is_ready(probed, False), "the node is not Ready", 120)
        await asyncio.sleep(90)  # maintenance takes its time
        await probed.cluster.power_on(NODE)
        await until(lambda: is_ready(probed, True), "the node is Ready", 120)


async def test_a_node_that_is_cordoned_and_rebooted(probed: Probed) -> None:
    async with held_against_nothing(probed):
        path = f"/api/v1/nodes/{NODE}"
        await probed.api.patch(path, {"spec": {"unschedulable": True}})
        await asyncio.sleep(70)  # at least one due time
        await probed.cluster.reboot(NODE)
        await until(lambda: is_ready(probed, True), "the node is Ready", 120)
        await probed.api.patch(path, {"spec": {"unschedulable": None}})


async def test_a_node_that_reboots_at_once_in_mid_run(probed: Probed) -> None:
    # The run may be over by the time that the power goes.
    async with held_against_nothing(probed, at_least=0):

        async def running() -> bool:
            pods = await probed.api.items(probed.path("pods"), selector=f"node={NODE}")
            return any(pod["status"]["phase"] == "Running" for pod in pods)

        await until(running, "a run on the node", 90, 0.1)
        await probed.cluster.reboot(NODE)
        await until(lambda: is_ready(probed, True), "the node is Ready", 120)
        await asyncio.sleep(90)  # what it did to the run is seen by then
