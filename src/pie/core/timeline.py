"""A run, the times of what happened in it, and how long each stage took.

A duration is the difference of two times of one clock: that of the API server (pod created, pod bound), of
the kubelet (pod accepted, volumes ready, container started), or of the controller (PVC bound). If pie did not
see the beginning or the end of a stage, its duration is unknown (absent), never 0.
"""

from dataclasses import dataclass, field, replace

from pie.core.expansion import expanded
from pie.core.kinds import kind_of
from pie.core.model import Stage, Target
from pie.core.naming import ANNOTATION_SELECTED_NODE, CONTAINER
from pie.core.result import ResultError, decode
from pie.core.wire import Claim, Pod, StateTerminated, condition, epoch_seconds

# Kubernetes sets it on a PVC for which an external provisioner has to create a volume.
ANNOTATION_PROVISIONER = "volume.kubernetes.io/storage-provisioner"


@dataclass(frozen=True, slots=True)
class WarningEvent:
    """A Warning Event about a run's pod or PVC: its reason, its text, and when it was last seen."""

    reason: str
    message: str
    seen_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Sightings:
    """What pie notes as soon as it sees it, because the objects show only their present state.

    `ready` is when the volumes were ready, as the kubelet says in PodReadyToStartContainers, which is False
    again when the pod ends. `waiting` and `bound` are times of the controller's clock: pie saw that a volume
    was requested, and that the PVC had one.
    `attaching`, `attached`, `attach_error` and `attach_seconds` are from the VolumeAttachment, if the driver
    attaches volumes: whether there is one, its state, its last error, and how long it took;
    `attachment_missing`: it was not created yet.
    `expanded` is when pie saw that the PVC says the size that pie asked for, by the controller's clock.
    `running_reported` is when the API server wrote the first status that shows the container running, by its
    own clock. `image_present`: no image was pulled for the pod, as far as its Events say.
    `node` is the node that the scheduler chose last for a volume. Kubernetes removes this choice from the PVC
    if the volume cannot be created there.
    """

    ready: float | None = None
    waiting: float | None = None
    bound: float | None = None
    attaching: bool = False
    attached: bool = False
    attach_seconds: float | None = None
    attach_error: str = ""
    running_reported: float | None = None
    image_present: bool = False
    attachment_missing: bool = False
    expanded: float | None = None
    node: str = ""

    def attached_as(self, said: "Sightings") -> "Sightings":
        """Return these sightings with what others say about the attachment."""
        return replace(
            self,
            attaching=said.attaching,
            attached=said.attached,
            attach_seconds=said.attach_seconds,
            attach_error=said.attach_error,
            attachment_missing=said.attachment_missing,
        )


def sight(seen: Sightings, pod: Pod | None, claim: Claim | None, now: float) -> Sightings:
    """Return the sightings with what pod and PVC show now; what was seen before stays."""
    if pod is not None and seen.ready is None:
        ready = condition(pod.status.conditions, "PodReadyToStartContainers")
        if ready is not None and ready.status == "True":
            seen = replace(seen, ready=epoch_seconds(ready.last_transition_time) or None)
    runs = pod is not None and pod.status.container(CONTAINER).running is not None
    if pod is not None and runs and seen.running_reported is None:
        seen = replace(seen, running_reported=pod.metadata.containers_reported_seconds)
    chosen = claim.metadata.annotations.get(ANNOTATION_SELECTED_NODE) if claim is not None else None
    if chosen and chosen != seen.node:
        seen = replace(seen, node=chosen)
    if claim is not None and seen.bound is None:
        if seen.waiting is None and being_provisioned(claim):
            seen = replace(seen, waiting=now)
        elif seen.waiting is not None and claim.status.phase == "Bound":
            seen = replace(seen, bound=now)
    if claim is not None and seen.expanded is None and expanded(claim):
        seen = replace(seen, expanded=now)
    return seen


