"""A target begins, changes and ends; so do its runs."""

from dataclasses import replace

import msgspec

from pie.core.kinds import kind_of
from pie.core.model import RunnerKind, Verdict
from pie.core.reasons import Reason
from pie.core.run import RunFact
from pie.core.target.counting import count_untested, count_untested_io
from pie.core.target.duetimes import await_due, open_due
from pie.core.target.effects import Follow, Forget, ReportChange
from pie.core.target.state import Life, RunState, TargetState
from pie.core.target.turn import Turn
from pie.core.timeline import Sightings


def begin_or_retire(turn: Turn) -> None:
    """Follow the PieProbe: its targets live, with its spec of now; those that are not its targets ended."""
    before, probe = turn.state.probe, turn.facts.probe
    if before is not None and (probe is None or probe.uid != before.uid):
        _retire(turn)
    if probe is None:
        turn.change(life=Life.ENDED)
    elif not turn.state.live:
        began = _began(turn)
        turn.change(life=Life.LIVE, probe=probe, live_since=min(began, turn.now))
        turn.emit(Follow(probe.period_seconds))
        turn.emit(ReportChange())
        await_due(turn, began)
    elif before != probe:
        turn.change(probe=probe, not_offered=None)
        if before is None or before.period_seconds != probe.period_seconds:
            turn.emit(Follow(probe.period_seconds))
            await_due(turn, turn.now)
    if turn.state.live:
        _follow_runner(turn)
        _follow_pace(turn)


def _began(turn: Turn) -> float:
    """Return from when on due times count; those of pods since this controller led, if it takes over."""
    facts, anew = turn.facts, turn.state.life is Life.UNREAD
    if facts.runner is not RunnerKind.POD or not (anew and facts.taking_over):
        return turn.now
    turn.change(gap_open=facts.unled_since is not None)
    return facts.led_since


def _follow_runner(turn: Turn) -> None:
    """Note which runner is in force. A due time that has passed belongs to the one that was."""
    before, now = turn.state.runner, turn.facts.runner
    if before is now:
        return
    turn.change(runner=now)
    if before is not None:
        turn.change(switched_at=turn.now)
        awaited = turn.state.next_due
        if awaited is None or awaited.due > turn.now:
            await_due(turn, turn.now)


def _follow_pace(turn: Turn) -> None:
    """Wait for another due time when the effective period changed. Those that passed before stay due."""
    since = turn.facts.paced_since
    if since == turn.state.paced_since:
        return
    turn.change(paced_since=since)
    awaited = turn.state.next_due
    if awaited is None or awaited.due > since:
        await_due(turn, max(since, turn.state.live_since))


def _retire(turn: Turn) -> None:
    """Forget everything except the runs, which may still exist when the target lives again."""
    if turn.facts.node_gone and not kind_of(turn.target).resident:
        _count_what_the_node_ended(turn)
    turn.emit(Forget())
    turn.emit(ReportChange())
    runs, kept = turn.state.runs, turn.state.kept
    turn.state = TargetState(turn.target, Life.ENDED, runs=runs, kept=kept)


def _count_what_the_node_ended(turn: Turn) -> None:
    """Count the runs that ended with their node: no run of the target will be judged again."""
    for run in turn.state.unread():
        if run.on_time_counted:
            count_untested_io(turn, run, Verdict.SUPPRESSED, Reason.NODE_DELETED)
        else:
            count_untested(turn, run.due, Verdict.SUPPRESSED, Reason.NODE_DELETED)
        turn.change_run(run.id, recorded=True)
    if (due := open_due(turn)) is not None:
        count_untested(turn, due, Verdict.SUPPRESSED, Reason.NODE_DELETED)


def adopt_runs(turn: Turn) -> None:
    """Update the existing runs, and forget those that do not exist any more."""
    known = turn.state.runs
    runs = {fact.id: _updated(turn, known.get(fact.id) or _adopted(fact), fact) for fact in turn.facts.runs}
    followed = frozenset(run.follows for run in runs.values() if run.follows)
    # The verdict of a follow-up run counts as long as the run that it follows exists.
    turn.change(runs=runs, followed=followed | (turn.state.followed & runs.keys()))
    starting = turn.state.starting
    if starting is not None and (
        turn.now > starting.until
        or any(run.cause == starting.why and run.due >= int(starting.due) for run in runs.values())
    ):
        turn.change(starting=None)


def _adopted(fact: RunFact) -> RunState:
    # A retry has no due time to count.
    return RunState(
        fact.id,
        fact.due,
        fact.created,
        fact.cause,
        fact.follows,
        on_time_counted=fact.cause == "retry",
        step=fact.step,
    )


def _updated(turn: Turn, run: RunState, fact: RunFact) -> RunState:
    """Return the run as it is now, by the watch or by a newer answer of the API server."""
    pod, pod_gone, known_until = fact.pod or run.pod, fact.pod_gone, fact.pod_known_until
    answer = turn.facts.answers.pods.get(fact.id)
    if answer is not None and answer.as_of > turn.facts.pods_as_of and (answer.pod or answer.certain):
        pod, pod_gone = answer.pod or run.pod, answer.pod is None
        known_until = known_until or turn.facts.pods_as_of
    # The PVC of an ephemeral volume is deleted with its pod: the run keeps both as they were last seen.
    ending = pod_gone or (pod is not None and pod.metadata.being_deleted)
    claim = fact.claim or (run.claim if ending else None)
    now = msgspec.structs.replace(
        run,
        pod=pod,
        pod_gone=pod_gone,
        pod_gone_at=(run.pod_gone_at or turn.now) if pod_gone else 0.0,
        pod_known_until=known_until,
        claim=turn.facts.claim if kind_of(turn.target).pvc else claim,
        over_at=fact.over_at,
        deleted_at=fact.deleted_at,
        seen=_joined(run.seen, fact.seen),
        warnings=fact.warnings or run.warnings,
        backend=fact.backend,
    )
    return run if now == run else now


def _joined(known: Sightings, seen: Sightings) -> Sightings:
    """Return what pie saw, and what is known of the attachment."""
    return replace(
        seen,
        ready=seen.ready or known.ready,
        waiting=seen.waiting or known.waiting,
        bound=seen.bound or known.bound,
        running_reported=seen.running_reported or known.running_reported,
        expanded=seen.expanded or known.expanded,
        node=seen.node or known.node,
    ).attached_as(known)


def take_answers(turn: Turn) -> None:
    """Note the answers about attachments, until the pod of the run has started."""
    for run_id, answer in turn.facts.answers.attachments.items():
        run = turn.state.runs.get(run_id)
        if run is None or run.recorded:
            continue
        pending = run.pod is not None and run.pod.status.phase == "Pending"
        seen = run.seen.attached_as(answer.seen) if answer.seen is not None else run.seen
        # While a run waits, the answer may change.
        turn.change_run(run_id, seen=seen, attachment_known=answer.seen is None or not pending)
