"""Why a run has not started, or started late: the stage it stands in, the reason, and the evidence.

Ordered, pure checks; the first that knows something wins. Within a node the furthest stage comes first: a
kubelet that complains about the sandbox has mounted the volume, whatever it said before.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pie.core.model import Kind, Stage
from pie.core.naming import ANNOTATION_SELECTED_NODE, CONTAINER
from pie.core.reasons import MEANING, Reason
from pie.core.text import one_line
from pie.core.timeline import Run, Timeline, WarningEvent, being_provisioned
from pie.core.wire import ContainerState, StateWaiting, condition, epoch_seconds, rfc3339


@dataclass(frozen=True, slots=True)
class Cause:
    """Where a run stands and why. `message` is the evidence, or what was seen, at most 256 characters."""

    stage: Stage
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A run that has not started, with what the checks look at."""

    run: Run
    times: Timeline

    @property
    def scheduled(self) -> bool:
        """Whether the pod is bound to a node."""
        return self.times.scheduled is not None

    @property
    def waiting(self) -> StateWaiting:
        """What the kubelet says the container waits for."""
        pod = self.run.pod
        found = pod.status.container(CONTAINER).waiting if pod is not None else None
        return found or StateWaiting()

    @property
    def mounted(self) -> bool:
        """Whether the volume is mounted: the kubelet says so, or it has come to a container of the pod."""
        return self.run.seen.ready is not None or bool(self.beside)

    @property
    def beside(self) -> str:
        """What a container beside `probe` does that may keep it from starting; empty: none does anything.

        A container that failed says more than one that runs, and that one more than one that has ended.
        """
        if self.run.pod is None:
            return ""
        status = self.run.pod.status
        # Init containers start one after the other: the pod stands at the last that has come to anything.
        init = [(f"init container {each.name}", each.state) for each in status.init_container_statuses]
        main = [(f"container {each.name}", each.state) for each in status.container_statuses]
        others = [*reversed(init), *(each for each in main if each[0] != f"container {CONTAINER}")]
        said = [(doing, f"{name} {words}") for name, state in others for doing, words in _said(state)]
        return min(said, key=lambda each: each[0], default=(0, ""))[1]

    def warning(self, reason: str, pattern: str = "") -> str | None:
        """Return the newest text of the Warning Events of a reason that matches a pattern."""
        texts = (each.message for each in self._warnings() if each.reason == reason)
        return next((text for text in texts if re.search(pattern, text)), None)

    def _warnings(self) -> Iterator[WarningEvent]:
        # A mount target's claim outlives its runs: what was said before this one is not about it.
        since = self.times.created - 1.0
        return (each for each in reversed(self.run.warnings) if each.seen_seconds >= since)


_NOTHING_YET = frozenset({"", "ContainerCreating", "PodInitializing"})
"""What the kubelet says of a container that it has not come to."""


def _said(state: ContainerState) -> Iterator[tuple[int, str]]:
    """Yield what a container does, after a rank: the lower, the more it explains.

    Nothing, if the kubelet has not come to it.
    """
    if state.waiting is not None and state.waiting.reason not in _NOTHING_YET:
        yield 0, f"waits: {state.waiting.reason} {state.waiting.message}"
    elif state.terminated is not None and state.terminated.reason != "ContainerStatusUnknown":
        code = state.terminated.exit_code
        yield (0, f"ended with exit code {code}: {state.terminated.reason}") if code else (2, "has ended")
    elif state.running is not None:
        yield 1, "is running"


def why_not_started(run: Run, times: Timeline) -> Cause:
    """Return why the run has not started by now."""
    standing = Standing(run, times)
    return next(cause for check in CHECKS if (cause := check(standing)) is not None)


def _cause(stage: Stage, reason: Reason, message: str = "") -> Cause:
    return Cause(stage, reason, one_line(message) or MEANING[reason])


