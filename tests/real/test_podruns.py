"""`runner: Pod` on real nodes with real volumes: runs are good, also while the runner is changed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.atonce import Stories, at_once
from tests.harness import ON_TIME, gone, until, until_condition
from tests.real.conftest import STORAGE_CLASS, Probed

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1200)]

NAME = "pods"
NODES = ["node-1", "node-2"]
POD: dict[str, Any] = {
    "runner": "Pod",
    "probePeriodSeconds": 30,
    "probePeriod": 1,
    "probeThreshold": "30s",
    "deadline": "30s",
}
CRONJOB: dict[str, Any] = {"runner": "CronJob", "probePeriodSeconds": None, "probeThreshold": "30s"}


async def pods(probed: Probed) -> list[dict[str, Any]]:
    """Return the pods of the PieProbe."""
    return await probed.api.items(probed.path("pods"), selector=f"pie-probe={NAME}")


async def owned_by_probe(probed: Probed) -> list[dict[str, Any]]:
    """Return the pods that the PieProbe itself owns."""
    found = await pods(probed)
    return [each for each in found if each["metadata"]["ownerReferences"][0]["kind"] == "PieProbe"]


async def well(probed: Probed) -> bool:
    """Tell whether all targets are well."""
    status = (await probed.api.get(probed.path("pieprobes", NAME))).get("status") or {}
    targets = status.get("targets") or {}
    return targets.get("ok") == targets.get("total") == len(NODES) + 1


async def more_runs(probed: Probed, by: int) -> None:
    """Wait until each target had so many more good runs."""
    good = {"pie_probe_name": NAME, "on_time": "true"}
    async with asyncio.TaskGroup() as targets:
        targets.create_task(probed.more(ON_TIME["provision"], 240, by=by, **good))
        for node in NODES:
            targets.create_task(probed.more(ON_TIME["mount"], 240, by=by, **good, node=node))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stories(probed: Probed) -> AsyncIterator[Stories]:
    """One PieProbe whose runner is changed, and one with two classes."""
    async with at_once(
        {"runner": the_runner_is_changed(probed), "classes": a_class_is_deleted(probed)}
    ) as stories:
        yield stories


async def test_pods_that_pie_starts_itself_are_good_runs_and_the_runner_can_be_changed(
    stories: Stories,
) -> None:
    await stories["runner"]


async def test_two_classes_are_probed_and_one_that_is_deleted_is_paused_with_its_volume(
    stories: Stories,
) -> None:
    await stories["classes"]


async def the_runner_is_changed(probed: Probed) -> None:
    await probed.probe(NAME, NODES, **POD)
    try:
        found = await until(lambda: owned_by_probe(probed), "a pod of the PieProbe", 90, 0.1)
        assert all(each["spec"]["schedulerName"] == "default-scheduler" for each in found)
        await more_runs(probed, 1)
        await until(lambda: well(probed), "all targets are well", 60)
        assert await probed.api.items(probed.path("cronjobs")) == []
        assert await probed.api.items(probed.path("jobs")) == []
        path = probed.path("pieprobes", NAME)
        await probed.api.patch(path, {"spec": CRONJOB})
        await until(lambda: probed.api.items(probed.path("cronjobs")), "the CronJobs", 60)
        # One of them may still be the other runner's.
        await more_runs(probed, 2)
        await probed.api.patch(path, {"spec": POD})
        await until(lambda: gone(probed.api, probed.path("cronjobs")), "the CronJobs are gone", 120)
        await more_runs(probed, 2)
        samples = await probed.pie.samples()
        late = {"pie_probe_name": NAME, "on_time": "false"}
        counted = [each for name in ON_TIME.values() for each in samples.all(name)]
        wrong = [each for each in counted if late.items() <= each.labels.items() and each.value]
        assert wrong == []
        await until(lambda: well(probed), "all targets are well", 60)
    finally:
        await probed.api.delete(probed.path("pieprobes", NAME))


async def a_class_is_deleted(probed: Probed) -> None:
    name, node, copy = "both", NODES[0], "local-copy"
    path = "/apis/storage.k8s.io/v1/storageclasses"
    original = await probed.api.get(f"{path}/{STORAGE_CLASS}")
    fields = ("provisioner", "parameters", "volumeBindingMode", "reclaimPolicy")
    body = {"metadata": {"name": copy}, **{each: original[each] for each in fields if each in original}}
    claim = probed.path("persistentvolumeclaims", probed.claim(name, node, copy))
    several = {"monitoringStorageClass": None, "monitoringStorageClasses": [STORAGE_CLASS, copy]}
    await probed.api.create(path, body)
    try:
        await probed.probe(name, [node], disableProvisionProbe=True, **POD)
        await probed.api.patch(probed.path("pieprobes", name), {"spec": several})
        for storage_class in (STORAGE_CLASS, copy):
            labels = {"pie_probe_name": name, "storage_class": storage_class, "on_time": "true"}
            await probed.pie.until_value(ON_TIME["mount"], lambda value: value >= 1, 90, **labels)
        volume = (await probed.api.get(claim))["metadata"]["uid"]
        await probed.api.delete(f"{path}/{copy}")
        ready = await until_condition(
            probed.api, probed.namespace, name, "Ready", "False", "StorageClassNotFound"
        )
        assert ready["message"].startswith(f"StorageClass {copy}: ")
        await probed.api.create(path, body)
        await until_condition(probed.api, probed.namespace, name, "Ready", "True")
        assert (await probed.api.get(claim))["metadata"]["uid"] == volume
    finally:
        await probed.api.delete(probed.path("pieprobes", name))
        await until(lambda: gone(probed.api, claim), "the PVC is gone", 120)
        await probed.api.delete(f"{path}/{copy}")
