"""What runs count as: each due time once, each answer of a run once; and the target's verdict."""

from dataclasses import replace

from pie.core.deletedruns import lose
from pie.core.history import PastRun, measured
from pie.core.judge import Judgement
from pie.core.kinds import kind_of
from pie.core.model import BAD, Stage, Verdict
from pie.core.reasons import Reason
from pie.core.target.effects import (
    CountCutShort,
    CountLost,
    CountOnTime,
    CountSucceeded,
    CountSuppressed,
    Mark,
    Observe,
    Record,
    ReportChange,
    SetVerdict,
)
from pie.core.target.followup import PATIENCE_SECONDS, follow_up_ended
from pie.core.target.state import BadStreak, RunState
from pie.core.target.turn import Case, Turn
from pie.core.timeline import timeline


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
        return run  # The series count due times; but a hang blocks those that follow.
    if judgement.on_time is not None and not run.on_time_counted:
        run = turn.change_run(run.id, on_time_counted=True)
        count_on_time(turn, run.due, on_time=judgement.on_time)
    if judgement.succeeded is not None and not run.succeeded_counted:
        run = turn.change_run(run.id, succeeded_counted=True)
        turn.emit(CountSucceeded(run.due, judgement.succeeded))
    suppressed = judgement.verdict is Verdict.SUPPRESSED
    if suppressed and not run.on_time_counted:
        # One that had been on time stays so: only its I/O says nothing.
        count_suppressed(turn, run.due, judgement.reason)
    elif suppressed and judgement.on_time and judgement.ended:
        count_cut_short(turn, run, judgement.reason)
    if (judgement.bad or suppressed) and not judgement.ended:
        _count_blocked(turn, case, run)
    return turn.state.runs[case.id]


def _count_blocked(turn: Turn, case: Case, run: RunState) -> None:
    bad = 0
    for due in turn.dues_blocked_by(run, case.as_of):
        if case.judgement.verdict is Verdict.SUPPRESSED:
            count_suppressed(turn, due, case.judgement.reason)
        elif count_on_time(turn, due, on_time=False):
            bad += 1
            turn.emit(Mark(due, case.judgement.verdict))
    still_bad(turn, bad)


def count_on_time(turn: Turn, due: float, *, on_time: bool) -> bool:
    """Count a due time, and tell whether that was still to be done."""
    if due in turn.state.ledger:
        return False
    turn.change(ledger=turn.state.ledger.mark(due))
    turn.emit(CountOnTime(due, on_time))
    return True


def count_suppressed(turn: Turn, due: float, reason: Reason) -> None:
    """Count a due time as suppressed, unless it is counted."""
    if due not in turn.state.ledger:
        turn.change(ledger=turn.state.ledger.mark(due))
        turn.emit(CountSuppressed(due, reason))
        turn.emit(Mark(due, Verdict.SUPPRESSED))


def count_cut_short(turn: Turn, run: RunState, reason: Reason) -> None:
    """Count a run that was on time and cut short, where its I/O is counted apart and was not yet."""
    if not run.succeeded_counted and kind_of(turn.target).io_apart:
        turn.change_run(run.id, succeeded_counted=True)
        turn.emit(CountCutShort(run.due, reason))


def still_bad(turn: Turn, dues: int) -> None:
    """Note due times that a bad run blocked."""
    if dues and (bad := turn.state.bad) is not None:
        turn.change(bad=replace(bad, bad_runs=bad.bad_runs + dues))
        turn.emit(ReportChange())


def note(turn: Turn, judgement: Judgement, due: float, node: str, *, runs: int = 1) -> None:
    """Note the target's verdict; a run in flight, or one that says nothing, leaves the last one standing.

    `runs` is of how many runs it is the verdict: a follow-up run's is that of the first one, too.
    """
    before = turn.state.standing
    if judgement.verdict in {Verdict.PENDING, Verdict.SUPPRESSED} or due < before.due:
        return
    ok, hung = judgement.verdict is Verdict.OK, judgement.verdict is Verdict.HUNG
    now = replace(
        before,
        verdict=judgement.verdict,
        reason=judgement.reason,
        message=judgement.message,
        due=due,
        stage=judgement.stage,
        since=before.since if before.verdict is judgement.verdict else due,
        noted_at=turn.now,
        last_ok=turn.now if ok else before.last_ok,
    )
    turn.change(standing=now)
    if replace(now, noted_at=0.0, last_ok=0.0) != replace(before, noted_at=0.0, last_ok=0.0):
        changed = (before.verdict, before.reason) != (now.verdict, now.reason)
        hung_since = due if hung else None
        turn.emit(SetVerdict(now.verdict, now.reason, now.message, now.last_ok, hung_since, changed))
    _note_streak(turn, judgement, due, node, runs)


def _note_streak(turn: Turn, judgement: Judgement, due: float, node: str, runs: int) -> None:
    """Note whether the target is bad, and for how many runs in a row."""
    new, before = turn.state.heard is None, turn.state.bad
    turn.change(heard=due)
    if judgement.verdict is Verdict.OK:
        turn.change(bad=None)
        if before is not None or new:
            turn.emit(ReportChange())
        return
    if judgement.verdict not in BAD:
        return
    more = runs if before is not None and due > before.last_due else 0
    bad = BadStreak(
        stage=judgement.stage or Stage.IO,
        reason=judgement.reason,
        evidence=judgement.message,
        node=turn.target.node or node,
        first_bad=before.first_bad if before else max(due, turn.state.judged_since),
        bad_runs=(before.bad_runs if before else runs) + more,
        last_due=due,
        noted_at=turn.now,
    )
    turn.change(bad=bad)
    if before is None or _reported(bad) != _reported(before):
        turn.emit(ReportChange())


def _reported(bad: BadStreak) -> BadStreak:
    """Return what opens or changes an incident; its first evidence stands while stage and reason do."""
    return replace(bad, last_due=0.0, noted_at=0.0, evidence="")


def _show(turn: Turn, case: Case) -> None:
    """Show what is known of a run by now; where another run decides the due time, it is not marked."""
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
    """Take in what an ended run measured, if it says anything; its objects are not needed any more."""
    run, judgement = turn.change_run(case.id, recorded=True), case.judgement
    end_hang(turn, run)
    turn.ended.append(run)
    if judgement.reason is Reason.JOB_DELETED and not run.succeeded_counted:
        lose_run(turn, run.due)
    if judgement.verdict is not Verdict.SUPPRESSED:
        io = judgement.result.io if judgement.result is not None else None
        turn.emit(Observe(run.due, timeline(case.run).seconds, io))
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
    """Have a run that goes on judged again when time alone could change something."""
    judgement = case.judgement
    blocks = judgement.bad or case.decided_elsewhere or judgement.verdict is Verdict.SUPPRESSED
    turn.wake(
        judgement.check_at,
        turn.calendar.next_due(case.as_of) if blocks else None,
        turn.now + PATIENCE_SECONDS if case.undecided else None,
    )
