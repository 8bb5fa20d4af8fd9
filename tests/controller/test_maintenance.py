"""Maintenance is not an outage: a real control plane, with kubelet and node controller played by the test."""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

from pie.core.result import Outcome
from tests.controller.mounts import IN_TIME, LATE_AT_LAST, A, Mounts, mounts, result
from tests.controller.provisions import provisions
from tests.controller.stage import Stage
from tests.harness import ON_TIME, Pie, until, until_condition

SUPPRESSED = "pie_suppressed_runs_total"
NOW = "pie_target_suppressed"
GPU = {"key": "gpu", "effect": "NoSchedule"}
CILIUM = {"key": "node.cilium.io/agent-not-ready", "effect": "NoExecute"}
# Threshold, and the time in which a late run would have been counted.
SECONDS_UNTIL_COUNTED = 3 + 5
NO_GRACE = {"newNodeGrace": "0s", "rebootGrace": "0s"}

Change = Callable[[Stage, str], Awaitable[Any]]


async def until_suppressed(pie: Pie, reason: str, count: float = 1, *, probe: str = "mount") -> None:
    """Wait until so many runs of a probe are counted as suppressed for a reason."""
    await pie.until_value(SUPPRESSED, lambda value: value == count, 90, reason=reason, probe=probe)


async def until_now(pie: Pie, node: str, reason: str | None) -> None:
    """Wait until the gauge says that a target is suppressed for a reason, or for none."""

    async def shown() -> bool:
        samples = await pie.samples()
        if reason is None:
            return NOW not in samples.names(node=node)
        return samples.value(NOW, node=node, reason=reason) == 1

    await until(shown, f"{node or 'the class'} is suppressed: {reason}")


async def until_suspended(stage: Stage, cronjob: str, *, wanted: bool) -> None:
    async def suspended() -> bool:
        found = await stage.api.find(stage.path("cronjobs", cronjob))
        return found is not None and found["spec"]["suspend"] is wanted

    await until(suspended, f"{cronjob} is suspended: {wanted}")


async def not_held_against_storage(target: Mounts) -> None:
    """Assert that no run of a mount target was counted bad."""
    samples = await target.pie.samples()
    assert samples.value(ON_TIME["mount"], node=target.node, on_time="false") == 0
    assert samples.value("pie_performance_on_mount_probe_total", node=target.node, succeed="false") == 0


async def counted(stage: Stage, **counts: int) -> bool:
    """Tell whether the status counts so many targets."""
    found = await stage.api.get(stage.path("pieprobes", "p1"))
    return counts.items() <= found["status"]["targets"].items()


async def label(stage: Stage, node: str, kind: str, **values: str) -> None:
    await stage.api.patch(f"/api/v1/nodes/{node}", {"metadata": {kind: values}})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda stage, node: stage.cordon(node), "NodeCordoned", id="cordon"),
        pytest.param(lambda stage, node: stage.node_status(node, "Unknown"), "NodeNotReady", id="not-ready"),
        pytest.param(lambda stage, node: stage.taint(node, GPU), "NodeTainted", id="intolerable-taint"),
        pytest.param(lambda stage, node: stage.taint(node, CILIUM), "NodeMarked", id="cni-taint"),
        pytest.param(
            lambda stage, node: label(stage, node, "labels", repair="disk"),
            "NodeMarked",
            id="mark-of-the-spec",
        ),
    ],
)
async def test_a_late_run_under_maintenance_is_suppressed_and_its_cronjob_rests(
    stage: Stage, change: Change, reason: str
) -> None:
    async with mounts(
        stage, suppression={**NO_GRACE, "labels": [{"key": "repair"}]}, **LATE_AT_LAST
    ) as target:
        await target.start()
        await change(stage, target.node)
        await until_now(target.pie, target.node, reason)
        await until_suspended(stage, target.cronjob, wanted=True)
        await until_suppressed(target.pie, reason)
        await until(lambda: counted(stage, suppressed=1, bad=0), "the status says so")
        await not_held_against_storage(target)


