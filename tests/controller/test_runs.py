"""Runs are judged, counted once, and their Jobs deleted: on a real control plane, with the kubelet played."""

import time

from pie.core.result import Outcome
from tests.controller.mounts import IN_TIME, LATE_AT_LAST, NEW, A, B, mounts, result
from tests.controller.provisions import provisions
from tests.controller.stage import Stage
from tests.harness import ON_TIME, PERFORMANCE, until, until_condition

WRITE_LATENCY = "pie_io_write_latency_on_mount_probe_seconds"


async def test_a_good_run_is_counted_once_and_its_job_deleted(stage: Stage) -> None:
    async with mounts(stage, **IN_TIME) as target:
        pod = await target.start()
        await stage.run(pod)
        await target.until_on_time("true", 1)
        await stage.end(pod, result())
        await target.until_succeeded("true", 1)
        await target.no_jobs()
        samples = await target.pie.samples()
        assert samples.value(WRITE_LATENCY, node=target.node) == 0.002
        assert samples.value(ON_TIME["mount"], node=target.node, on_time="true") == 1
        assert samples.value(ON_TIME["mount"], node=target.node, on_time="false") == 0
        assert samples.value(PERFORMANCE, node=target.node, succeed="false") == 0


async def test_a_run_that_ends_before_anybody_looked_is_counted_as_well(stage: Stage) -> None:
    async with mounts(stage, **IN_TIME) as target:
        await stage.end(await target.start(), result())
        await target.until_on_time("true", 1)
        await target.until_succeeded("true", 1)


async def test_a_pod_that_does_not_start_is_late_at_its_threshold_and_replaced_at_its_deadline(
    stage: Stage,
) -> None:
    async with mounts(stage) as target:
        pod = await target.start()
        await target.until_on_time("false", 1)
        found = await until_condition(stage.api, stage.namespace, "p1", "MountHealthy", "False", "MountSlow")
        assert target.node in found["message"]
        await until(lambda: _deleted(stage, pod), "the pod is deleted")
        assert await target.on_time("false") == 1


async def _deleted(stage: Stage, pod: str) -> bool:
    found = await stage.api.find(stage.path("pods", pod))
    return found is None or "deletionTimestamp" in found["metadata"]


async def test_a_failed_io_is_counted_with_its_evidence_and_clears(stage: Stage) -> None:
    async with mounts(stage, **IN_TIME) as target:
        await stage.end(await target.start(), result(Outcome.IO_ERROR, message="write: EIO"), exit_code=1)
        await target.until_succeeded("false", 1)
        await target.until_on_time("true", 1)
        await until_condition(stage.api, stage.namespace, "p1", "MountHealthy", "False", "IOError")
        await target.no_jobs()
        await stage.end(await target.start(), result(found=A, sequence=1))
        await target.until_succeeded("true", 1)
        await until_condition(stage.api, stage.namespace, "p1", "MountHealthy", "True")


async def test_a_hung_run_fails_once_at_its_deadline_and_what_it_was_on_time_stays(stage: Stage) -> None:
    async with mounts(stage, **LATE_AT_LAST) as target:
        pod = await target.start()
        await stage.run(pod)
        await target.until_on_time("true", 1)
        await target.until_succeeded("false", 1)
        await until_condition(stage.api, stage.namespace, "p1", "MountHealthy", "False", "Hung")
        assert not await _deleted(stage, pod)
        await stage.end(pod, "", exit_code=137)
        await target.no_jobs()
        assert (await target.on_time("true"), await target.on_time("false")) == (1, 0)
        assert (await target.succeeded("true"), await target.succeeded("false")) == (0, 1)


async def test_lost_and_swapped_volumes_are_told_apart_from_a_fresh_one(stage: Stage) -> None:
    async with mounts(stage, **IN_TIME) as target:
        await stage.end(await target.start(), result())
        await target.until_succeeded("true", 1)

        async def annotated() -> bool:
            found = await stage.api.get(stage.path("persistentvolumeclaims", target.claim))
            return bool(found["metadata"]["annotations"].get("pie.topolvm.io/volume-identity") == A)

        await until(annotated, "the claim says which volume it is")
        await target.no_jobs()
        await stage.end(await target.start(), result(found=B, sequence=9))
        await target.until_succeeded("false", 1)
        await until_condition(stage.api, stage.namespace, "p1", "MountHealthy", "False", "DataSwapped")
        await target.no_jobs()
        await target.pie.kill()
        await target.pie.start()
        await stage.end(await target.start(), result(new=NEW))
        await until_condition(stage.api, stage.namespace, "p1", "MountHealthy", "False", "DataLost")
        await target.no_jobs()
        await stage.end(await target.start(), result(found=A, sequence=1))
        await until_condition(stage.api, stage.namespace, "p1", "MountHealthy", "True")


async def test_runs_that_finished_while_the_controller_was_dead_are_counted_once_each(stage: Stage) -> None:
    async with mounts(stage, **IN_TIME) as target:
        await target.pie.kill()
        now = time.time()
        for minutes in (3, 2, 1):
            await stage.end(
                await target.start(now - 60 * minutes),
                result(found=None if minutes == 3 else A, sequence=4 - minutes),
            )
        await target.pie.start()
        await target.until_succeeded("true", 3)
        await target.until_on_time("true", 3)
        await target.no_jobs()
        assert (await target.on_time("true"), await target.succeeded("true")) == (3, 3)


async def test_a_job_that_nobody_of_ours_owns_counts_nothing(stage: Stage) -> None:
    async with mounts(stage, **IN_TIME) as target:
        await stage.api.patch(
            stage.path("cronjobs", target.cronjob), {"metadata": {"labels": {"forged": ""}}}
        )
        template = await stage.api.get(stage.path("cronjobs", target.cronjob))
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "forged", **template["spec"]["jobTemplate"]["metadata"]},
            "spec": template["spec"]["jobTemplate"]["spec"],
        }
        await stage.api.create(stage.path("jobs"), job)
        forged = await until(lambda: stage.api.items(stage.path("pods")), "the forged pod")
        await stage.end(forged[0]["metadata"]["name"], result(), exit_code=0)
        await stage.end(await target.start(), result())
        await target.until_succeeded("true", 1)
        assert await target.succeeded("true") == 1


async def test_a_job_deleted_unread_is_a_lost_run(stage: Stage) -> None:
    # It has to be deleted before it is late.
    async with mounts(stage, probeThreshold="20s", deadline="30s") as target:
        await target.start()
        for kind in ("cronjobs", "jobs", "pods"):  # each has a watch of its own
            await target.pie.until_value("pie_reflector_objects", lambda value: value == 1, resource=kind)
        (job,) = await stage.names("jobs")
        await stage.api.delete(stage.path("jobs", job))
        await target.pie.until_value("pie_lost_runs_total", lambda value: value == 1, 60, reason="Pruned")


async def test_the_provision_probe_is_on_time_when_its_volume_was_used(stage: Stage) -> None:
    async with provisions(stage, 1, probeThreshold="7s") as (pie, cronjob, (node,)):
        pod = await stage.start_job(cronjob, time.time())
        await stage.bind(pod, node)
        await stage.run(pod)
        await stage.end(pod, result())
        await pie.until_value(ON_TIME["provision"], lambda value: value == 1, on_time="true")
        await until_condition(stage.api, stage.namespace, "p1", "ProvisionHealthy", "True")
        await stage.start_job(cronjob, time.time() + 1)  # never of the second of the first one
        await pie.until_value(ON_TIME["provision"], lambda value: value == 1, on_time="false")
