"""What runs count as: each due time once, each answer of a run once; and the target's verdict."""

from dataclasses import replace
from typing import Final

from pie.core.deletedruns import lose
from pie.core.history import PastRun, measured
from pie.core.judge import Judgement
from pie.core.kinds import kind_of
from pie.core.model import BAD, Stage, Verdict
from pie.core.reasons import Reason
from pie.core.target.effects import (
    Ask,
    CountCutShort,
    CountInconclusive,
    CountLost,
    CountOnTime,
    CountSucceeded,
    CountSuppressed,
    Effect,
    Mark,
    Observe,
    Question,
    Record,
    ReportChange,
    SetVerdict,
)
from pie.core.target.followup import PATIENCE_SECONDS, follow_up_ended
from pie.core.target.state import BadStreak, RunState, TargetState
from pie.core.target.turn import Case, Turn
from pie.core.timeline import pod_startup_seconds, timeline

UNTESTED = frozenset({Verdict.SUPPRESSED, Verdict.INCONCLUSIVE})
"""Verdicts of runs that did not test the storage."""

_ASK_AGAIN_SECONDS: Final = 5.0


def count_runs(turn: Turn) -> None:
    """Count what each run is known to be by now; record those that have ended."""
    for case in turn.open_cases():
        run = _count(turn, case)
        runs = 2 if run.follows else 1
        note(turn, case.judgement, run.due, case.run.node, runs=runs)
        _show(turn, case)
        if case.judgement.ended:
            _record(turn, case)
        else:
            _look_again(turn, case)


def _count(turn: Turn, case: Case) -> RunState:
    """Count each answer of a run once, and the due times it blocks."""
    run, judgement = turn.state.runs[case.id], case.judgement
    if run.cause == "retry" and judgement.verdict is not Verdict.HUNG:
        return run  # The series count due times only; but a hang blocks the next ones.
    if judgement.on_time is not None and not run.on_time_counted:
        run = turn.change_run(run.id, on_time_counted=True)
        count_on_time(turn, run.due, on_time=judgement.on_time)
    if judgement.succeeded is not None and not run.succeeded_counted:
        run = turn.change_run(run.id, succeeded_counted=True)
        turn.emit(CountSucceeded(run.due, judgement.succeeded))
    # Wrong data on the volume may make the run bad, but not late.
    untested = judgement if case.decided_elsewhere else case.own
    if untested.verdict in UNTESTED and not run.on_time_counted:
        # A run that was on time stays on time: only its I/O is not tested.
        count_untested(turn, run.due, untested.verdict, untested.reason)
    elif untested.verdict in UNTESTED and untested.on_time and untested.ended:
        count_untested_io(turn, run, untested.verdict, untested.reason)
    if (judgement.bad or judgement.verdict in UNTESTED) and not judgement.ended:
        _count_blocked(turn, case, run)
    return turn.state.runs[case.id]


def _count_blocked(turn: Turn, case: Case, run: RunState) -> None:
    verdict, counted = case.judgement.verdict, 0
    for due in turn.dues_blocked_by(run, case.as_of):
        if verdict in UNTESTED:
            counted += count_untested(turn, due, verdict, case.judgement.reason)
        elif count_on_time(turn, due, on_time=False):
            counted += 1
            turn.emit(Mark(due, verdict))
    still_so(turn, verdict, counted)


def count_on_time(turn: Turn, due: float, *, on_time: bool) -> bool:
    """Count a due time; return False if it was counted before."""
    return _count_once(turn, due, CountOnTime(due, on_time))


def count_untested(turn: Turn, due: float, verdict: Verdict, reason: Reason) -> bool:
    """Count a due time as suppressed or inconclusive; return False if it was counted before."""
    suppressed = verdict is Verdict.SUPPRESSED
    count = CountSuppressed(due, reason) if suppressed else CountInconclusive(due, reason)
    return _count_once(turn, due, count, Mark(due, verdict))


def _count_once(turn: Turn, due: float, *effects: Effect) -> bool:
    if due in turn.state.ledger:
        return False
    turn.change(ledger=turn.state.ledger.mark(due))
    turn.effects += effects
    return True


def count_untested_io(turn: Turn, run: RunState, verdict: Verdict, reason: Reason) -> None:
    """Count a run that was on time and did not test I/O, if I/O is counted apart and not counted yet."""
    if run.succeeded_counted or not kind_of(turn.target).io_apart:
        return
    turn.change_run(run.id, succeeded_counted=True)
    suppressed = verdict is Verdict.SUPPRESSED
    turn.emit(
        CountCutShort(run.due, reason) if suppressed else CountInconclusive(run.due, reason, io_only=True)
    )


def still_so(turn: Turn, verdict: Verdict, dues: int) -> None:
    """Note due times that a run of this verdict blocked."""
    bad, blind = turn.state.bad, turn.state.blind
    if dues and verdict in BAD and bad is not None:
        turn.change(bad=replace(bad, bad_runs=bad.bad_runs + dues))
        turn.emit(ReportChange())
    if dues and verdict is Verdict.INCONCLUSIVE and blind is not None:
        turn.change(blind=replace(blind, bad_runs=blind.bad_runs + dues))
        turn.emit(ReportChange())


