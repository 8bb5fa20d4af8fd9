"""The judgement of each run, whether maintenance explains it, and what has to be asked first."""

from dataclasses import replace

from pie.core.judge import judge
from pie.core.kinds import kind_of
from pie.core.maintenance.excuse import excusable, excuse, lived_until
from pie.core.model import Verdict
from pie.core.reasons import Reason
from pie.core.target.effects import Ask, ProveNode, Question
from pie.core.target.state import RunState
from pie.core.target.turn import Case, Turn
from pie.core.timeline import Run, Sightings, pod_over
from pie.core.wire import Claim

POD_CATCHES_UP_SECONDS = 2.0
"""The watch of pods may be this much behind the watch of the objects that stand for runs."""

_ASK_AGAIN_SECONDS = 10.0
"""A question about a run is not asked more often."""

_PATIENCE_SECONDS = 5.0
"""A run that has ended waits this long for the answer about its attachment."""


def judge_runs(turn: Turn) -> None:
    """Judge the runs that are not recorded yet, oldest first, by what is known up to now."""
    for known in turn.state.unread():
        run = known
        as_of, ended_at = _known_until(turn, run), run.over_at or run.deleted_at
        caught_up = ended_at is not None and as_of > ended_at + POD_CATCHES_UP_SECONDS
        if run.pod is None and caught_up:
            run = turn.change_run(run.id, pod_gone=True)  # The watch reaches beyond its end, and has no pod.
        pod_ended = run.pod is not None and pod_over(run.pod)
        over = (ended_at is not None and (pod_ended or run.pod_gone)) or _pod_went(run)
        # The pod of a run that was deleted may outlive it: while its I/O hangs, or on a node that is dead.
        outlived = run.deleted_at is not None and caught_up
        seen = Run(
            turn.target,
            run.due,
            run.created,
            run.pod,
            run.claim or _claim_beside(turn, run),
            over=over,
            over_at=run.over_at,
            deleted_at=run.deleted_at,
            pod_known_until=run.pod_known_until,
            seen=_seen(turn, run),
            warnings=run.warnings,
            backend=run.backend,
            lacks=turn.facts.lacks,
            refused=turn.facts.answers.refusals.get(run.id, ""),
        )
        judgement = judge(seen, turn.probe, as_of)
        unseen_end = ended_at is not None and not over and not outlived
        turn.cases.append(Case(run.id, seen, judgement, judgement, as_of, unseen_end))


def _seen(turn: Turn, run: RunState) -> Sightings:
    """Return what pie saw of a run; a later step has the node of the one before, also before it is bound."""
    before = turn.state.step(run, run.step - 1)
    if before is None or before.pod is None or _is_beside(turn, run):
        return run.seen
    return replace(run.seen, node=before.pod.spec.node_name)


def _claim_beside(turn: Turn, run: RunState) -> Claim | None:
    """Return the PVC of the pod with which a run's pod uses a volume."""
    other = turn.state.step(run, run.step - 1) if _is_beside(turn, run) else None
    return other.claim if other is not None else None


def _is_beside(turn: Turn, run: RunState) -> bool:
    return kind_of(turn.target).steps[run.step].beside


def _pod_went(run: RunState) -> bool:
    """Tell whether the run had a pod that is gone: it does not come back, whatever other objects say."""
    return run.pod is not None and run.pod_gone


def _known_until(turn: Turn, run: RunState) -> float:
    """Return up to when a run is known.

    If a run has no pod, its pod may be deleted already: only the end of the run's own objects shows this.
    """
    as_of = min(turn.now, _pod_known_until(turn, run))
    return min(as_of, turn.facts.runs_as_of) if run.waits_for_pod else as_of


def _pod_known_until(turn: Turn, run: RunState) -> float:
    answer = turn.facts.answers.pods.get(run.id)
    return max(turn.facts.pods_as_of, answer.as_of if answer is not None else 0.0)


