"""The target's own objects: paused in maintenance, kept as they should be, deleted when nobody needs them."""

from dataclasses import replace
from typing import Final

from pie.core.model import RunnerKind
from pie.core.naming import ANNOTATION_SUPPRESSED_SINCE
from pie.core.run import RunFact
from pie.core.target.effects import DiscardRun, EndRun, KeepObjects, Remember, ReportChange
from pie.core.target.state import Kept
from pie.core.target.turn import Turn
from pie.core.timeline import pod_over
from pie.core.wire import rfc3339

_RESUME_WITHIN_MINUTES: Final = 1 / 3
"""A target is resumed so soon after its due time; the run that it missed starts at once."""


def begin_anew_after_maintenance(turn: Turn) -> None:
    """Forget that the target was bad before its last maintenance or pause: only the next run can tell.

    What a run read stands until another run reads something else.
    """
    paused = turn.state.paused
    resumed = paused.until if paused is not None and paused.over else 0.0
    since = max(turn.facts.nodes.judged_since, resumed)
    if since <= turn.state.judged_since:
        return
    bad, blind = turn.state.bad, turn.state.blind
    turn.change(judged_since=since)
    if bad is not None and bad.noted_at < since and not bad.certain:
        turn.change(bad=None, heard=None)
        turn.emit(ReportChange())
    if blind is not None and blind.noted_at < since:
        turn.change(blind=None)
        turn.emit(ReportChange())


def pause_or_resume(turn: Turn) -> None:
    """Decide whether the target is paused, and keep its objects so.

    It is paused while the user wants that, while no run can be expected to work, or while a run would meet
    another on its volume, and then until just after its next due time: what is resumed runs a missed
    schedule at once, so nodes that come back together would all do so.
    """
    facts, now = turn.facts, turn.now
    if not turn.state.live or facts.untouchable:
        return
    why, schedule = facts.nodes.suppression, facts.schedule
    by_pie, kept = schedule is not None and schedule.by_pie, turn.state.kept
    # What the PVC or the status says of it may be older; it is for the next leader.
    was_paused = kept.paused if by_pie and kept is not None else schedule is not None and schedule.paused
    since: float | None = facts.nodes.suppressed_since or now
    suppressed = why is not None and why.blocks
    in_the_way = any(_lingers(turn, fact) or _is_in_the_way(turn, fact) for fact in facts.runs)
    if facts.stopped or suppressed or in_the_way:
        turn.change(resume_at=None)
    elif not was_paused:
        turn.change(resume_at=None)
        since = None
    else:
        # The due times of a target whose runs pie starts itself are spread anyway.
        width = 0.0 if by_pie else _RESUME_WITHIN_MINUTES * turn.probe.minute_seconds
        spread = facts.spread * width
        resume_at = turn.state.resume_at or turn.calendar.next_due(now) + spread
        turn.change(resume_at=resume_at)
        if now >= resume_at:
            turn.change(resumed_at=now)
            since = None
        else:
            turn.wake(resume_at)
    wanted = KeepObjects(live=True, create=facts.paused_by is None, paused_since=since)
    _keep(turn, replace(wanted, suppressed=suppressed or not facts.stopped))


def _lingers(turn: Turn, fact: RunFact) -> bool:
    """Tell whether a run's pod is at work on a volume without file locks, and the schedule does not know."""
    run = turn.state.runs[fact.id]
    at_work = run.pod is not None and not run.pod_gone and not pod_over(run.pod)
    unknown = fact.over_at is not None or fact.deleted_at is not None or run.cause == "retry"
    return turn.state.unlocked and at_work and unknown


def _is_in_the_way(turn: Turn, fact: RunFact) -> bool:
    """Tell whether a CronJob would start a pod beside one that pie started: its runner was switched."""
    return fact.by_pie and not fact.pod_gone and turn.facts.runner is RunnerKind.CRON_JOB


def keep_objects(turn: Turn) -> None:
    """Have the objects of a target that ended deleted."""
    if not turn.state.live and not turn.facts.untouchable:
        _keep(turn, KeepObjects(live=False, keep_claim=turn.facts.keep_claim))


def _keep(turn: Turn, wanted: KeepObjects) -> None:
    """Order this, unless the same was ordered before for the same objects and spec."""
    spec = turn.state.probe if wanted.live else None
    paused = wanted.paused_since is not None
    kept = Kept(wanted.live, wanted.create, wanted.keep_claim, paused, spec, turn.facts.objects)
    if kept != turn.state.kept:
        turn.change(kept=kept)
        turn.emit(wanted)
        _note_pause(turn, wanted)


def _note_pause(turn: Turn, wanted: KeepObjects) -> None:
    """Have the PVC say since when a target is paused whose runs pie starts itself; a CronJob says it, too."""
    schedule, claim = turn.facts.schedule, turn.facts.claim
    if not wanted.live or claim is None:
        return
    by_pie, since = schedule is not None and schedule.by_pie, wanted.paused_since
    says = rfc3339(since) if by_pie and wanted.suppressed and since is not None else None
    if (says is None) != (ANNOTATION_SUPPRESSED_SINCE not in claim.metadata.annotations):
        turn.emit(Remember(claim.metadata.uid, {ANNOTATION_SUPPRESSED_SINCE: says}))


def start_runs(turn: Turn) -> None:
    """Order the run that is to be started until it is there."""
    if turn.state.starting is not None:
        turn.emit(turn.state.starting)


def discard(turn: Turn) -> None:
    """End runs that cannot recover by themselves, and delete the objects of those that are counted."""
    for case in turn.open_cases():
        run = turn.state.runs[case.id]
        replaced = case.judgement.replace and not case.judgement.ended
        if replaced and run.pod is not None and not run.pod_gone and not run.ending:
            turn.change_run(run.id, ending=True)
            turn.emit(EndRun(run.id))
    for fact in turn.facts.runs:
        run = turn.state.runs[fact.id]
        # A run of a schedule is deleted with it; nobody else deletes one that pie started.
        of_pie = fact.by_pie or run.cause != "schedule"
        unwanted = not turn.state.live and (of_pie or fact.deleted_at is not None)
        due = (unwanted or run.recorded) and bool(fact.discardable) and not _lingers(turn, fact)
        if due and run.discard_ordered != fact.discardable:
            turn.change_run(run.id, discard_ordered=fact.discardable, recorded=True)
            turn.emit(DiscardRun(run.id))