async def test_a_node_that_was_cordoned_in_mid_run_only_suppresses_the_run_all_the_same(stage: Stage) -> None:
    async with mounts(stage, suppression=NO_GRACE, **LATE_AT_LAST) as target:
        await target.start()
        await stage.cordon(target.node)
        await until_now(target.pie, target.node, "NodeCordoned")
        await stage.cordon(target.node, undo=True)
        await until_now(target.pie, target.node, None)
        await until_suppressed(target.pie, "NodeCordoned")
        await not_held_against_storage(target)


async def test_a_run_that_outlives_the_maintenance_has_its_threshold_anew_and_no_more(stage: Stage) -> None:
    async with mounts(stage, suppression=NO_GRACE, deadline="40s", probeThreshold="7s") as target:
        await target.start()
        await stage.cordon(target.node)
        await until_suppressed(target.pie, "NodeCordoned")
        await stage.cordon(target.node, undo=True)
        # Its due time is counted as suppressed; the verdict is the storage's all the same.
        await until_condition(stage.api, stage.namespace, "p1", "MountHealthy", "False", timeout_seconds=90)


async def test_a_run_that_a_reboot_cut_short_is_on_time_and_only_its_io_suppressed(stage: Stage) -> None:
    async with mounts(stage, suppression=NO_GRACE, **IN_TIME) as target:
        pod = await target.start()
        await stage.run(pod)
        await target.until_on_time("true", 1)
        await stage.end(pod, "", exit_code=137)
        await stage.node_status(target.node, boot_id="boot-2")
        await until_suppressed(target.pie, "NodeRebooted", probe="performance")
        await target.no_jobs()
        assert await target.pie.value(SUPPRESSED, reason="NodeRebooted", probe="mount") == 0
        assert await target.on_time("true") == 1
        await not_held_against_storage(target)


async def test_a_reboot_has_a_grace_that_ends_with_a_good_run(stage: Stage) -> None:
    async with mounts(stage, suppression={"newNodeGrace": "0s", "rebootGrace": "10m"}, **IN_TIME) as target:
        await stage.node_status(target.node, boot_id="boot-2")
        await until_now(target.pie, target.node, "NodeRebooted")
        found = await stage.api.get(stage.path("cronjobs", target.cronjob))
        assert found["spec"]["suspend"] is False
        await stage.end(await target.start(), result(Outcome.IO_ERROR), exit_code=1)
        await until_suppressed(target.pie, "NodeRebooted", probe="performance")
        await target.no_jobs()
        await stage.end(await target.start(), result(found=A, sequence=1))
        await target.until_succeeded("true", 1)
        await until_now(target.pie, target.node, None)
        await target.no_jobs()
        await stage.end(await target.start(), result(Outcome.IO_ERROR, found=A, sequence=2), exit_code=1)
        await target.until_succeeded("false", 1)


async def test_lost_data_is_lost_whatever_happens_to_the_node(stage: Stage) -> None:
    async with mounts(stage, suppression=NO_GRACE, **IN_TIME) as target:
        await stage.end(await target.start(), result())
        await target.until_succeeded("true", 1)
        await target.no_jobs()
        pod = await target.start()
        await stage.cordon(target.node)
        await until_now(target.pie, target.node, "NodeCordoned")
        await stage.end(pod, result(new="c" * 32))
        await target.until_succeeded("false", 1)


async def test_a_good_run_on_a_cordoned_node_is_good(stage: Stage) -> None:
    async with mounts(stage, suppression=NO_GRACE, **IN_TIME) as target:
        await stage.cordon(target.node)
        await until_now(target.pie, target.node, "NodeCordoned")
        await stage.end(await target.start(), result())
        await target.until_succeeded("true", 1)
        await target.until_on_time("true", 1)
        assert await target.pie.value(SUPPRESSED, probe="mount", reason="NodeCordoned") == 0


