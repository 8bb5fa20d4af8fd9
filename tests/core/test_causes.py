"""Where a run that did not start stands, why, and on what evidence, in the words of Kubernetes."""

from typing import Any

import pytest
from msgspec.structs import replace

from pie.core.causes import why_late, why_not_started
from pie.core.judge import judge, missed
from pie.core.model import Stage, Target, Verdict
from pie.core.reasons import AREA, Area, Reason
from pie.core.timeline import Run, Sightings, WarningEvent, timeline
from pie.core.wire import StateWaiting
from tests.core.build import MOUNT, PROVISION, T0, at, claim, message, pod, probe, run

BOUND = pod(scheduled=1)
TAKEN = pod(scheduled=1, acknowledged=1)
CREATING = pod(scheduled=1, acknowledged=1, waiting=StateWaiting("ContainerCreating"))
READY = Sightings(ready=T0 + 2)
PLUGIN_GONE = (
    "FailedMount",
    'MountVolume.MountDevice failed for volume "v" : rpc error: code = Unavailable desc = dial unix csi.sock',
)
GENERIC = (
    "FailedMount",
    "Unable to attach or mount volumes: unmounted volumes=[volume]: timed out waiting for the condition",
)
FULL = (
    "ProvisioningFailed",
    'failed to provision volume with StorageClass "c": rpc error: code = ResourceExhausted desc = full',
)
REFUSED = ("ProvisioningFailed", "rpc error: code = InvalidArgument desc = no such parameter")
SILENT_EPHEMERAL = "waiting for ephemeral volume controller to create the persistentvolumeclaim"
ATTACH = (
    "FailedAttachVolume",
    'AttachVolume.Attach failed for volume "pvc-1" : rpc error: code = Internal desc = no',
)
WAIT_FOR_ATTACH = (
    "FailedMount",
    'MountVolume.WaitForAttach failed for volume "pvc-1" : volume attachment is being deleted',
)
SANDBOX = ("FailedCreatePodSandBox", "Failed to create pod sandbox: plugin type=ptp failed")
PULL = ("Failed", 'Failed to pull image "x": not found')


ATTACHER_GONE = (
    "FailedAttachVolume",
    'AttachVolume.Attach failed for volume "v" : timed out waiting for external-attacher of d CSI driver',
)
NOT_YET_SEEN = (
    "FailedMount",
    "Unable to attach or mount volumes: failed to fetch PVC: no relationship found between node and object",
)
# As kube-controller-manager 1.35 reports them, on the Job and on the pod.
QUOTA = (
    "FailedCreate",
    'Error creating: pods "mount-p-n-c-1-x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0',
)
POD_SECURITY = (
    "FailedCreate",
    'Error creating: pods "mount-p-n-c-1-x" is forbidden: violates PodSecurity "restricted": runAsUser=0',
)
PRIORITY = (
    "FailedCreate",
    'Error creating: pods "mount-p-n-c-1-x" is forbidden: no PriorityClass with name hihg was found',
)
WEBHOOK = ("FailedCreate", 'Error creating: admission webhook "images.example" denied the request: unsigned')
WEBHOOK_GONE = (
    "FailedCreate",
    "Error creating: Internal error occurred: failed calling webhook: context deadline exceeded",
)
API_SERVER_LATE = ("FailedCreate", "Error creating: etcdserver: request timed out")
CLAIM_QUOTA = (
    "FailedBinding",
    'ephemeral volume volume: persistentvolumeclaims "pod-volume" is forbidden: exceeded quota: q',
)
CLAIM_LATE = ("FailedBinding", "ephemeral volume volume: etcdserver: request timed out")
TIMED_OUT = "rpc error: code = DeadlineExceeded desc = context deadline exceeded"


def nodes(text: str) -> Any:
    return pod(unschedulable=f"0/3 nodes are available: {text}")


