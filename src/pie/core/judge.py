"""The verdict of a run: a pure function of its Job, of its pod, and of how complete the watches are.

The checks have an order, and the first one that knows the verdict returns it. Whether something did not
happen in time is decided by the API server's clock, and only up to `as_of`: the watch is complete up to then.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from pie.core.causes import Cause, why_ended, why_late, why_no_run, why_not_started
from pie.core.causes.drivererrors import not_offered
from pie.core.causes.expanding import GROWS_WITHIN_SECONDS, hopeless, not_grown
from pie.core.kinds import kind_of
from pie.core.model import BAD, Probe, Stage, Verdict
from pie.core.reasons import INCONCLUSIVE, Reason
from pie.core.result import Outcome, Result, ResultError, decode
from pie.core.text import one_line
from pie.core.timeline import Run, Timeline, WarningEvent, being_provisioned, pod_over, timeline
from pie.core.volumehealth import with_health
from pie.core.wire import epoch_seconds

# Times have whole seconds, and the kubelet reports the end of a pod a moment after the end.
DEADLINE_SLACK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a run by now.

    `stage` is the stage in which a bad run failed, else None. `message` is the evidence: the text of an Event
    or of an error, or what pie saw, at most 256 characters. `on_time` and `succeeded` are None if they are
    not known yet, or if the run could not show them. `check_at` is when the judgement can change without any
    news. `replace`: the run cannot recover by itself, and its pod can be deleted without harm.
    """

    verdict: Verdict
    reason: Reason
    message: str = ""
    stage: Stage | None = None
    on_time: bool | None = None
    succeeded: bool | None = None
    ended: bool = False
    result: Result | None = None
    check_at: float | None = None
    replace: bool = False

    @property
    def bad(self) -> bool:
        """Whether the run counts as bad storage."""
        return self.on_time is False or self.succeeded is False

    @property
    def needs_cause(self) -> bool:
        """Whether the run counts as bad storage, or could not test the storage."""
        return self.bad or self.verdict is Verdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class _Case:
    """What the checks look at."""

    run: Run
    probe: Probe
    times: Timeline
    as_of: float

    @property
    def io_apart(self) -> bool:
        return kind_of(self.run.target).io_apart

    @property
    def started(self) -> bool:
        return self.times.started is not None

    @property
    def pod_over(self) -> bool:
        return self.run.pod is not None and pod_over(self.run.pod)

    @property
    def over(self) -> bool:
        return self.pod_over or self.run.over

    @property
    def late(self) -> bool:
        """Whether the container took the threshold or longer to start: exactly the threshold is late."""
        took = self.times.start_seconds
        return took is not None and took >= self.probe.threshold_seconds

    @property
    def being_deleted(self) -> bool:
        return self.run.pod is not None and self.run.pod.metadata.being_deleted

    @property
    def why_not_started(self) -> Cause:
        """Why the container has not started by now."""
        return why_not_started(self.run, self.times, self.probe.threshold_seconds)

    @property
    def late_at(self) -> float:
        return self.times.created + self.probe.threshold_seconds

    @property
    def give_up_at(self) -> float:
        """When the run cannot start any more, if it has not started by then."""
        longest = max(self.probe.deadline_seconds, self.probe.threshold_seconds)
        return self.times.created + longest + DEADLINE_SLACK_SECONDS

    @property
    def unended_until(self) -> float:
        """Until when the run certainly continued as pie saw it last."""
        if not self.over:
            return self.as_of
        # If the Job does not say when it ended, what came after the last look at its pod is not known.
        unknown = self.pod_over or self.run.over_at is not None
        return 0.0 if unknown else self.run.pod_known_until or 0.0

    @property
    def went_on_until(self) -> float:
        """Until when the run went on: it may have been ended, or is over."""
        deleted = self.run.pod.metadata.deleted_seconds if self.run.pod is not None else None
        ended = epoch_seconds(self.times.terminated.finished_at) if self.times.terminated else None
        gone = self.run.pod_known_until if self.over else None
        stamps = [each + 1.0 for each in (deleted, ended, gone) if each is not None]  # of whole seconds
        return min(stamps, default=self.as_of)

    @property
    def hung_at(self) -> float:
        """When the run hangs: binding plus deadline. The kubelet counts it from when it accepts the pod."""
        started = self.times.started or 0.0
        took = started - (self.times.acknowledged or started)
        bound = self.times.scheduled or self.times.created
        return bound + max(self.probe.deadline_seconds, took) + DEADLINE_SLACK_SECONDS

    @property
    def result(self) -> Result | ResultError | None:
        """The result that the container wrote; None: it wrote nothing."""
        if self.times.terminated is None or not self.times.terminated.message:
            return None
        try:
            return decode(self.times.terminated.message)
        except ResultError as error:
            return error


