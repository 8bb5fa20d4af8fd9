"""What runs and ended targets leave behind is followed to zero.

On a real control plane, with kubelet and driver played; and where it takes time, in a simulation.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Target
from pie.core.naming import labels
from tests.controller.lives import Action, lived
from tests.controller.mounts import SECONDS_UNTIL_HUNG, result
from tests.controller.reported import incidents
from tests.controller.stage import HOURLY_MINUTES, Stage
from tests.controller.stories import volume_of_a_run
from tests.controller.world import NODE, World
from tests.harness import Pie, apply_probe, gone, pieprobe, until

LEAKED = "pie_leaked_volumes"
VOLUMES = "/api/v1/persistentvolumes"
TIMED = "pie_stage_duration_seconds_count"


@asynccontextmanager
async def provisioning(stage: Stage, deadline: str = "5s") -> AsyncIterator[tuple[Pie, str, str]]:
    """Yield a controller with a provision target, its CronJob, and a node."""
    await stage.make_class()
    name = f"node-{stage.unique}"
    node = await stage.node(name, **{"kubernetes.io/hostname": name})
    spec = {
        "probePeriod": HOURLY_MINUTES,
        "probeThreshold": "3s",
        "deadline": deadline,
        "disableMountProbes": True,
    }
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
        # Its driver is to delete it, and there is none: it stays until the test deletes it.
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": "test.pie"}},
        "spec": {
            "capacity": {"storage": "100Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": stage.storage_class,
            "persistentVolumeReclaimPolicy": "Delete",
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
    async with provisioning(stage, deadline="30s") as (pie, cronjob, node):
        volume = await one_run(stage, cronjob, node)
        await stage.api.delete(f"{VOLUMES}/{volume}")
        await pie.until_value(TIMED, lambda count: count == 1, probe="provision", stage="teardown")
        for reason in ("VolumeLeaked", "TeardownStuck", "NodeGone"):
            assert await pie.value(LEAKED, reason=reason) == 0
        assert await incidents(stage) == []


async def test_a_volume_that_stays_is_a_leak_until_it_goes_also_over_a_restart(stage: Stage) -> None:
    async with provisioning(stage) as (pie, cronjob, node):
        volume = await one_run(stage, cronjob, node)
        await pie.until_value(LEAKED, lambda value: value == 1, reason="VolumeLeaked")
        await pie.kill()
        await pie.start()
        await pie.until_value(LEAKED, lambda value: value == 1, reason="VolumeLeaked")
        await stage.api.delete(f"{VOLUMES}/{volume}")
        await pie.until_value(LEAKED, lambda value: value == 0, reason="VolumeLeaked")


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


# In the simulation: a deadline of 40 s, and two minutes of patience after it.


ENDS = [(40, World.bind_claims), (80, World.unselect_node)]
"""A mount target gets its volume, and ends; nobody deletes the volume."""


def test_a_volume_found_at_start_is_a_leak_and_an_incident_until_it_goes() -> None:
    leaking, gone_at_last = lived((240, []), (120, [(60, World.delete_volumes)]), given=[volume_of_a_run])
    assert leaking.left == {"VolumeLeaked": 1}
    (opened,) = leaking.incidents
    assert (opened["reason"], opened["open"]) == ("VolumeLeaked", True)
    assert gone_at_last.left == {}
    assert gone_at_last.incidents == [{**opened, "open": False}]


def test_a_volume_found_at_start_whose_node_was_removed_makes_no_incident() -> None:
    (outcome,) = lived((240, []), given=[World.delete_node, volume_of_a_run])
    assert outcome.left == {"NodeGone": 1}
    assert outcome.incidents == []


def test_the_volume_of_a_mount_target_that_ended_is_followed_over_a_restart_until_it_goes() -> None:
    leaking, still, gone_at_last = lived((330, ENDS), (60, []), (120, [(60, World.delete_volumes)]))
    assert leaking.left == {"VolumeLeaked": 1}
    (opened,) = leaking.incidents
    assert (opened["reason"], opened["open"]) == ("VolumeLeaked", True)
    assert still.left == {"VolumeLeaked": 1}
    assert still.incidents == [opened]
    assert gone_at_last.left == {}
    assert gone_at_last.incidents == [{**opened, "open": False}]


def test_the_volume_of_a_mount_target_that_goes_in_time_is_no_leak() -> None:
    (outcome,) = lived((330, [*ENDS, (90, World.delete_volumes)]))
    assert (outcome.left, outcome.incidents) == ({}, [])


def test_the_volume_of_a_mount_target_whose_node_was_removed_makes_no_incident() -> None:
    before, after = lived((330, [(40, World.bind_claims), (80, World.delete_node)]), (240, []))
    assert before.left == after.left == {"NodeGone": 1}
    assert before.incidents == after.incidents == []


OTHERS = ("n2", "n3")


def bind_in_the_zone(world: World) -> None:
    """Give each PVC a volume that every node of the zone reaches."""
    world.bind_claims()
    for volume in list(world.objects["persistentvolumes"].values()):
        rule = {"key": "metadata.name", "operator": "In", "values": [NODE, *OTHERS]}
        affinity = {"required": {"nodeSelectorTerms": [{"matchFields": [rule]}]}}
        world.put("persistentvolumes", {**volume, "spec": {**volume["spec"], "nodeAffinity": affinity}})


def test_a_zonal_volume_of_a_node_that_was_removed_has_time_to_be_detached() -> None:
    gone = [(40, bind_in_the_zone), (80, World.delete_node)]
    # Taint eviction, force-detach and deletion: eleven minutes and more.
    (in_time,) = lived((1500, [*gone, (80 + 18 * 60, World.delete_volumes)]), nodes=OTHERS)
    assert (in_time.left, in_time.incidents) == ({}, [])
    (waiting,) = lived((80 + 19 * 60, gone), nodes=OTHERS)
    assert (waiting.left, waiting.incidents) == ({}, [])
    # Nor does a controller that comes meanwhile call it a leak.
    _, successor = lived((300, gone), (15 * 60, []), nodes=OTHERS)
    assert (successor.left, successor.incidents) == ({}, [])
    (stays,) = lived((80 + 26 * 60, gone), nodes=OTHERS)
    assert stays.left == {"VolumeLeaked": 1}
    (opened,) = stays.incidents
    assert (opened["reason"], opened["open"]) == ("VolumeLeaked", True)


def test_a_zonal_volume_whose_node_is_there_is_a_leak_as_soon_as_any_other() -> None:
    (outcome,) = lived((330, [(40, bind_in_the_zone), (80, World.unselect_node)]), nodes=OTHERS)
    assert outcome.left == {"VolumeLeaked": 1}


def test_a_volume_that_is_to_be_retained_is_no_leak() -> None:
    def bind(world: World) -> None:
        world.bind_claims("Retain")

    for outcome in lived((330, [(40, bind), (80, World.unselect_node)]), (240, [])):
        assert (outcome.left, outcome.incidents) == ({}, [])


@pytest.mark.parametrize("ends", [[], [World.unselect_node]], ids=["selected", "no longer selected"])
def test_a_volume_on_a_node_in_maintenance_is_no_leak_and_seldom_asked_for(ends: list[Action]) -> None:
    given = [*ends, World.cordon, volume_of_a_run]
    in_maintenance, after = lived((1200, []), (240, [(0, World.uncordon)]), given=given)
    assert (in_maintenance.left, in_maintenance.incidents) == ({}, [])
    assert 10 < in_maintenance.asked["get", "persistentvolumes"] <= 1200 / 60 + 2
    assert after.left == {"VolumeLeaked": 1}


def test_what_is_left_behind_stays_so_through_maintenance_also_over_a_restart() -> None:
    same, restarted, after = lived(
        (600, [(240, World.cordon)]), (300, []), (120, [(0, World.uncordon)]), given=[volume_of_a_run]
    )
    assert same.left == {"VolumeLeaked": 1}
    (opened,) = same.incidents
    assert opened["open"]
    assert restarted.incidents == after.incidents == [opened]
    assert after.left == {"VolumeLeaked": 1}