def excuse_runs(turn: Turn) -> None:
    """Suppress bad runs that maintenance explains. A good run on a node ends the node's grace."""
    for case in turn.cases:
        run, judgement = case.run, case.judgement
        node = run.pod.spec.node_name if run.pod is not None else ""
        if turn.state.runs[case.id].step:
            node = run.node
        if judgement.ended and judgement.verdict is Verdict.OK:
            turn.emit(ProveNode(run.target.node or node, run.created_seconds))
        if excusable(judgement):
            until = lived_until(run, judgement, turn.now)
            span = turn.facts.nodes.span(turn.target, run.created_seconds, until, node)
            case.judgement = case.own = excuse(judgement, run, turn.probe, span, turn.now)


def ask_what_is_missing(turn: Turn) -> None:
    """Ask the API server for what would explain a run, and wait for it where the run has ended."""
    for case in turn.open_cases():
        run, at = turn.state.runs[case.id], case.judgement.check_at
        if case.unseen_end and case.judgement.needs_cause:
            at = (run.over_at or run.deleted_at or turn.now) + POD_CATCHES_UP_SECONDS
        if at is not None and case.as_of < at <= turn.now:
            # It is time to judge the run, and it is not known as it is at that time.
            if _pod_known_until(turn, run) < at:
                turn.emit(Ask(Question.POD, run.id, at))
            if run.waits_for_pod and turn.facts.runs_as_of < at:
                turn.emit(Ask(Question.RUNS))
            turn.hold(case, turn.now + _ASK_AGAIN_SECONDS)
        elif case.unseen_end and case.judgement.needs_cause:
            turn.hold(case, at)
        elif _waits_for_who_deleted_it(turn, run):
            turn.emit(Ask(Question.RUNS))
            turn.hold(case, run.pod_gone_at + _PATIENCE_SECONDS)
        elif _waits_for_attachment(turn, case, run):
            turn.hold(case, turn.now + _PATIENCE_SECONDS)


def _waits_for_who_deleted_it(turn: Turn, run: RunState) -> bool:
    """Tell whether a run whose pod is gone waits for its own objects: they end with it, or went before it."""
    ended = run.over_at is not None or run.deleted_at is not None
    behind = turn.facts.runs_as_of < run.pod_gone_at + POD_CATCHES_UP_SECONDS
    return _pod_went(run) and not ended and behind and turn.now < run.pod_gone_at + _PATIENCE_SECONDS


def _waits_for_attachment(turn: Turn, case: Case, run: RunState) -> bool:
    """Tell whether a run that has ended waits for what its attachment says.

    A short run may end before anybody saw it start, and its attachment is deleted soon after it.
    """
    judgement, now = case.judgement, turn.now
    # If a PVC outlives its runs, its provisioner may have reported the cause before the watch began.
    silent = judgement.reason is Reason.PROVISIONER_SILENT and kind_of(turn.target).pvc
    unexplained = silent or not run.warnings
    if judgement.needs_cause and not judgement.ended and unexplained and not run.events_asked:
        run = turn.change_run(run.id, events_asked=True)
        turn.emit(Ask(Question.EVENTS, run.id))
    waits = judgement.needs_cause and not judgement.ended and run.seen.ready is None
    asked = run.attachment_known or run.attachment_asked_at > now - _ASK_AGAIN_SECONDS
    wanted = waits or judgement.ended or run.seen.ready is not None
    if wanted and not asked and turn.facts.may_attach and _has_volume_on_node(run):
        run = turn.change_run(run.id, attachment_asked_at=now)
        turn.emit(Ask(Question.ATTACHMENT, run.id))
    if waits and turn.facts.may_attach and not run.attachment_known and run.attachment_asked_at:
        turn.wake(run.attachment_asked_at + _ASK_AGAIN_SECONDS)
    return judgement.ended and not run.attachment_known and now < run.attachment_asked_at + _PATIENCE_SECONDS


def _has_volume_on_node(run: RunState) -> bool:
    if run.pod is None or not run.pod.spec.node_name:
        return False
    return run.claim is not None and bool(run.claim.spec.volume_name)