def with_records(judgement: Judgement, reason: Reason | None, message: str) -> Judgement:
    """Return the judgement of a run that found this wrong with the data on its volume; None: nothing."""
    if reason is None or judgement.result is None or not judgement.result.ok:
        return judgement
    return replace(
        judgement, verdict=Verdict.FAILED, reason=reason, message=message, stage=Stage.IO, succeeded=False
    )


def missed(
    due_seconds: float,
    warnings: Iterable[WarningEvent] = (),
    *,
    last_started: float = 0.0,
    by_pie: bool = False,
) -> Judgement:
    """Return the verdict of a due time for which pie saw no run; `warnings` are about its schedule.

    `last_started` is the newest due time for which the CronJob controller (`by_pie`: pie itself) started a
    run, as it says.
    """
    cause = why_no_run(warnings, due_seconds, by_pie=by_pie)
    if last_started >= due_seconds:
        what, reason = ("pod", Reason.POD_DELETED) if by_pie else ("Job", Reason.JOB_DELETED)
        message = f"the {what} was created, and deleted before pie saw it"
        cause = Cause(Stage.QUEUE, reason, message)
    return by_area(_late(cause, ended=True))


def judge(run: Run, probe: Probe, as_of: float) -> Judgement:
    """Judge a run from what is known up to `as_of`."""
    case = _Case(run, probe, timeline(run), as_of)
    found = next(judgement for check in CHECKS if (judgement := check(case)) is not None)
    found = by_area(_as_offered(found, run))
    good = found.verdict is Verdict.OK
    if not good and found.verdict not in BAD:
        return found
    return replace(found, message=with_health(found.message, run, good=good, io=found.stage is Stage.IO))


_REFUSALS = frozenset(
    {
        Reason.PROVISIONING_FAILED,
        Reason.CLAIM_REFUSED,
        Reason.ATTACH_FAILED,
        Reason.MOUNT_FAILED,
        Reason.EXPAND_FAILED,
    }
)
"""What a run is called whose volume somebody refuses."""


def _as_offered(judgement: Judgement, run: Run) -> Judgement:
    """Return the run of a canary as not offered, if the words of its refusal say so: then it has ended.

    A volume of one node is not for several, whatever its provisioner answered.
    """
    kind = kind_of(run.target)
    refused = judgement.reason in _REFUSALS and not_offered(judgement.message)
    of_one_node = kind.nodes > 1 and judgement.reason is Reason.VOLUME_AFFINITY
    if not kind.canary or not (refused or of_one_node):
        return judgement
    return replace(judgement, reason=Reason.NOT_OFFERED, ended=True, replace=False, check_at=None)


def by_area(judgement: Judgement) -> Judgement:
    """Return a bad run as inconclusive if its reason is not about the storage: it could not test it."""
    if judgement.verdict not in BAD or judgement.reason not in INCONCLUSIVE:
        return judgement
    return replace(
        judgement,
        verdict=Verdict.INCONCLUSIVE,
        on_time=judgement.on_time or None,
        succeeded=judgement.succeeded or None,
    )


def _late(
    cause: Cause, *, ended: bool = False, check_at: float | None = None, replace: bool = False
) -> Judgement:
    """Return the judgement of a run that was not on time."""
    return Judgement(
        Verdict.LATE,
        cause.reason,
        cause.message,
        cause.stage,
        on_time=False,
        ended=ended,
        check_at=check_at,
        replace=replace,
    )


def _in_time_to_start(case: _Case) -> Judgement | None:
    if case.started or case.over or case.as_of >= case.late_at:
        return None
    return Judgement(Verdict.PENDING, Reason.PENDING, check_at=case.late_at)


