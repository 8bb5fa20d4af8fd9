"""A node that refuses a pod, ends it, or cannot start its container, as its kubelet reports it."""

import re

from pie.core.causes.symptoms import Cause, Symptoms, cause
from pie.core.model import Stage
from pie.core.naming import CONTAINER
from pie.core.reasons import Reason
from pie.core.timeline import Run
from pie.core.wire import PodStatus, StateTerminated, condition, epoch_seconds

_LOST = "NodeLost"
"""kube-controller-manager sets this reason, but no phase, if the kubelet is silent."""

# The reasons for ending an accepted pod: the kubelet needs its resources (pkg/kubelet/eviction,
# pkg/kubelet/preemption) or shuts down (nodeshutdown; "Shutdown" before 1.22).
_ENDED = frozenset({"Evicted", "Preempting", "Preempted", "Terminated", "Shutdown", _LOST})

# The pod ended by itself: its container says more.
_BY_ITSELF = frozenset({"", "DeadlineExceeded"})

# The reasons of container runtimes that could not start the program: containerd and CRI-O, dockershim.
_NOT_STARTED = frozenset({"StartError", "ContainerCannotRun"})

# Exit codes of a shell or of a runtime that cannot execute a program: not executable, not found, not started,
# a binary of another architecture. The probe itself ends with 0 or 1.
_CANNOT_EXECUTE = frozenset({126, 127, 128, 255})

_AT_ONCE_SECONDS = 2.0
"""A program that cannot be executed ends within this time. Times have whole seconds."""

_NO_MEMORY = re.compile(r"OOM-?killed|memory limit too low|\bout of memory\b", re.IGNORECASE)

_CANNOT_CREATE = frozenset(
    {
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
    }
)


def why_ended(run: Run) -> Cause | None:
    """Return why somebody else ended the pod, or why its program could not run; None: not so, or not known.

    The status of a pod that a kubelet refuses has neither conditions nor containers: only phase, reason,
    message and startTime (k8s.io/kubernetes pkg/kubelet/kubelet.go, rejectPod).
    """
    if run.pod is None:
        return None
    ended = run.pod.status.container(CONTAINER).terminated
    found = (
        _out_of_memory(ended),
        _by_kubelet(run.pod.status, started=_started(ended)),
        _disrupted(run.pod.status),
        _not_executed(ended),
    )
    return next((each for each in found if each is not None), None)


def ended_by_node(symptoms: Symptoms) -> Cause | None:
    return why_ended(symptoms.run)


def _started(ended: StateTerminated | None) -> bool:
    return ended is not None and epoch_seconds(ended.started_at) > 0


def _by_kubelet(status: PodStatus, *, started: bool) -> Cause | None:
    if status.reason in _BY_ITSELF or (status.phase != "Failed" and status.reason != _LOST):
        return None
    if started and status.reason not in _ENDED:
        return None  # A pod that ran was not refused, whatever an unusual kubelet says.
    message = f"{status.reason}: {status.message}" if status.message else status.reason
    # The kubelet did not accept the pod at all.
    refused = status.reason not in _ENDED or re.search(
        r"was rejected|^The node had condition", status.message
    )
    stage = Stage.SCHEDULE if refused else Stage.START
    if status.reason.startswith("OutOf"):
        return cause(stage, Reason.INSUFFICIENT_RESOURCES, message)
    if status.reason == "VolumeAttachmentLimitExceeded":
        return cause(Stage.ATTACH, Reason.VOLUME_LIMIT, message)
    return cause(stage, Reason.EVICTED if status.reason in _ENDED else Reason.REFUSED_BY_NODE, message)


def _disrupted(status: PodStatus) -> Cause | None:
    # https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
    found = condition(status.conditions, "DisruptionTarget")
    if found is None or found.status != "True":
        return None
    return cause(Stage.START, Reason.EVICTED, f"{found.reason}: {found.message}")


def _out_of_memory(ended: StateTerminated | None) -> Cause | None:
    if ended is None:
        return None
    if ended.reason == "OOMKilled":
        what = "needed more memory than its limit, or than the node had"
        message = f"container {CONTAINER} {what}: OOMKilled, exit code {ended.exit_code}"
        return cause(Stage.IO if _started(ended) else Stage.START, Reason.OUT_OF_MEMORY, message)
    if ended.reason in _NOT_STARTED and _NO_MEMORY.search(ended.message):
        return cause(Stage.START, Reason.OUT_OF_MEMORY, ended.message)
    return None


def _not_executed(ended: StateTerminated | None) -> Cause | None:
    if ended is None:
        return None
    if ended.reason in _NOT_STARTED:
        return cause(Stage.START, Reason.CONTAINER_START_FAILED, f"{ended.reason}: {ended.message}")
    took = epoch_seconds(ended.finished_at) - epoch_seconds(ended.started_at) if _started(ended) else 0.0
    # After a reboot, a runtime reports 255 for a container that ran, with the reason Unknown.
    if ended.exit_code in _CANNOT_EXECUTE and ended.reason != "Unknown" and took <= _AT_ONCE_SECONDS:
        what = f"the program could not be executed: {ended.reason}, exit code {ended.exit_code}"
        return cause(Stage.START, Reason.CONTAINER_START_FAILED, f"{what} {ended.message}")
    return None


def container_lost(symptoms: Symptoms) -> Cause | None:
    """Return the cause if the kubelet lost the container, for example in a restart of the node."""
    ended = symptoms.container.terminated
    if ended is None or symptoms.times.started is not None or symptoms.given_up:
        return None
    message = f"{ended.reason}, exit code {ended.exit_code}: {ended.message}"
    return cause(Stage.START, Reason.NO_RESULT, message)


def ended_without_a_word(symptoms: Symptoms) -> Cause | None:
    """Return the cause if the pod was ended before its container started, and nothing says why."""
    status = symptoms.status
    if symptoms.mounted or status.phase != "Failed" or symptoms.given_up:
        return None
    message = status.message or symptoms.on_node("the pod was ended before its container started")
    return cause(Stage.START, Reason.NOT_STARTED, message)


def container_start_failed(symptoms: Symptoms) -> Cause | None:
    waiting = symptoms.waiting
    # "name is reserved" only says that the runtime was slow before: that is not the cause.
    said = symptoms.warning("Failed", r"^Error: (?!\w*Image\w*$|RegistryUnavailable$)")
    # If the pod was ended, the container's state does not show it any more.
    over = symptoms.status.phase == "Failed" and not waiting.reason
    if waiting.reason not in _CANNOT_CREATE and not (over and said):
        return None
    text = said or waiting.message
    reason = Reason.OUT_OF_MEMORY if _NO_MEMORY.search(text) else Reason.CONTAINER_START_FAILED
    return cause(Stage.START, reason, text or waiting.reason)


def sandbox_failed(symptoms: Symptoms) -> Cause | None:
    text = symptoms.warning("FailedCreatePodSandBox")
    if text is None or symptoms.mounted:
        return None
    return cause(Stage.START, Reason.SANDBOX_FAILED, text)


def node_not_able(symptoms: Symptoms) -> Cause | None:
    """Return the cause if the kubelet fails before it mounts volumes: no network, cgroup or directory."""
    if symptoms.mounted:
        return None
    text = symptoms.warning("NetworkNotReady") or symptoms.warning("FailedPodSandBoxStatus")
    if text is not None:
        return cause(Stage.START, Reason.SANDBOX_FAILED, text)
    text = symptoms.warning("FailedCreatePodContainer") or symptoms.warning("Failed", "pod data directories")
    return cause(Stage.START, Reason.CONTAINER_START_FAILED, text) if text is not None else None