def _no_pod(standing: Standing) -> Cause | None:
    if standing.run.pod is not None:
        return None
    return _not_made(standing.warning("FailedCreate"), "the Job has no pod")


# What the API server says of an object that it, or a webhook that it asks, does not accept: quota, Pod
# Security, policies, a priorityClassName that does not exist. What it could not do for now reads otherwise.
_REFUSED = r"is forbidden|is invalid|denied|webhook"


def _not_made(text: str | None, otherwise: str) -> Cause:
    """Return why there is no pod, from what the controller that should have made it, or its Job, says."""
    refused = text is not None and re.search(_REFUSED, text)
    reason = Reason.POD_REFUSED if refused else Reason.CONTROL_PLANE_LATE
    return _cause(Stage.QUEUE, reason, text or otherwise)


def why_no_job(warnings: Iterable[WarningEvent], due_seconds: float) -> Cause:
    """Return why a due time has no run, from the Warning Events about its CronJob, oldest first."""
    texts = [
        each.message
        for each in warnings
        if each.reason == "FailedCreate" and each.seen_seconds >= due_seconds
    ]
    otherwise = (
        f"no Job was created for the run scheduled at {rfc3339(due_seconds)}; check kube-controller-manager"
    )
    return _not_made(texts[-1] if texts else None, otherwise)


def _provisioning_failed(standing: Standing) -> Cause | None:
    claim = standing.run.claim
    text = standing.warning("ProvisioningFailed")
    if standing.scheduled or text is None or (claim is not None and claim.status.phase == "Bound"):
        return None
    # gRPC's code for a pool that is full (CSI spec, CreateVolume errors).
    if re.search(r"ResourceExhausted|[Nn]ot enough (free )?(space|capacity)", text):
        return _cause(Stage.PROVISION, Reason.NO_CAPACITY, text)
    reason = Reason.PROVISION_SLOW if _no_answer(text) else Reason.PROVISIONING_FAILED
    return _cause(Stage.PROVISION, reason, text)


_NO_ANSWER = (
    r"DeadlineExceeded|context deadline exceeded"
    r"|timed out waiting for external-attacher|volume attachment is being deleted"
)


def _no_answer(text: str) -> bool:
    """Tell whether somebody gave up waiting for a driver or its attacher, which refused nothing.

    gRPC's own code, Go's words for it, and those of kube-controller-manager and the kubelet
    (k8s.io/kubernetes pkg/volume/csi/csi_attacher.go).
    """
    return re.search(_NO_ANSWER, text) is not None


def _provisioner_silent(standing: Standing) -> Cause | None:
    claim = standing.run.claim
    if standing.scheduled or claim is None or not being_provisioned(claim):
        return None
    node = claim.metadata.annotations.get(ANNOTATION_SELECTED_NODE)
    where = f" on node {node}" if node else ""
    message = f"PVC {claim.metadata.name} waits for a volume{where}, and the provisioner reported nothing"
    return _cause(Stage.PROVISION, Reason.PROVISIONER_SILENT, message)


# The scheduler's words (k8s.io/kubernetes pkg/scheduler/framework/plugins). One message counts all nodes,
# each with its own reason; those that storage has to do with come first.
_UNSCHEDULABLE: tuple[tuple[str, Reason], ...] = (
    (r"enough free storage", Reason.NO_CAPACITY),
    (r"volume node affinity conflict|PersistentVolume's node affinity", Reason.VOLUME_AFFINITY),
    (r"exceed max volume count", Reason.VOLUME_LIMIT),
    (r"Insufficient \S|Too many pods", Reason.INSUFFICIENT_RESOURCES),
    (r"untolerated taint|had taint", Reason.TAINTED),
    (r"were unschedulable", Reason.CORDONED),
    (r"node affinity/selector|no nodes available", Reason.NO_MATCHING_NODE),
)


