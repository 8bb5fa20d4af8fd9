"""Pods, Jobs and claims that the cluster refuses to create: no fault of the control plane or the storage."""

import time

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Stage, Target
from pie.core.reasons import Reason
from pie.core.wire import Event, InvolvedObject, Metadata
from tests.controller.mounts import mounts
from tests.controller.reported import warn_about
from tests.controller.simulation import Simulation
from tests.controller.stage import Stage as Set
from tests.controller.stories import SPEC, at_once, cronjobs_stand_still
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import TARGET, World
from tests.harness import apply_probe, pieprobe, until, until_condition

OVER_QUOTA = 'Error creating: pods "mount-p1-x" is forbidden: exceeded quota: none, requested: pods=1'


async def set_quota(stage: Set, **hard: str) -> str:
    """Set a quota, wait until it is counted, and return its path."""
    quota = stage.path("resourcequotas", "q")
    await stage.api.create(stage.path("resourcequotas"), {"metadata": {"name": "q"}, "spec": {"hard": hard}})

    async def counted() -> bool:
        return bool((await stage.api.get(quota)).get("status", {}).get("used", {}).keys() >= hard.keys())

    await until(counted, "the quota is counted")
    return quota


async def untested(stage: Set, condition: str, reason: str) -> None:
    """Wait until nobody knows how the storage is, for this reason."""
    await until_condition(stage.api, stage.namespace, "p1", condition, "Unknown", reason)


async def test_a_target_whose_claim_is_refused_is_told_of_until_it_is_not(stage: Set) -> None:
    await stage.make_class()
    nodes = [await stage.node(), await stage.node()]
    quota = await set_quota(stage, persistentvolumeclaims="1")
    spec = pieprobe("p1", stage.storage_class, stage.label, disableProvisionProbe=True)
    async with stage.pie():
        await apply_probe(stage.api, stage.namespace, spec)
        found = await until_condition(stage.api, stage.namespace, "p1", "Ready", "False", "ClaimRefused")
        assert "exceeded quota" in found["message"]
        assert any(f"/{node} is not probed: " in found["message"] for node in nodes)
        await stage.api.patch(quota, {"spec": {"hard": {"persistentvolumeclaims": "2"}}})
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")

        async def both() -> bool:
            return len(await stage.names("cronjobs")) == 2

        await until(both, "a CronJob on each node")


async def test_quotas_on_pods_and_claims_are_named_as_such(stage: Set) -> None:
    provision = cronjob_names(Target("p1", Kind.PROVISION, stage.storage_class))[0]
    # At its deadline the provision pod would be replaced, and make room for the other one.
    async with mounts(stage, disableProvisionProbe=False, deadline="30s") as target:
        await set_quota(stage, pods="1", persistentvolumeclaims="1")
        # Takes the one pod that there may be; its own claim would be the second.
        await stage.start_job(provision, time.time())
        await stage.make_job(target.cronjob, time.time())
        await untested(stage, "MountHealthy", "PodRefused")
        assert "exceeded quota" in target.pie.said("verdict")
        await untested(stage, "ProvisionHealthy", "ClaimRefused")


async def test_a_refused_pod_is_told_in_the_words_of_who_refuses(stage: Set) -> None:
    async with mounts(stage) as target:
        job = await stage.make_job(target.cronjob, time.time(), suspend=True)
        await warn_about(stage, "Job", job, "FailedCreate", OVER_QUOTA)
        await untested(stage, "MountHealthy", "PodRefused")
        assert "exceeded quota" in target.pie.said("verdict")


async def test_a_pod_that_was_refused_while_the_controller_was_dead_is_asked_about(stage: Set) -> None:
    async with mounts(stage) as target:
        await target.pie.kill()
        job = await stage.make_job(target.cronjob, time.time(), suspend=True)
        await warn_about(stage, "Job", job, "FailedCreate", OVER_QUOTA)
        await target.pie.start()
        await untested(stage, "MountHealthy", "PodRefused")


def test_a_refused_job_is_the_reason_for_the_due_time_without_one() -> None:
    async def play() -> Simulation:
        simulation = Simulation(at_once)
        simulation.world.begin({**SPEC, "disableProvisionProbe": True})

        def refuse(world: World) -> None:
            (cronjob,) = world.objects["cronjobs"].values()
            uid = cronjob["metadata"]["uid"]
            about = InvolvedObject("CronJob", "pie", cronjob["metadata"]["name"], uid)
            text = f'Error creating job: jobs.batch "{about.name}-1" is forbidden: exceeded quota: q'
            event = Event(Metadata(), about, "FailedCreate", text)
            simulation.controller.warnings._note(event, simulation.now())

        every_ten_seconds = [(second, refuse) for second in range(80, 300, 10)]
        await simulation.run(300, [(70, cronjobs_stand_still), *every_ten_seconds])
        return simulation

    state = in_virtual_time(play()).states()[TARGET]
    assert (state.stage, state.reason) == (Stage.QUEUE, Reason.POD_REFUSED)
    assert "exceeded quota" in state.message