def _deleted_in_time(case: _Case) -> Judgement | None:
    # Its pod may still exist: that it does not start says nothing.
    pod = case.run.pod.metadata.deleted_seconds if case.run.pod is not None else None
    deleted = [each for each in (case.run.deleted_at, pod) if each is not None]
    if case.started or not deleted or min(deleted) >= case.late_at:
        return None
    return _deleted(case, "the container started")


def _not_started_in_time(case: _Case) -> Judgement | None:
    if case.started or case.over:
        return None
    cause = case.why_not_started
    claim = case.run.claim
    # If the pod were deleted now, an unknown volume could stay in the back end.
    at_work = not kind_of(case.run.target).pvc and claim is not None and being_provisioned(claim)
    if case.as_of < case.give_up_at:
        return _late(cause, check_at=case.give_up_at)
    return _late(cause, replace=not at_work)


def _deleted_when_late(case: _Case) -> Judgement | None:
    # Whoever deleted it: it was late then. If pie never saw the pod, for example because no controller ran,
    # it is late only if it was deleted after the time at which no run can start any more.
    if case.started or case.pod_over:
        return None
    seen, ended = case.run.pod is not None, case.run.over_at or 0.0
    late_by_stamp = ended >= (case.late_at + DEADLINE_SLACK_SECONDS if seen else case.give_up_at)
    if not late_by_stamp and case.unended_until < case.late_at:
        return None
    unseen = Cause(Stage.START, Reason.NOT_STARTED, "the pod was deleted, and had not started in time")
    return _late(case.why_not_started if seen or not late_by_stamp else unseen, ended=True)


def _deleted_before_start(case: _Case) -> Judgement | None:
    # The Job is over or gone, but its pod had not ended: somebody deleted it.
    if case.started or case.pod_over:
        return None
    return _deleted(case, "the container started")


def _deleted(case: _Case, before: str) -> Judgement:
    """Return that somebody deleted the Job or the pod, or the cause that the pod itself names."""
    if (cause := why_ended(case.run)) is not None:
        return _cut_off(case, cause)
    by_job = case.run.deleted_at is not None
    reason, what = (Reason.JOB_DELETED, "the Job") if by_job else (Reason.POD_DELETED, "the pod")
    message = f"{what} was deleted before {before}"
    return _cut_off(case, Cause(Stage.IO if case.started else Stage.START, reason, message))


def _cut_off(case: _Case, cause: Cause) -> Judgement:
    if not case.started:
        return _late(cause, ended=True)
    result = case.result if isinstance(case.result, Result) else None
    return replace(_failed(case, cause.reason, cause.message, result), stage=cause.stage)


def _ended_before_start(case: _Case) -> Judgement | None:
    if case.started or case.run.pod is None:
        return None
    cause = case.why_not_started
    status = case.run.pod.status
    if cause.reason is Reason.NOT_STARTED and (said := one_line(status.message or status.reason)):
        cause = replace(cause, message=said)
    return _late(cause, ended=True)


# The outcomes of a probe that was stopped, or whose child processes were.
_CUT_SHORT = frozenset({Outcome.KILLED, Outcome.FIO_FAILED, Outcome.INTERNAL})


def _not_expanded(case: _Case) -> Judgement | None:
    """Return that the volume does not grow: its PVC may say so long before the probe gives up."""
    if not kind_of(case.run.target).grows or not case.started:
        return None
    result = case.result if isinstance(case.result, Result) else None
    if result is not None and result.outcome is Outcome.NOT_EXPANDED:
        cause = hopeless(case.run, case.went_on_until) or not_grown(case.run, result.message)
        return _failed(case, cause.reason, cause.message, result)
    if result is not None and result.outcome not in _CUT_SHORT:
        return None
    why = hopeless(case.run, case.went_on_until)
    return _failed(case, why.reason, why.message, result) if why is not None else None


def _hung(case: _Case) -> Judgement | None:
    if case.unended_until < case.hung_at:
        return None
    return Judgement(
        Verdict.HUNG,
        Reason.HUNG,
        f"started, and no result after {case.probe.deadline_seconds:g} s",
        Stage.IO,
        on_time=not case.late if case.io_apart else False,
        succeeded=False if case.io_apart else None,
        ended=case.over,
    )


def _running_late(case: _Case) -> Judgement | None:
    if case.over or not case.late:
        return None
    cause = why_late(case.run, case.times, case.probe.threshold_seconds)
    return _late(cause, check_at=case.hung_at)


