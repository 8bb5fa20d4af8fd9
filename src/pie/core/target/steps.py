"""A run of several steps: one pod after the other. A good step is followed by the next; the last one decides.

The pods of earlier steps stay until the run is counted, because later steps use their volumes.
"""

from dataclasses import replace
from typing import Final

from pie.core.judge import Judgement, missed
from pie.core.kinds import kind_of
from pie.core.model import AtStep, Verdict
from pie.core.reasons import Reason
from pie.core.snapshots import judged
from pie.core.target.beside import decide_together
from pie.core.target.effects import StartRun, TakeSnapshot
from pie.core.target.state import RunState
from pie.core.target.turn import Case, Turn

_PATIENCE_SECONDS: Final = 30.0
"""A step whose pod does not exist so long after the step before ended is not waited for any more."""

_LOOK_AGAIN_SECONDS: Final = 2.0
"""So often a snapshot is read that is not ready."""

_NO_SOURCE: Final = (
    "somebody deleted a pod of an earlier step, and with it the volume that the next step uses"
)


def go_on(turn: Turn) -> None:
    """Order the next step after each good one, and conclude nothing from that one until the last step."""
    steps = kind_of(turn.target).steps
    last = len(steps) - 1
    if steps[-1].beside:
        decide_together(turn)
        return
    for case in turn.open_cases() if last else ():
        run, judgement = turn.state.runs[case.id], case.judgement
        if judgement.bad:
            _excuse_without_source(turn, case, run)
        elif run.step < last and judgement.ended and judgement.verdict is Verdict.OK:
            if (following := turn.state.step(run, run.step + 1)) is not None:
                turn.change_run(run.id, recorded=following.recorded)
                turn.hold(case, None)
            elif not _fit(turn, case, run):
                case.judgement = case.own = _without_next(turn, case, run)
            elif not _lacks_snapshot(turn, case, run):
                _order(turn, case, run)


def _over_at(turn: Turn, run: RunState) -> float:
    """Return when a step was over; for a new controller, when it began."""
    return max(run.over_at or 0.0, turn.facts.led_since)


def _fit(turn: Turn, case: Case, run: RunState) -> bool:
    return not turn.facts.stopped and case.run.node in turn.facts.nodes.usable and not run.pod_gone


def _lacks_snapshot(turn: Turn, case: Case, run: RunState) -> bool:
    """Tell whether a snapshot that the next step needs is not ready. Order it, or judge why not."""
    if not kind_of(turn.target).steps[run.step + 1].snapshot:
        return False
    answer = turn.facts.answers.snapshots.get(run.id)
    if answer is not None and answer.ready:
        return False
    seconds = turn.probe.deadline_seconds
    give_up_at = _over_at(turn, run) + seconds
    found = judged(case.judgement, answer, seconds if turn.now >= give_up_at else None)
    if found is not None:
        case.judgement = case.own = found
        return True
    again_at = answer.looked_at + _LOOK_AGAIN_SECONDS if answer is not None else turn.now
    if turn.now >= again_at:
        turn.emit(TakeSnapshot(run.id, turn.probe.canaries[turn.target.kind].snapshot_class))
        again_at = turn.now + _LOOK_AGAIN_SECONDS
    turn.hold(case, min(again_at, give_up_at))
    return True


def _order(turn: Turn, case: Case, run: RunState) -> None:
    snapshot, first = turn.facts.answers.snapshots.get(run.id), turn.state.step(run, 0)
    ready_at = snapshot.looked_at if snapshot is not None else 0.0
    until = max(_over_at(turn, run), ready_at) + _PATIENCE_SECONDS
    if turn.now >= until or first is None or first.pod is None:
        case.judgement = case.own = _without_next(turn, case, run)
        return
    step = AtStep(run.step + 1, first.pod.metadata.name, case.run.node)
    turn.emit(StartRun(run.cause, run.due, until, follows=run.follows, step=step))
    turn.hold(case, until)


def _without_next(turn: Turn, case: Case, run: RunState) -> Judgement:
    """Return the judgement of a run whose next step cannot start."""
    schedule = turn.facts.schedule
    span = turn.facts.nodes.span(turn.target, case.run.created_seconds, turn.now, case.run.node)
    found = replace(case.judgement, verdict=Verdict.INCONCLUSIVE, on_time=None)
    if run.pod_gone or turn.state.step(run, 0) is None:
        return replace(found, reason=Reason.POD_DELETED, message=_NO_SOURCE)
    if turn.facts.stopped:
        return replace(found, reason=Reason.PAUSED, message="paused before the last step of the run")
    if span is not None:
        return replace(found, verdict=Verdict.SUPPRESSED, reason=span.why.reason, message=span.why.message)
    if case.run.node not in turn.facts.nodes.matching:
        return replace(found, verdict=Verdict.SUPPRESSED, reason=Reason.NODE_DELETED)
    return missed(run.due, schedule.warnings if schedule is not None else (), by_pie=True)


def _excuse_without_source(turn: Turn, case: Case, run: RunState) -> None:
    """Have a step count as inconclusive whose source was deleted before it started: it had nothing to use."""
    before = turn.state.step(run, 0)
    pod = before.pod if before is not None else None
    gone = before is None or before.pod_gone or (pod is not None and pod.metadata.being_deleted)
    if not run.step or not gone or case.judgement.result is not None:
        return
    case.judgement = case.own = replace(
        case.judgement,
        verdict=Verdict.INCONCLUSIVE,
        reason=Reason.POD_DELETED,
        message=_NO_SOURCE,
        on_time=None,
    )