def _unschedulable(standing: Standing) -> Cause | None:
    if standing.scheduled or standing.run.pod is None:
        return None
    bound = condition(standing.run.pod.status.conditions, "PodScheduled")
    text = (bound.message if bound else "") or standing.warning("FailedScheduling") or ""
    for pattern, reason in _UNSCHEDULABLE:
        if re.search(pattern, text):
            return _cause(Stage.SCHEDULE, reason, text)
    return None


def _no_claim(standing: Standing) -> Cause | None:
    run = standing.run
    if standing.scheduled or run.claim is not None or run.target.kind is Kind.MOUNT:
        return None
    # PlainText about the pod by kube-controller-manager's ephemeral volume controller.
    text = standing.warning("FailedBinding", r"^ephemeral volume ")
    if text is not None and re.search(_REFUSED, text):
        return _cause(Stage.PROVISION, Reason.CLAIM_REFUSED, text)
    message = text or "the PVC of the pod's ephemeral volume was not created"
    return _cause(Stage.QUEUE, Reason.CONTROL_PLANE_LATE, message)


def _not_scheduled(standing: Standing) -> Cause | None:
    if standing.scheduled or standing.run.pod is None:
        return None
    bound = condition(standing.run.pod.status.conditions, "PodScheduled")
    return _cause(Stage.SCHEDULE, Reason.NOT_SCHEDULED, bound.message if bound else "")


def _refused_by_node(standing: Standing) -> Cause | None:
    status = standing.run.pod.status if standing.run.pod is not None else None
    if status is None or not status.reason.startswith("OutOf"):
        return None
    return _cause(Stage.SCHEDULE, Reason.INSUFFICIENT_RESOURCES, status.message or status.reason)


def _container_start_failed(standing: Standing) -> Cause | None:
    waiting = standing.waiting
    if waiting.reason not in {"CreateContainerError", "CreateContainerConfigError", "RunContainerError"}:
        return None
    return _cause(Stage.START, Reason.CONTAINER_START_FAILED, waiting.message or waiting.reason)


def _image_pull(standing: Standing) -> Cause | None:
    waiting, said = standing.waiting, standing.warning("Failed", r"[Ii]mage")
    # ErrImagePull, ImagePullBackOff, InvalidImageName, …; of a pod that was ended it is not told any more.
    about_image = bool(re.search(r"Image", waiting.reason)) or (not waiting.reason and said is not None)
    if not about_image:
        return None
    return _cause(Stage.START, Reason.IMAGE_PULL, said or waiting.message or waiting.reason)


def _sandbox_failed(standing: Standing) -> Cause | None:
    text = standing.warning("FailedCreatePodSandBox")
    if text is None or standing.mounted:
        return None
    return _cause(Stage.START, Reason.SANDBOX_FAILED, text)


_ABOUT_ATTACHING = r"WaitForAttach|AttachVolume|not yet attached|VolumeAttachment|Multi-Attach"
# What the kubelet says in the end about any volume that is not there, after what it said about why.
_GENERIC = r"^Unable to attach or mount volumes"


def _mount_failed(standing: Standing) -> Cause | None:
    text = standing.warning("FailedMount", rf"^(?!.*({_ABOUT_ATTACHING}))(?!{_GENERIC})")
    if text is None or standing.mounted:
        return None
    return _cause(Stage.MOUNT, Reason.MOUNT_SLOW if _no_answer(text) else Reason.MOUNT_FAILED, text)


def _attach_failed(standing: Standing) -> Cause | None:
    seen = standing.run.seen
    if standing.mounted or seen.attached:
        return None
    text = seen.attach_error or standing.warning("FailedAttachVolume")
    text = text or standing.warning("FailedMount", _ABOUT_ATTACHING)
    if not text:
        return None
    return _cause(Stage.ATTACH, Reason.ATTACH_SLOW if _no_answer(text) else Reason.ATTACH_FAILED, text)