CASES: dict[str, tuple[Run, Stage, Reason]] = {
    "no pod": (run(None), Stage.QUEUE, Reason.CONTROL_PLANE_LATE),
    "pods are over quota": (run(None, MOUNT, QUOTA), Stage.QUEUE, Reason.POD_REFUSED),
    "the namespace's Pod Security level": (run(None, MOUNT, POD_SECURITY), Stage.QUEUE, Reason.POD_REFUSED),
    "no such priority class": (run(None, PROVISION, PRIORITY), Stage.QUEUE, Reason.POD_REFUSED),
    "a webhook says no": (run(None, MOUNT, WEBHOOK), Stage.QUEUE, Reason.POD_REFUSED),
    "a webhook says nothing": (run(None, MOUNT, WEBHOOK_GONE), Stage.QUEUE, Reason.CONTROL_PLANE_LATE),
    "the API server is late": (run(None, MOUNT, API_SERVER_LATE), Stage.QUEUE, Reason.CONTROL_PLANE_LATE),
    "claims are over quota": (
        run(pod(unschedulable=SILENT_EPHEMERAL), PROVISION, CLAIM_QUOTA),
        Stage.PROVISION,
        Reason.CLAIM_REFUSED,
    ),
    "the claim is late": (
        run(pod(unschedulable=SILENT_EPHEMERAL), PROVISION, CLAIM_LATE),
        Stage.QUEUE,
        Reason.CONTROL_PLANE_LATE,
    ),
    "no claim for the ephemeral volume": (
        run(pod(unschedulable=SILENT_EPHEMERAL), PROVISION, ("FailedScheduling", SILENT_EPHEMERAL)),
        Stage.QUEUE,
        Reason.CONTROL_PLANE_LATE,
    ),
    "provisioner silent": (
        run(pod(), PROVISION, ("FailedScheduling", SILENT_EPHEMERAL), claim=claim()),
        Stage.PROVISION,
        Reason.PROVISIONER_SILENT,
    ),
    "pool full, by the driver": (
        run(pod(), PROVISION, FULL, claim=claim()),
        Stage.PROVISION,
        Reason.NO_CAPACITY,
    ),
    "pool full, by the scheduler": (
        run(
            nodes("1 node(s) had untolerated taint {x: }, 2 node(s) did not have enough free storage."),
            PROVISION,
            claim=claim(asked=False),
        ),
        Stage.SCHEDULE,
        Reason.NO_CAPACITY,
    ),
    "refused by the driver": (
        run(pod(), PROVISION, FULL, REFUSED, claim=claim()),
        Stage.PROVISION,
        Reason.PROVISIONING_FAILED,
    ),
    "the driver does not answer the provisioner in time": (
        run(pod(), PROVISION, ("ProvisioningFailed", TIMED_OUT), claim=claim()),
        Stage.PROVISION,
        Reason.PROVISION_SLOW,
    ),
    "the mount target's claim cannot be made": (
        run(pod(), MOUNT, REFUSED, claim=claim()),
        Stage.PROVISION,
        Reason.PROVISIONING_FAILED,
    ),
    "volume elsewhere": (
        run(nodes("1 node(s) had volume node affinity conflict, 2 node(s) didn't match node selector.")),
        Stage.SCHEDULE,
        Reason.VOLUME_AFFINITY,
    ),
    "volume elsewhere, in newer words": (
        run(nodes("1 node(s) didn't match PersistentVolume's node affinity.")),
        Stage.SCHEDULE,
        Reason.VOLUME_AFFINITY,
    ),
    "too many volumes": (
        run(nodes("1 node(s) exceed max volume count.")),
        Stage.SCHEDULE,
        Reason.VOLUME_LIMIT,
    ),
    "no CPU": (
        run(nodes("1 Insufficient cpu, 2 node(s) didn't match Pod's node affinity/selector.")),
        Stage.SCHEDULE,
        Reason.INSUFFICIENT_RESOURCES,
    ),
    "tainted": (
        run(nodes("1 node(s) had untolerated taint {maintenance: }.")),
        Stage.SCHEDULE,
        Reason.TAINTED,
    ),
    "cordoned": (run(nodes("1 node(s) were unschedulable.")), Stage.SCHEDULE, Reason.CORDONED),
    "no node matches": (
        run(nodes("3 node(s) didn't match Pod's node affinity/selector.")),
        Stage.SCHEDULE,
        Reason.NO_MATCHING_NODE,
    ),
    "unschedulable for what we do not know": (
        run(nodes("3 something new.")),
        Stage.SCHEDULE,
        Reason.NOT_SCHEDULED,
    ),
    "scheduler silent": (run(pod()), Stage.SCHEDULE, Reason.NOT_SCHEDULED),
    "attach failed": (run(CREATING, MOUNT, ATTACH, GENERIC), Stage.ATTACH, Reason.ATTACH_FAILED),
    "still being detached": (run(CREATING, MOUNT, WAIT_FOR_ATTACH), Stage.ATTACH, Reason.ATTACH_SLOW),
    "the attacher is gone": (
        run(CREATING, MOUNT, ATTACHER_GONE, seen=Sightings(attaching=True)),
        Stage.ATTACH,
        Reason.ATTACH_SLOW,
    ),
    "mount slow, after the node could not see the claim for a moment": (
        run(CREATING, MOUNT, NOT_YET_SEEN),
        Stage.MOUNT,
        Reason.MOUNT_SLOW,
    ),
    "attach failed, by the VolumeAttachment": (
        run(CREATING, seen=Sightings(attaching=True, attach_error="refused")),
        Stage.ATTACH,
        Reason.ATTACH_FAILED,
    ),
    "attach slow": (run(CREATING, seen=Sightings(attaching=True)), Stage.ATTACH, Reason.ATTACH_SLOW),
    "the driver does not answer the attacher in time": (
        run(CREATING, MOUNT, seen=Sightings(attaching=True, attach_error=TIMED_OUT)),
        Stage.ATTACH,
        Reason.ATTACH_SLOW,
    ),
    "attached after all, mount slow": (
        run(CREATING, MOUNT, ATTACH, seen=Sightings(attaching=True, attached=True, attach_seconds=9)),
        Stage.MOUNT,
        Reason.MOUNT_SLOW,
    ),
    "node plugin gone": (run(CREATING, MOUNT, PLUGIN_GONE, GENERIC), Stage.MOUNT, Reason.MOUNT_FAILED),
    "the driver does not answer the kubelet in time": (
        run(CREATING, MOUNT, ("FailedMount", f'MountVolume.MountDevice failed for volume "v" : {TIMED_OUT}')),
        Stage.MOUNT,
        Reason.MOUNT_SLOW,
    ),
    "mount failed, and nobody says how": (run(CREATING, MOUNT, GENERIC), Stage.MOUNT, Reason.MOUNT_FAILED),
    "mount slow": (run(CREATING), Stage.MOUNT, Reason.MOUNT_SLOW),
    "sandbox": (run(CREATING, MOUNT, PLUGIN_GONE, SANDBOX), Stage.START, Reason.SANDBOX_FAILED),
    "image": (
        run(
            pod(scheduled=1, acknowledged=1, waiting=StateWaiting("ImagePullBackOff", "Back-off")),
            MOUNT,
            PULL,
            seen=READY,
        ),
        Stage.START,
        Reason.IMAGE_PULL,
    ),
    "container": (
        run(
            pod(scheduled=1, acknowledged=1, waiting=StateWaiting("CreateContainerError", "no such user")),
            seen=READY,
        ),
        Stage.START,
        Reason.CONTAINER_START_FAILED,
    ),
    "start slow": (run(CREATING, MOUNT, PLUGIN_GONE, seen=READY), Stage.START, Reason.START_SLOW),
    "kubelet silent": (run(BOUND), Stage.START, Reason.NOT_STARTED),
    "refused by the kubelet": (
        run(pod(scheduled=1, phase="Failed", reason="OutOfcpu")),
        Stage.SCHEDULE,
        Reason.INSUFFICIENT_RESOURCES,
    ),
}