def note(turn: Turn, judgement: Judgement, due: float, node: str, *, runs: int = 1) -> None:
    """Note the target's verdict; it does not change while a run is pending, or if it is suppressed.

    If the storage was bad, an inconclusive run does not change it either: it does not show that the storage
    is good again. `runs` is the number of runs with this verdict: a follow-up run counts for the first one,
    too.
    """
    before = turn.state.standing
    if judgement.verdict in {Verdict.PENDING, Verdict.SUPPRESSED} or due < before.due:
        return
    _note_streak(turn, judgement, due, node, runs)
    if judgement.verdict is Verdict.INCONCLUSIVE and turn.state.bad is not None:
        return
    ok, hung = judgement.verdict is Verdict.OK, judgement.verdict is Verdict.HUNG
    verdict = judgement.verdict
    if judgement.reason is Reason.NOT_OFFERED or (
        verdict is Verdict.INCONCLUSIVE and before.verdict is Verdict.UNKNOWN
    ):
        verdict = Verdict.UNKNOWN
    now = replace(
        before,
        verdict=verdict,
        reason=judgement.reason,
        message=judgement.message,
        due=due,
        stage=judgement.stage,
        since=before.since if before.verdict is verdict else due,
        noted_at=turn.now,
        last_ok=turn.now if ok else before.last_ok,
    )
    turn.change(standing=now)
    if replace(now, noted_at=0.0, last_ok=0.0) != replace(before, noted_at=0.0, last_ok=0.0):
        changed = (before.verdict, before.reason) != (now.verdict, now.reason)
        hung_since = due if hung else None
        turn.emit(SetVerdict(now.verdict, now.reason, now.message, now.last_ok, hung_since, changed))


def _note_streak(turn: Turn, judgement: Judgement, due: float, node: str, runs: int) -> None:
    """Note for how many consecutive runs the target is bad, or could not be tested."""
    state = turn.state
    this = BadStreak(
        stage=judgement.stage or Stage.IO,
        reason=judgement.reason,
        evidence=judgement.message,
        node=turn.target.node or node,
        first_bad=max(due, state.judged_since),
        bad_runs=runs,
        last_due=due,
        noted_at=turn.now,
    )
    if judgement.reason is Reason.NOT_OFFERED:
        turn.change(bad=None, blind=None, heard=due)
    elif judgement.verdict is Verdict.INCONCLUSIVE:
        # An earlier verdict on the same run, before its cause was known, does not count any more.
        bad = state.bad if state.bad is not None and state.bad.first_bad < due else None
        turn.change(bad=bad, blind=this.after(state.blind))
    elif judgement.verdict in BAD:
        turn.change(bad=this.after(state.bad), blind=None, heard=due)
    else:
        turn.change(bad=None, blind=None, heard=due)
    new = state.heard is None and turn.state.heard is not None
    if new or _reported(state) != _reported(turn.state):
        turn.emit(ReportChange())


def _reported(state: TargetState) -> list[BadStreak | None]:
    """Return what opens or changes an incident; its first evidence stays while stage and reason do."""
    streaks = (state.bad, state.blind)
    return [each and replace(each, last_due=0.0, noted_at=0.0, evidence="") for each in streaks]


def _show(turn: Turn, case: Case) -> None:
    """Show what is known of a run; it marks its due time unless another run decides that."""
    run = turn.state.runs[case.id]
    judgement = case.own if case.decided_elsewhere else case.judgement
    if judgement.verdict is Verdict.PENDING:
        return
    io = judgement.result.io if judgement.result is not None else None
    past = PastRun(
        due=run.due,
        cause=run.cause,
        verdict=judgement.verdict,
        reason=judgement.reason,
        message=judgement.message,
        stage=judgement.stage,
        node=case.run.node,
        ended=judgement.ended,
        measured=measured(timeline(case.run).seconds, io),
        rough=io is not None and io.tool == "pie",
    )
    if past == run.shown:
        return
    turn.change_run(run.id, shown=past)
    if not case.decided_elsewhere:
        turn.emit(Mark(run.due, judgement.verdict))
    turn.emit(Record(past))


def _record(turn: Turn, case: Case) -> None:
    """Note what an ended run measured, if it tested anything; its objects are not needed any more."""
    run, judgement = turn.change_run(case.id, recorded=True), case.judgement
    for step in turn.state.unread():
        if step.is_of(run):
            turn.change_run(step.id, recorded=True)
    end_hang(turn, run)
    turn.ended.append(run)
    if judgement.reason is Reason.JOB_DELETED:
        lose_run(turn, run.due)
    if judgement.verdict not in UNTESTED or judgement.succeeded:
        io = judgement.result.io if judgement.result is not None else None
        startup = pod_startup_seconds(case.run)
        turn.emit(Observe(run.due, timeline(case.run).seconds, io, startup))
        if io is not None:
            turn.change(standing=replace(turn.state.standing, io=io))
    if run.follows:
        follow_up_ended(turn, run, case)


def lose_run(turn: Turn, due: float) -> None:
    """Count a run whose objects somebody deleted before its result was read."""
    turn.change(lost=lose(turn.state.lost, due))
    turn.emit(CountLost(due))


def end_hang(turn: Turn, run: RunState) -> None:
    """Stop showing the run as hung. Its verdict does not change."""
    known = turn.state.standing
    if known.verdict is Verdict.HUNG and known.due == run.due:
        turn.emit(SetVerdict(known.verdict, known.reason, known.message, known.last_ok, None, changed=False))


def _look_again(turn: Turn, case: Case) -> None:
    """Judge a run that has not ended again when its judgement can change without news."""
    judgement, due = case.judgement, None
    if judgement.bad or case.decided_elsewhere or judgement.verdict in UNTESTED:
        due = turn.calendar.next_due(case.as_of)
        if due <= turn.now:
            # What is known of the run does not reach the due time that it blocks.
            if turn.state.runs[case.id].waits_for_pod and turn.facts.runs_as_of < due:
                turn.emit(Ask(Question.RUNS))
            due = turn.now + _ASK_AGAIN_SECONDS
    turn.wake(judgement.check_at, due, turn.now + PATIENCE_SECONDS if case.undecided else None)
