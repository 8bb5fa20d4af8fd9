"""What a run says: a pure function of its Job, its pod and how far we can see.

Times come from one writer each: creation and binding are stamped by the API server, the pod's start and
its container's start by the kubelet. What did not happen is judged by the API server's clock, and only up
to the moment to which the watch is known to be complete (`as_of`).
"""

from dataclasses import dataclass

from pie.core.model import Kind, Probe, Target, Verdict
from pie.core.naming import ANNOTATION_SELECTED_NODE
from pie.core.objects import Claim, Pod, StateTerminated, condition, epoch_seconds
from pie.core.reasons import Reason
from pie.core.result import Outcome, Result, ResultError, decode

# Stamps have whole seconds, and the kubelet writes a pod's end a moment after it ended it.
DEADLINE_SLACK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt: its Job and, once there is one, its pod; `claim` is a provision run's ephemeral claim.

    `due_seconds` is the time the schedule meant, `created_seconds` the Job's creation. `pod` stays as last
    seen when the pod is deleted; `job_finished` is the Job's own word that it is over.
    """

    target: Target
    job_uid: str
    due_seconds: float
    created_seconds: float
    pod: Pod | None = None
    claim: Claim | None = None
    job_finished: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a run by now.

    `on_time` and `succeeded` are None while undecided, or when the run ended without saying. `check_at` is
    the next moment at which time alone could change the judgement. `replace`: the run cannot recover by
    itself, and taking its Job away harms nothing.
    """

    verdict: Verdict
    reason: Reason
    message: str = ""
    on_time: bool | None = None
    succeeded: bool | None = None
    ended: bool = False
    result: Result | None = None
    check_at: float | None = None
    replace: bool = False

    @property
    def bad(self) -> bool:
        """Whether the run is held against the storage."""
        return self.on_time is False or self.succeeded is False


@dataclass(frozen=True, slots=True)
class Timeline:
    """The moments of a run that are stamped; None where it has not happened (or nobody wrote it down)."""

    created: float
    scheduled: float | None
    acknowledged: float | None
    started: float | None
    terminated: StateTerminated | None

    @property
    def start_seconds(self) -> float | None:
        """From creation to the container's start, as a sum of differences by one writer each."""
        if self.started is None:
            return None
        by_api_server = (self.scheduled or self.created) - self.created
        by_kubelet = self.started - (self.acknowledged or self.started)
        return by_api_server + by_kubelet


def timeline(run: Run) -> Timeline:
    """Read the stamps of a run's pod."""
    if run.pod is None:
        return Timeline(run.created_seconds, None, None, None, None)
    pod = run.pod
    bound = condition(pod.status.conditions, "PodScheduled")
    scheduled = epoch_seconds(bound.last_transition_time) if bound and bound.status == "True" else None
    acknowledged = epoch_seconds(pod.status.start_time) or None
    state = pod.status.container_statuses[0].state if pod.status.container_statuses else None
    terminated = state.terminated if state else None
    running = state.running if state else None
    # A container that never ran is reported terminated too (ContainerStatusUnknown), without a start.
    began = terminated or running
    started = epoch_seconds(began.started_at) or None if began else None
    return Timeline(pod.metadata.created_seconds, scheduled, acknowledged, started, terminated)


def judge(run: Run, probe: Probe, as_of: float) -> Judgement:
    """Judge a run from what is known up to `as_of`."""
    times = timeline(run)
    pod_over = run.pod is not None and run.pod.status.phase in {"Succeeded", "Failed"}
    if times.started is not None:
        late = (times.start_seconds or 0.0) > probe.threshold_seconds
        if pod_over or times.terminated is not None or run.job_finished:
            return _ended(run, times, late)
        return _running(run, probe, times, late, as_of)
    if pod_over or run.job_finished:
        return _never_started(run, times)
    return _waiting(run, probe, times, as_of)


def _waiting(run: Run, probe: Probe, times: Timeline, as_of: float) -> Judgement:
    late_at = times.created + probe.threshold_seconds
    if as_of < late_at:
        return Judgement(Verdict.PENDING, Reason.PENDING, check_at=late_at)
    reason, message = _why_not_started(run, times)
    give_up_at = times.created + max(probe.deadline_seconds, probe.threshold_seconds) + DEADLINE_SLACK_SECONDS
    return Judgement(
        Verdict.LATE,
        reason,
        message,
        on_time=False,
        check_at=give_up_at if as_of < give_up_at else None,
        replace=as_of >= give_up_at and not _being_provisioned(run),
    )