async def test_a_fault_on_a_ready_node_without_marks_is_never_suppressed(stage: Stage) -> None:
    async with mounts(stage) as target:
        other = await stage.node()
        await stage.cordon(other)
        await until_now(target.pie, other, "NodeCordoned")
        soft = {"key": "DeletionCandidateOfClusterAutoscaler", "effect": "PreferNoSchedule", "value": "1"}
        await stage.taint(target.node, soft)
        await target.start()
        await target.until_on_time("false", 1)
        await stage.end(await target.start(), result(Outcome.IO_ERROR), exit_code=1)
        await target.until_succeeded("false", 1)
        samples = await target.pie.samples()
        assert "p1" in samples.text
        assert [
            line for line in samples.text.splitlines() if line.startswith(SUPPRESSED) and line[-3:] != "0.0"
        ] == []


async def test_a_node_that_is_deleted_in_mid_run_suppresses_the_run(stage: Stage) -> None:
    async with mounts(stage, **IN_TIME) as target:
        await stage.run(await target.start())
        await target.until_on_time("true", 1)
        await target.start()
        await stage.api.delete(f"/api/v1/nodes/{target.node}")
        await until_suppressed(target.pie, "NodeDeleted")
        await until_suppressed(target.pie, "NodeDeleted", probe="performance")
        await target.pie.until_no_samples(node=target.node)


async def test_a_node_that_is_being_deleted_is_suppressed(stage: Stage) -> None:
    async with mounts(stage, suppression=NO_GRACE) as target:
        path = f"/api/v1/nodes/{target.node}"
        await stage.api.patch(path, {"metadata": {"finalizers": ["test.pie/hold"]}})
        await stage.api.delete(path)
        await until_now(target.pie, target.node, "NodeDeleted")
        await stage.api.patch(path, {"metadata": {"finalizers": None}})


async def test_a_cronjob_is_resumed_when_the_maintenance_is_over(stage: Stage) -> None:
    spec = {"probePeriod": 1, "probeThreshold": "30s", "deadline": "40s", "suppression": NO_GRACE}
    async with mounts(stage, **spec) as target:
        await stage.cordon(target.node)
        await until_suspended(stage, target.cronjob, wanted=True)
        await target.pie.until_value(
            SUPPRESSED, lambda value: value >= 1, 130, reason="NodeCordoned", probe="mount"
        )
        await stage.cordon(target.node, undo=True)
        await until_now(target.pie, target.node, None)

        async def resumed() -> bool:
            found = await stage.api.get(stage.path("cronjobs", target.cronjob))
            return not found["spec"]["suspend"]

        await until(resumed, "the CronJob is resumed after its next due time", 130)
        await not_held_against_storage(target)


async def test_a_controller_that_starts_again_leaves_maintenance_as_it_is(stage: Stage) -> None:
    async with mounts(stage) as target:
        await stage.cordon(target.node)
        await until_suspended(stage, target.cronjob, wanted=True)
        before = await stage.api.get(stage.path("cronjobs", target.cronjob))
        await target.pie.kill()
        await target.pie.start()
        await until_now(target.pie, target.node, "NodeCordoned")
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        after = await stage.api.get(stage.path("cronjobs", target.cronjob))
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_maintenance_that_nobody_finishes_is_reported_with_what_to_do(stage: Stage) -> None:
    async with mounts(stage, suppression={**NO_GRACE, "maxDuration": "1m"}) as target:
        long_ago = {**GPU, "timeAdded": "2020-01-01T00:00:00Z"}
        await stage.taint(target.node, long_ago)
        found = await until_condition(
            stage.api, stage.namespace, "p1", "LongSuppressed", "True", "NodeTainted"
        )
        for part in (target.node, "gpu:NoSchedule", "toleration", "nodeSelector"):
            assert part in found["message"]
        await stage.taint(target.node)
        await until_condition(stage.api, stage.namespace, "p1", "LongSuppressed", "False")