def _running(case: _Case) -> Judgement | None:
    if case.over:
        return None
    on_time = True if case.io_apart else None
    seen = case.run.seen.expanded
    grows_until = [seen + GROWS_WITHIN_SECONDS] if seen is not None else []
    check_at = min([case.hung_at, *grows_until])
    return Judgement(Verdict.PENDING, Reason.PENDING, on_time=on_time, check_at=check_at)


def _ended_by_others(case: _Case) -> Judgement | None:
    result = case.result
    if isinstance(result, Result) and result.outcome not in _CUT_SHORT:
        return None
    cause = why_ended(case.run)
    return _cut_off(case, cause) if cause is not None else None


def _deleted_in_mid_run(case: _Case) -> Judgement | None:
    result = case.result
    killed = isinstance(result, Result) and result.outcome is Outcome.KILLED
    # The Job is over, and the pod had not ended when pie saw it last: it was deleted.
    vanished = result is None and case.run.over and not case.pod_over
    if not vanished and not (case.being_deleted and (result is None or killed)):
        return None
    return _deleted(case, "the run ended")


def _ended_at_deadline(case: _Case) -> Judgement | None:
    status = case.run.pod.status if case.run.pod is not None else None
    if case.result is not None or status is None or status.reason != "DeadlineExceeded":
        return None
    if _ended_by_itself(case):
        return None
    return _failed(case, Reason.KILLED, status.message or "the pod was ended at its deadline")


def _ended_by_itself(case: _Case) -> bool:
    """Tell whether the container ended before the deadline, and only other containers ran until then."""
    pod, ended, since = case.run.pod, case.times.terminated, case.times.acknowledged
    deadline_seconds = pod.spec.active_deadline_seconds if pod is not None else None
    if ended is None or since is None or deadline_seconds is None:
        return False
    # Both are times of the kubelet, and have whole seconds.
    return epoch_seconds(ended.finished_at) + 1.0 < since + deadline_seconds


def _no_result(case: _Case) -> Judgement | None:
    if isinstance(case.result, Result):
        return None
    ended = case.times.terminated
    words = f"{ended.reason}, exit code {ended.exit_code}" if ended else "no container status"
    return _failed(case, Reason.NO_RESULT, str(case.result or words))


def _bad_outcome(case: _Case) -> Judgement | None:
    result = case.result
    if not isinstance(result, Result) or result.ok:
        return None
    return _failed(case, Reason(result.outcome.value), result.message, result)


def _failed(case: _Case, reason: Reason, message: str, result: Result | None = None) -> Judgement:
    return Judgement(
        Verdict.FAILED,
        reason,
        one_line(message),
        Stage.IO,
        on_time=case.io_apart and not case.late,
        succeeded=False if case.io_apart else None,
        ended=True,
        result=result,
    )


def _good_but_late(case: _Case) -> Judgement | None:
    if not case.late:
        return None
    cause = why_late(case.run, case.times, case.probe.threshold_seconds)
    return _good(case, Verdict.LATE, cause.reason, cause.message, cause.stage)


def _ok(case: _Case) -> Judgement:
    return _good(case, Verdict.OK, Reason.OK)


def _good(
    case: _Case, verdict: Verdict, reason: Reason, message: str = "", stage: Stage | None = None
) -> Judgement:
    result = case.result if isinstance(case.result, Result) else None
    return Judgement(
        verdict,
        reason,
        message or (result.remarks if result is not None else ""),
        stage,
        on_time=not case.late,
        succeeded=True if case.io_apart else None,
        ended=True,
        result=result,
    )


CHECKS: tuple[Callable[[_Case], Judgement | None], ...] = (
    # Not started. Each check may assume that the checks before it found nothing.
    _in_time_to_start,
    _deleted_in_time,
    _not_started_in_time,
    _deleted_when_late,
    _deleted_before_start,
    _ended_before_start,
    # Started, and not ended.
    _not_expanded,
    _hung,
    _running_late,
    _running,
    # Ended badly.
    _deleted_in_mid_run,
    _ended_by_others,
    _ended_at_deadline,
    _no_result,
    _bad_outcome,
    # Ended well.
    _good_but_late,
    _ok,
)