@pytest.mark.parametrize(("seen", "stage", "reason"), CASES.values(), ids=CASES.keys())
def test_each_cause_has_its_stage_and_reason_and_evidence(seen: Run, stage: Stage, reason: Reason) -> None:
    cause = why_not_started(seen, timeline(seen), 30.0)
    assert (cause.stage, cause.reason) == (stage, reason)
    assert 0 < len(cause.message) <= 256
    judgement = judge(seen, probe(), T0 + 31)
    verdict = Verdict.INCONCLUSIVE if AREA[reason] in {Area.NODE, Area.PIE} else Verdict.LATE
    assert (judgement.verdict, judgement.stage, judgement.reason) == (verdict, stage, reason)


@pytest.mark.parametrize(
    ("warning", "target", "seen"),
    [
        (PLUGIN_GONE, MOUNT, CREATING),
        (ATTACH, MOUNT, CREATING),
        (SANDBOX, MOUNT, CREATING),
        (REFUSED, PROVISION, pod()),
        (QUOTA, MOUNT, None),
        (API_SERVER_LATE, MOUNT, None),
    ],
)
def test_the_evidence_is_the_words_of_who_failed_cut_to_256(
    warning: tuple[str, str], target: Target, seen: Any
) -> None:
    long = (warning[0], warning[1] + " x" * 300)
    found = run(seen, target, long, claim=claim() if target == PROVISION else None)
    cause = why_not_started(found, timeline(found), 30.0)
    assert cause.message.startswith(warning[1][:60])
    assert 250 < len(cause.message) <= 256