async def test_how_long_a_node_has_been_marked_outlives_the_controller(stage: Stage) -> None:
    rules = {**NO_GRACE, "annotations": [{"key": "repair"}], "maxDuration": "1m"}
    async with mounts(stage, suppression=rules) as target:
        await label(stage, target.node, "annotations", repair="disk")
        await until_suspended(stage, target.cronjob, wanted=True)
        path, since = stage.path("cronjobs", target.cronjob), "pie.topolvm.io/suppressed-since"
        noted = (await stage.api.get(path))["metadata"]["annotations"][since]
        assert abs(datetime.fromisoformat(noted).timestamp() - time.time()) < 30
        await target.pie.kill()
        # As if that had been a while ago: annotations of nodes do not tell.
        long_ago = {"metadata": {"annotations": {since: "2020-01-01T00:00:00Z"}}}
        before = await stage.api.patch(path, long_ago)
        await target.pie.start()
        found = await until_condition(
            stage.api, stage.namespace, "p1", "LongSuppressed", "True", "NodeMarked"
        )
        for part in (target.node, "2020-01-01T00:00:00Z", "annotation repair", "Finish the maintenance"):
            assert part in found["message"]
        after = await stage.api.get(path)
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_a_provision_run_that_no_node_could_take_is_suppressed(stage: Stage) -> None:
    async with provisions(stage, nodes=2, probeThreshold="7s") as (pie, cronjob, nodes):
        await stage.cordon(nodes[0])
        await stage.start_job(cronjob, time.time())
        await stage.node_status(nodes[1], "False")
        await until_suppressed(pie, "NoUsableNode", probe="provision")
        await until_suspended(stage, cronjob, wanted=True)
        await until_now(pie, "", "NoUsableNode")
        assert await pie.value(ON_TIME["provision"], on_time="false") == 0
        await stage.cordon(nodes[0], undo=True)
        await until_now(pie, "", None)


async def test_a_provision_run_that_some_node_could_take_counts(stage: Stage) -> None:
    async with provisions(stage, nodes=2) as (pie, cronjob, nodes):
        await stage.cordon(nodes[0])
        await stage.start_job(cronjob, time.time())
        await pie.until_value(ON_TIME["provision"], lambda value: value == 1, on_time="false")


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_provision_run_whose_node_goes_away_is_suppressed(stage: Stage, deleted: bool) -> None:
    async with provisions(stage, nodes=2, probeThreshold="7s") as (pie, cronjob, nodes):
        pod = await stage.start_job(cronjob, time.time())
        await stage.bind(pod, nodes[0])
        if deleted:
            await stage.api.delete(f"/api/v1/nodes/{nodes[0]}")
        else:
            await stage.node_status(nodes[0], "Unknown")
        await until_suppressed(pie, "NodeDeleted" if deleted else "NodeNotReady", probe="provision")
        assert await pie.value(ON_TIME["provision"], on_time="false") == 0


async def test_a_bad_run_on_a_node_whose_kubelet_is_silent_waits_for_the_node_controller(
    stage: Stage,
) -> None:
    async with mounts(stage, suppression=NO_GRACE) as target:
        lease = {
            "metadata": {"name": target.node},
            # Its age counts from its creation, by the API server's clock, whatever renewTime says.
            "spec": {"leaseDurationSeconds": 1, "renewTime": "2020-01-01T00:00:00.000000Z"},
        }
        leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        await stage.api.create(leases, lease)
        await target.start()
        late_at = time.time() + SECONDS_UNTIL_COUNTED

        async def late() -> bool:
            return time.time() > late_at

        await until(late, "the run has been late for a while")
        await not_held_against_storage(target)
        await stage.node_status(target.node, "Unknown")
        await until_suppressed(target.pie, "NodeNotReady")
        await not_held_against_storage(target)
        await stage.api.delete(f"{leases}/{target.node}")
