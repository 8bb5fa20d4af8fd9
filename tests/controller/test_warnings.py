"""Why a run is bad, from what Kubernetes says about it: on a real control plane, with the kubelet played."""

import time

from pie.core.volumeobjects import CSISource, attachment_name
from tests.controller.mounts import IN_TIME, mounts, result
from tests.controller.reported import healthy, warn_about
from tests.controller.stage import Stage, stamp
from tests.harness import until

GONE = (
    'MountVolume.MountDevice failed for volume "v" : rpc error: code = Unavailable desc = dial unix csi.sock'
)


async def warn(stage: Stage, pod: str, reason: str, message: str) -> None:
    """Write a Warning Event about a pod, as the kubelet does."""
    found = await stage.api.get(stage.path("pods", pod))
    await warn_about(stage, "Pod", found, reason, message)


async def creating(stage: Stage, pod: str) -> None:
    """Report that the kubelet took the pod and waits for its volume."""
    await stage.report(pod, {"waiting": {"reason": "ContainerCreating"}}, "Pending")


async def test_a_mount_that_fails_is_explained_by_the_kubelets_event(stage: Stage) -> None:
    async with mounts(stage) as target:
        pod = await target.start()
        await creating(stage, pod)
        await warn(stage, pod, "FailedMount", GONE)
        await target.until_on_time("false", 1)
        await healthy(stage, "MountFailed")
        assert "csi.sock" in target.pie.said("verdict")


async def test_an_event_that_comes_after_the_verdict_still_explains_it(stage: Stage) -> None:
    async with mounts(stage) as target:
        pod = await target.start()
        await creating(stage, pod)
        await healthy(stage, "MountSlow")
        await warn(stage, pod, "FailedMount", GONE)
        await healthy(stage, "MountFailed")


async def test_what_was_said_while_the_controller_was_dead_is_asked_for(stage: Stage) -> None:
    async with mounts(stage, deadline="50s") as target:
        await target.pie.kill()
        pod = await target.start()
        await creating(stage, pod)
        await warn(stage, pod, "FailedMount", GONE)
        await target.pie.start()
        await healthy(stage, "MountFailed")


async def test_the_stages_of_a_run_are_timed(stage: Stage) -> None:
    async with mounts(stage, **IN_TIME) as target:
        pod = await target.start(time.time() - 2)
        await creating(stage, pod)
        ready = {"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": stamp(0)}
        before = (await stage.api.get(stage.path("pods", pod)))["status"]["conditions"]
        conditions = {"conditions": [*before, ready]}
        await stage.api.patch(f"{stage.path('pods', pod)}/status", {"status": conditions})

        async def ready_seen() -> bool:
            found = await stage.api.get(stage.path("pods", pod))
            return any(each["type"] == ready["type"] for each in found["status"]["conditions"])

        await until(ready_seen, "the volume is mounted")
        await stage.run(pod)
        await stage.end(pod, result())
        await target.until_succeeded("true", 1)
        for name in ("queue", "schedule", "mount", "start"):
            await target.pie.until_value(
                "pie_stage_duration_seconds_count",
                lambda count: count == 1,
                storage_class=stage.storage_class,
                probe="mount",
                stage=name,
            )
        samples = await target.pie.samples()
        for name in ("provision", "attach"):
            assert samples.value("pie_stage_duration_seconds_count", stage=name) is None
        assert not [line for line in samples.text.splitlines() if "_created" in line]


async def test_a_run_that_ends_before_it_was_seen_running_is_timed_with_its_attachment(stage: Stage) -> None:
    driver = f"driver-{stage.unique}"
    made = "/apis/storage.k8s.io/v1"
    volume = {
        "metadata": {"name": f"pv-{stage.unique}"},
        "spec": {
            "capacity": {"storage": "100Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": stage.storage_class,
            "csi": {"driver": driver, "volumeHandle": "handle"},
        },
    }
    async with mounts(stage, provisioner=driver, **IN_TIME) as target:
        claim = stage.path("persistentvolumeclaims", target.claim)
        await stage.api.create(
            f"{made}/csidrivers", {"metadata": {"name": driver}, "spec": {"attachRequired": True}}
        )
        await stage.api.create("/api/v1/persistentvolumes", volume)
        await stage.api.patch(claim, {"spec": {"volumeName": volume["metadata"]["name"]}})

        async def bound() -> bool:
            return bool((await stage.api.get(claim))["status"].get("phase") == "Bound")

        await until(bound, "the claim is bound")
        name = attachment_name(CSISource(driver, "handle"), target.node)
        source = {"persistentVolumeName": volume["metadata"]["name"]}
        spec = {"attacher": driver, "nodeName": target.node, "source": source}
        await stage.api.create(f"{made}/volumeattachments", {"metadata": {"name": name}, "spec": spec})
        attached = {"status": {"attached": True}}
        await stage.api.patch(f"{made}/volumeattachments/{name}/status", attached)
        pod = await target.start()
        await stage.end(pod, result())
        await target.until_succeeded("true", 1)
        await target.pie.until_value(
            "pie_stage_duration_seconds_count",
            lambda count: count == 1,
            storage_class=stage.storage_class,
            probe="mount",
            stage="attach",
        )
        await stage.api.delete(f"{made}/volumeattachments/{name}")
        await stage.api.delete(f"{made}/csidrivers/{driver}")
    await stage.api.delete(f"/api/v1/persistentvolumes/{volume['metadata']['name']}")