def test_what_was_said_before_the_run_is_not_about_it() -> None:
    old = run(CREATING, MOUNT, REFUSED, PLUGIN_GONE)
    earlier = tuple(type(each)(each.reason, each.message, each.seen_seconds - 3600) for each in old.warnings)
    found = run(CREATING)
    with_old = Run(found.target, T0, T0, CREATING, warnings=earlier)
    assert why_not_started(with_old, timeline(with_old), 30.0) == why_not_started(
        found, timeline(found), 30.0
    )


def test_the_normal_first_words_of_the_scheduler_are_no_evidence() -> None:
    seen = run(BOUND, PROVISION, ("FailedScheduling", SILENT_EPHEMERAL), claim=claim(bound=True))
    assert SILENT_EPHEMERAL not in why_not_started(seen, timeline(seen), 30.0).message


@pytest.mark.parametrize(
    ("seen", "stage", "reason"),
    [
        (run(pod(scheduled=20, acknowledged=20, started=40)), Stage.SCHEDULE, Reason.SCHEDULE_SLOW),
        (
            run(
                pod(scheduled=35, acknowledged=35, started=37),
                PROVISION,
                claim=claim(bound=True),
                seen=Sightings(waiting=T0 + 1, bound=T0 + 34),
            ),
            Stage.PROVISION,
            Reason.PROVISION_SLOW,
        ),
        (
            run(
                pod(scheduled=1, acknowledged=1, started=40),
                seen=Sightings(ready=T0 + 38, attaching=True, attached=True, attach_seconds=33),
            ),
            Stage.ATTACH,
            Reason.ATTACH_SLOW,
        ),
        (
            run(pod(scheduled=1, acknowledged=1, started=40), seen=Sightings(ready=T0 + 38)),
            Stage.MOUNT,
            Reason.MOUNT_SLOW,
        ),
        (
            run(pod(scheduled=1, acknowledged=1, started=40), seen=Sightings(ready=T0 + 3)),
            Stage.START,
            Reason.START_SLOW,
        ),
        (run(pod(scheduled=1, acknowledged=1, started=40)), Stage.START, Reason.STARTED_LATE),
    ],
)
def test_a_late_start_is_blamed_on_the_stage_that_took_the_time(
    seen: Run, stage: Stage, reason: Reason
) -> None:
    cause = why_late(seen, timeline(seen), 30)
    assert (cause.stage, cause.reason) == (stage, reason)