def _attach_slow(standing: Standing) -> Cause | None:
    seen = standing.run.seen
    if standing.mounted or not seen.attaching or seen.attached:
        return None
    return _cause(Stage.ATTACH, Reason.ATTACH_SLOW)


def _mount_slow(standing: Standing) -> Cause | None:
    if standing.mounted or standing.times.acknowledged is None:
        return None
    # The generic one is all there is; at first the API server may not know that the node may see the claim.
    text = standing.warning("FailedMount", r"^(?!.*no relationship found)")
    if text is not None:
        return _cause(Stage.MOUNT, Reason.MOUNT_FAILED, text)
    return _cause(Stage.MOUNT, Reason.MOUNT_SLOW, _on_node(standing, "the volume is not mounted"))


def _start_slow(standing: Standing) -> Cause | None:
    if not standing.mounted:
        return None
    beside = f", but container {CONTAINER} has not started; {standing.beside}" if standing.beside else ""
    return _cause(Stage.START, Reason.START_SLOW, _on_node(standing, f"the volume is mounted{beside}"))


def _not_started(standing: Standing) -> Cause:
    return _cause(Stage.START, Reason.NOT_STARTED, _on_node(standing, "its kubelet has not accepted the pod"))


def _on_node(standing: Standing, what: str) -> str:
    pod, waiting = standing.run.pod, standing.waiting
    said = f": {waiting.reason} {waiting.message}".rstrip() if waiting.reason else ""
    return f"bound to node {pod.spec.node_name if pod else '?'}, {what}{said}"


CHECKS: tuple[Callable[[Standing], Cause | None], ...] = (
    # The control plane has made nothing to look at.
    _no_pod,
    # Bound to no node: a volume that is asked for explains more than the scheduler's count of nodes.
    _provisioning_failed,
    _provisioner_silent,
    _unschedulable,
    _no_claim,
    _not_scheduled,
    # Bound to a node: what the node got to, the furthest first.
    _refused_by_node,
    _container_start_failed,
    _image_pull,
    _sandbox_failed,
    _mount_failed,
    _attach_failed,
    _attach_slow,
    _mount_slow,
    _start_slow,
    _not_started,
)


_SLOW = {
    Stage.SCHEDULE: Reason.SCHEDULE_SLOW,
    Stage.PROVISION: Reason.PROVISION_SLOW,
    Stage.ATTACH: Reason.ATTACH_SLOW,
    Stage.MOUNT: Reason.MOUNT_SLOW,
    Stage.START: Reason.START_SLOW,
}


def why_late(run: Run, times: Timeline, threshold_seconds: float) -> Cause:
    """Return where a run that started late lost its time: the stage that took half the threshold or more."""
    took = {stage: times.seconds[stage] for stage in _SLOW if stage in times.seconds}
    total = f"the container started after {times.start_seconds or 0.0:.0f} s"
    slowest = max(took, key=lambda stage: took[stage], default=None)
    if slowest is None or took[slowest] < threshold_seconds / 2:
        return Cause(Stage.START, Reason.STARTED_LATE, total)
    said = Standing(run, times).warning("FailedMount") if slowest is Stage.MOUNT else None
    said = _slow_init(run) if slowest is Stage.START else said
    evidence = f"; {said}" if said else ""
    return _cause(slowest, _SLOW[slowest], f"{total}, {took[slowest]:.0f} s of it in {slowest}{evidence}")


def _slow_init(run: Run) -> str | None:
    """Return which init container, of those that a webhook added, took the longest before `probe` started."""
    statuses = run.pod.status.init_container_statuses if run.pod is not None else ()
    ended = [(each.name, each.state.terminated) for each in statuses if each.state.terminated is not None]
    took = {name: epoch_seconds(end.finished_at) - epoch_seconds(end.started_at) for name, end in ended}
    slowest = max(took, key=lambda name: took[name], default=None)
    return f"init container {slowest} took {took[slowest]:.0f} s" if slowest is not None else None
