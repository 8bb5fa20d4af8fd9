"""What runs leave behind is followed to zero: on a real control plane, with kubelet and driver played."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pie.core.model import Kind, Target
from pie.core.naming import cronjob_names, labels
from tests.controller.conftest import Stage
from tests.controller.test_incidents import incidents, until_incidents
from tests.controller.test_runs import SECONDS_UNTIL_HUNG, result
from tests.harness import Pie, apply_probe, gone, pieprobe, until

LEAKED = "pie_leaked_volumes"
VOLUMES = "/api/v1/persistentvolumes"
TIMED = "pie_stage_duration_seconds_count"


@asynccontextmanager
async def provisioning(stage: Stage) -> AsyncIterator[tuple[Pie, str, str]]:
    """Yield a controller with a provision target, its CronJob, and a node."""
    await stage.make_class()
    node = await stage.node()
    spec = {"probePeriod": 59, "probeThreshold": "3s", "deadline": "5s", "disableMountProbes": True}
    async with stage.pie() as pie:
        await apply_probe(
            stage.api, stage.namespace, pieprobe("p1", stage.storage_class, stage.label, **spec)
        )
        cronjob = cronjob_names(Target("p1", Kind.PROVISION, stage.storage_class))[0]
        await until(lambda: stage.api.find(stage.path("cronjobs", cronjob)), "the CronJob")
        yield pie, cronjob, node


async def volume_of(stage: Stage, pod: str, node: str) -> str:
    """Bind the pod's ephemeral claim to a volume on a node, as provisioner and controller manager do."""
    claim = f"{pod}-volume"
    found = await until(lambda: stage.api.find(stage.path("persistentvolumeclaims", claim)), "the claim")
    name = f"pv-{stage.unique}-{found['metadata']['uid'][:8]}"
    rule = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "100Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": stage.storage_class,
            # Nobody here deletes volumes, so that they stay until the test does.
            "persistentVolumeReclaimPolicy": "Retain",
            "csi": {"driver": "test.pie", "volumeHandle": name},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": stage.namespace,
                "name": claim,
                "uid": found["metadata"]["uid"],
            },
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}},
        },
    }
    await stage.api.create(VOLUMES, body)
    stage._cluster_objects.append(f"{VOLUMES}/{name}")
    selected = {"metadata": {"annotations": {"volume.kubernetes.io/selected-node": node}}}
    await stage.api.patch(stage.path("persistentvolumeclaims", claim), selected)

    async def bound() -> bool:
        claimed = await stage.api.get(stage.path("persistentvolumeclaims", claim))
        return bool(claimed["status"]["phase"] == "Bound")

    await until(bound, "the claim is bound")
    return name


async def one_run(stage: Stage, cronjob: str, node: str) -> str:
    """Let one good run come and go; return the volume that it had."""
    pod = await stage.start_job(cronjob, 1_700_000_000)
    volume = await volume_of(stage, pod, node)
    await stage.bind(pod, node)
    await stage.run(pod)
    await stage.end(pod, result())
    claim = stage.path("persistentvolumeclaims", f"{pod}-volume")
    await until(lambda: gone(stage.api, claim), "the claim is gone")
    return volume


async def test_a_volume_that_goes_in_time_is_timed_and_no_leak(stage: Stage) -> None:
    async with provisioning(stage) as (pie, cronjob, node):
        volume = await one_run(stage, cronjob, node)
        await stage.api.delete(f"{VOLUMES}/{volume}")
        await pie.until_value(TIMED, lambda count: count == 1, probe="provision", stage="teardown")
        for reason in ("VolumeLeaked", "TeardownStuck", "NodeGone"):
            assert await pie.value(LEAKED, reason=reason) == 0
        assert await incidents(stage) == []


async def test_a_volume_that_stays_is_a_leak_and_an_incident_until_it_goes_also_over_a_restart(
    stage: Stage,
) -> None:
    async with provisioning(stage) as (pie, cronjob, node):
        volume = await one_run(stage, cronjob, node)
        await pie.until_value(LEAKED, lambda value: value == 1, reason="VolumeLeaked")
        (opened,) = await until_incidents(stage, 1, still_open=True, timeout_seconds=180)
        assert (opened["stage"], opened["reason"]) == ("teardown", "VolumeLeaked")
        assert volume in opened["evidence"]
        await pie.kill()
        await pie.start()
        await pie.until_value(LEAKED, lambda value: value == 1, reason="VolumeLeaked")
        assert [each["id"] for each in await incidents(stage)] == [opened["id"]]
        await stage.api.delete(f"{VOLUMES}/{volume}")
        await pie.until_value(LEAKED, lambda value: value == 0, 70, reason="VolumeLeaked")
        await until_incidents(stage, 1, still_open=False)


async def test_a_volume_on_a_node_that_was_removed_is_counted_and_makes_no_incident(stage: Stage) -> None:
    async with provisioning(stage) as (pie, cronjob, node):
        await stage.node()
        await one_run(stage, cronjob, node)
        await stage.api.delete(f"/api/v1/nodes/{node}")
        await pie.until_value(LEAKED, lambda value: value == 1, SECONDS_UNTIL_HUNG + 20, reason="NodeGone")
        assert await pie.value(LEAKED, reason="VolumeLeaked") == 0
        assert await incidents(stage) == []


def test_the_claim_of_a_run_carries_the_labels_by_which_its_target_is_known() -> None:
    assert labels(Target("p", Kind.PROVISION, "c")) == {"storage-class": "c", "pie-probe": "p"}