def being_provisioned(claim: Claim) -> bool:
    """Tell whether a volume is being created for the PVC right now."""
    marks = claim.metadata.annotations
    asked = ANNOTATION_SELECTED_NODE in marks or ANNOTATION_PROVISIONER in marks
    return asked and claim.status.phase not in {"Bound", "Lost"}


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt, and its pod as soon as there is one.

    `due_seconds` is the due time, `created_seconds` when the run was created. `claim` is the PVC of the pod.
    `pod` is the pod as pie saw it last, also after it was deleted; until `pod_known_until` it was like that.
    `over`: the run is over. `over_at` is when it ended, as its own object (the Job) says, and `deleted_at` is
    when somebody deleted that object.
    `warnings` are about pod and PVC, oldest first. `backend` is what the driver reports to be wrong with its
    storage on the run's node. `lacks` is what the class lacks for the kind of probe, and `refused` why the
    API server refused to change the PVC.
    """

    target: Target
    due_seconds: float
    created_seconds: float
    pod: Pod | None = None
    claim: Claim | None = None
    over: bool = False
    over_at: float | None = None
    deleted_at: float | None = None
    pod_known_until: float | None = None
    seen: Sightings = Sightings()
    warnings: tuple[WarningEvent, ...] = ()
    backend: str = ""
    lacks: str = ""
    refused: str = ""

    @property
    def volume_name(self) -> str:
        """The name of the PersistentVolume that is probed; empty: the PVC has none."""
        return self.claim.spec.volume_name if self.claim is not None else ""

    @property
    def node(self) -> str:
        """The node that uses, or was chosen to use, the volume; empty: none was chosen."""
        if self.target.node:
            return self.target.node
        if self.pod is not None and self.pod.spec.node_name:
            return self.pod.spec.node_name
        chosen = self.claim.metadata.annotations.get(ANNOTATION_SELECTED_NODE, "") if self.claim else ""
        return chosen or self.seen.node


def pod_over(pod: Pod) -> bool:
    """Tell whether a run's pod is over: its container `probe`, or the whole pod, has ended.

    A container that a webhook added may run for ever, and says nothing about the run.
    """
    return (
        pod.status.phase in {"Succeeded", "Failed"} or pod.status.container(CONTAINER).terminated is not None
    )


def pod_ending(pod: Pod) -> bool:
    """Tell whether the kubelet is about to end a pod: all its containers have ended, and its phase has not.

    The kubelet writes twice more for a pod that is deleted in this state, and deletes it once more.
    """
    if pod.status.phase in {"Succeeded", "Failed"} or pod.metadata.being_deleted or not pod_over(pod):
        return False
    return all(each.state.terminated is not None for each in pod.status.container_statuses)


@dataclass(frozen=True, slots=True)
class Timeline:
    """When things happened in a run, epoch seconds; None: not yet, or not known.

    `seconds` has the durations of the stages that are known. The stage `teardown` is not here: it comes after
    the run.
    """

    created: float
    scheduled: float | None
    acknowledged: float | None
    started: float | None
    terminated: StateTerminated | None
    ready: float | None = None
    seconds: dict[Stage, float] = field(default_factory=dict)

    @property
    def start_seconds(self) -> float | None:
        """From creation to the container's start: the sum of two durations, each measured by one clock."""
        if self.started is None:
            return None
        by_api_server = (self.scheduled or self.created) - self.created
        by_kubelet = self.started - (self.acknowledged or self.started)
        return by_api_server + by_kubelet


def timeline(run: Run) -> Timeline:
    """Return the times in a run's pod, and how long its stages took."""
    if run.pod is None:
        return Timeline(run.created_seconds, None, None, None, None)
    pod = run.pod
    bound = condition(pod.status.conditions, "PodScheduled")
    scheduled = epoch_seconds(bound.last_transition_time) if bound and bound.status == "True" else None
    state = pod.status.container(CONTAINER)
    # A container that never ran can be terminated, too (ContainerStatusUnknown). Then it has no start time.
    began = state.terminated or state.running
    times = Timeline(
        created=pod.metadata.created_seconds,
        scheduled=scheduled,
        acknowledged=epoch_seconds(pod.status.start_time) or None,
        # If the container could not be started, the start time is in 1970 (containerd) or in the year 1.
        started=max(0.0, epoch_seconds(began.started_at)) or None if began else None,
        terminated=state.terminated,
        ready=run.seen.ready,
    )
    return replace(times, seconds=_durations(run, times))


def pod_startup_seconds(run: Run) -> float | None:
    """Return the time from the creation of a run's pod until its container was reported to run.

    Both are times of the API server. None: a time is not known, or an image may have been pulled meanwhile.
    """
    reported = run.seen.running_reported
    if run.pod is None or reported is None or not run.seen.image_present:
        return None
    return _between(run.pod.metadata.created_seconds or None, reported)


def _durations(run: Run, times: Timeline) -> dict[Stage, float]:
    seen = run.seen
    provision = _between(seen.waiting, seen.bound)
    schedule = _between(times.created, times.scheduled)
    if schedule is not None and _binds_late(run):
        # The scheduler waits for the volume before it binds the pod: this time counts for `provision`.
        schedule = max(0.0, schedule - provision) if provision is not None else None
    mount = _between(times.acknowledged, times.ready)
    if mount is not None and seen.attaching:
        # The kubelet waits for the attachment before it mounts.
        mount = max(0.0, mount - seen.attach_seconds) if seen.attach_seconds is not None else None
    known = {
        Stage.QUEUE: _between(run.due_seconds, times.created),
        Stage.SCHEDULE: schedule,
        Stage.PROVISION: provision,
        Stage.ATTACH: seen.attach_seconds,
        Stage.MOUNT: mount,
        Stage.START: _between(times.ready, times.started),
        Stage.IO: _io_seconds(times.terminated),
    }
    return {stage: seconds for stage, seconds in known.items() if seconds is not None}


def _between(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else max(0.0, last - first)


def _binds_late(run: Run) -> bool:
    """Tell whether the run's volume was created while its pod waited to be bound."""
    return not kind_of(run.target).pvc or run.seen.waiting is not None


def _io_seconds(terminated: StateTerminated | None) -> float | None:
    if terminated is None or not terminated.message:
        return None
    try:
        elapsed = decode(terminated.message).elapsed_seconds
    except ResultError:
        return None
    return sum(elapsed.values()) if elapsed else None