def _being_provisioned(run: Run) -> bool:
    # Deleting the pod now could leave a volume in the back end that nobody knows.
    if run.target.kind is Kind.MOUNT or run.claim is None:
        return False
    return run.claim.status.phase != "Bound" and ANNOTATION_SELECTED_NODE in run.claim.metadata.annotations


def _why_not_started(run: Run, times: Timeline) -> tuple[Reason, str]:
    pod = run.pod
    if pod is None:
        return Reason.NO_POD, "the Job has no pod"
    if times.scheduled is None:
        bound = condition(pod.status.conditions, "PodScheduled")
        return Reason.NOT_SCHEDULED, bound.message if bound else "the pod was bound to no node"
    state = pod.status.container_statuses[0].state if pod.status.container_statuses else None
    waiting = state.waiting if state else None
    seen = f": {waiting.reason} {waiting.message}".rstrip() if waiting else ""
    return Reason.NOT_STARTED, f"bound to node {pod.spec.node_name}{seen}"


def _running(run: Run, probe: Probe, times: Timeline, late: bool, as_of: float) -> Judgement:
    hung_at = (times.scheduled or times.created) + _allowed(probe, times) + DEADLINE_SLACK_SECONDS
    mount = run.target.kind is Kind.MOUNT
    if as_of >= hung_at:
        message = f"started, and no result after {probe.deadline_seconds:g} s"
        # A provision run is on time when its volume was used in time; a mount run, when it started.
        on_time = not late if mount else False
        return Judgement(
            Verdict.HUNG, Reason.HUNG, message, on_time=on_time, succeeded=False if mount else None
        )
    if late:
        return Judgement(Verdict.LATE, Reason.STARTED_LATE, _took(times), on_time=False, check_at=hung_at)
    return Judgement(Verdict.PENDING, Reason.PENDING, on_time=True if mount else None, check_at=hung_at)


def _allowed(probe: Probe, times: Timeline) -> float:
    """Seconds from binding to the deadline: the kubelet counts it from its own acknowledgement."""
    started = (times.started or 0.0) - (times.acknowledged or times.started or 0.0)
    return max(probe.deadline_seconds, started)


def _took(times: Timeline) -> str:
    return f"the container started after {times.start_seconds or 0.0:.0f} s"


def _ended(run: Run, times: Timeline, late: bool) -> Judgement:
    mount = run.target.kind is Kind.MOUNT
    result, reason, message = _read_result(run, times)
    if reason in {Reason.LOCKED, Reason.POD_DELETED}:
        on_time = not late if mount else None
        return Judgement(Verdict.SUPPRESSED, reason, message, on_time=on_time, ended=True, result=result)
    good = reason is Reason.OK
    verdict = Verdict.FAILED
    if good:
        verdict = Verdict.LATE if late else Verdict.OK
    if good and late:
        reason, message = Reason.STARTED_LATE, _took(times)
    return Judgement(
        verdict,
        reason,
        message,
        on_time=not late if mount else (good and not late),
        succeeded=good if mount else None,
        ended=True,
        result=result,
    )


def _read_result(run: Run, times: Timeline) -> tuple[Result | None, Reason, str]:
    terminated, pod = times.terminated, run.pod
    deleted = run.job_finished and pod is not None and pod.status.phase not in {"Succeeded", "Failed"}
    being_deleted = pod is not None and pod.metadata.deletion_timestamp is not None
    if terminated is None or not terminated.message:
        if deleted or being_deleted:
            return None, Reason.POD_DELETED, "the pod was deleted before it ended"
        if pod is not None and pod.status.reason == "DeadlineExceeded":
            return None, Reason.KILLED, pod.status.message or "the pod was ended at its deadline"
        ended = (
            f"{terminated.reason}, exit code {terminated.exit_code}" if terminated else "no container status"
        )
        return None, Reason.NO_RESULT, ended
    try:
        result = decode(terminated.message)
    except ResultError as error:
        return None, Reason.NO_RESULT, str(error)
    if result.outcome is Outcome.KILLED and being_deleted:
        return result, Reason.POD_DELETED, "the pod was deleted before it ended"
    if result.outcome is Outcome.OK:
        return result, Reason.OK, ""
    return result, Reason(result.outcome.value), result.message


def _never_started(run: Run, times: Timeline) -> Judgement:
    pod = run.pod
    if pod is None or pod.status.phase not in {"Succeeded", "Failed"}:
        # The Job is over while its pod was not: somebody deleted the pod. Late counts only if it had been.
        return Judgement(
            Verdict.SUPPRESSED, Reason.POD_DELETED, "the pod was deleted before it started", ended=True
        )
    message = pod.status.message or pod.status.reason or _why_not_started(run, times)[1]
    return Judgement(Verdict.LATE, Reason.NOT_STARTED, message, on_time=False, ended=True)