LATE_FOR: dict[str, tuple[Run, Stage, Reason]] = {
    "a node that was full": (
        run(
            pod(scheduled=30, acknowledged=30, started=40),
            MOUNT,
            ("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu."),
        ),
        Stage.SCHEDULE,
        Reason.INSUFFICIENT_RESOURCES,
    ),
    "a volume for which the scheduler waited": (
        run(
            pod(scheduled=30, acknowledged=30, started=40),
            MOUNT,
            (
                "FailedScheduling",
                "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            ),
        ),
        Stage.PROVISION,
        Reason.PROVISION_SLOW,
    ),
    "a volume that a webhook added": (
        run(
            pod(scheduled=1, acknowledged=1, started=40),
            MOUNT,
            ("FailedMount", 'MountVolume.SetUp failed for volume "ca" : configmap "ca" not found'),
            seen=Sightings(ready=T0 + 38),
        ),
        Stage.START,
        Reason.START_SLOW,
    ),
    "an image that came in the end": (
        run(
            pod(scheduled=1, acknowledged=1, started=40),
            MOUNT,
            ("Failed", 'Failed to pull image "x": 429 Too Many Requests'),
            ("Failed", "Error: ImagePullBackOff"),
            seen=Sightings(ready=T0 + 3),
        ),
        Stage.START,
        Reason.IMAGE_PULL,
    ),
}


@pytest.mark.parametrize(("seen", "stage", "reason"), LATE_FOR.values(), ids=LATE_FOR.keys())
def test_a_late_start_is_blamed_on_what_was_said_of_the_stage_that_took_the_time(
    seen: Run, stage: Stage, reason: Reason
) -> None:
    cause = why_late(seen, timeline(seen), 30)
    assert (cause.stage, cause.reason) == (stage, reason)
    assert cause.message.startswith("the container started after ")
    assert "; " in cause.message, "it shows what was said"


def test_a_late_mount_shows_what_the_kubelet_complained_about() -> None:
    seen = run(
        pod(scheduled=1, acknowledged=1, started=40, ended=41, message=message()),
        MOUNT,
        PLUGIN_GONE,
        seen=Sightings(ready=T0 + 38),
    )
    judgement = judge(seen, probe(), T0 + 42)
    assert (judgement.verdict, judgement.stage, judgement.succeeded) == (Verdict.LATE, Stage.MOUNT, True)
    assert "csi.sock" in judgement.message


def test_a_due_time_without_a_job_is_explained_by_what_was_said_of_its_cronjob_since() -> None:
    refused = 'Error creating job: jobs.batch "mount-p-n-c-1" is forbidden: exceeded quota: q'
    before = WarningEvent("FailedCreate", refused, T0 - 60)
    judgement = missed(T0, [before])
    assert (judgement.stage, judgement.reason) == (Stage.QUEUE, Reason.CONTROL_PLANE_LATE)
    judgement = missed(T0, [before, WarningEvent("FailedCreate", refused, T0 + 1)])
    assert (judgement.stage, judgement.reason) == (Stage.QUEUE, Reason.POD_REFUSED)
    assert judgement.message == refused
    assert (judgement.verdict, judgement.on_time, judgement.ended) == (Verdict.INCONCLUSIVE, None, True)


def test_what_was_said_of_an_image_outlives_the_end_of_the_pod() -> None:
    ended = pod(scheduled=1, acknowledged=1, phase="Failed", reason="DeadlineExceeded")
    said = ("Failed", 'Failed to pull image "pie.test/no:1": not found')
    found = run(ended, MOUNT, said, seen=Sightings(ready=T0 + 2))
    cause = why_not_started(found, timeline(found), 30.0)
    assert (cause.stage, cause.reason) == (Stage.START, Reason.IMAGE_PULL)


BIND_CONFLICT = (
    'running Bind plugin "DefaultBinder": Operation cannot be fulfilled on pods/binding "pod": pod pod is'
    " being deleted, cannot be assigned to a host"
)


@pytest.mark.parametrize(
    ("found", "stage", "reason"),
    [
        # The volume came after the pod was given up: the scheduler's failure to bind it is no cause.
        (Sightings(waiting=T0 + 1, bound=T0 + 59), Stage.PROVISION, Reason.PROVISION_SLOW),
        # The volume came quickly: the scheduler did not bind the pod for reasons of its own.
        (Sightings(waiting=T0 + 1, bound=T0 + 2), Stage.SCHEDULE, Reason.NOT_SCHEDULED),
    ],
)
def test_a_pod_that_was_deleted_while_the_scheduler_bound_it_waited_for_its_volume(
    found: Sightings, stage: Stage, reason: Reason
) -> None:
    seen = run(
        pod(unschedulable=BIND_CONFLICT, deleted=60),
        PROVISION,
        ("FailedScheduling", BIND_CONFLICT),
        claim=claim(bound=True),
        seen=found,
    )
    judgement = judge(seen, probe(), T0 + 61)
    assert (judgement.verdict, judgement.stage, judgement.reason) == (Verdict.LATE, stage, reason)
    assert "pods/binding" not in judgement.message


@pytest.mark.parametrize(
    ("pvc_deleted", "reason"), [(61, Reason.PROVISIONER_SILENT), (20, Reason.CLAIM_DELETED)]
)
def test_a_pvc_that_is_deleted_after_its_pod_is_not_why_the_pod_did_not_start(
    pvc_deleted: float, reason: Reason
) -> None:
    shown = claim()
    deleted = replace(shown, metadata=replace(shown.metadata, deletion_timestamp=at(pvc_deleted)))
    seen = run(pod(deleted=60), PROVISION, claim=deleted)
    assert judge(seen, probe(), T0 + 62).reason is reason
