"""A bad target is probed again before its next due time, so that an incident opens and closes sooner.

There are few early runs: each wait is twice the one before, and none is close to the next due time. There is
none while the target hangs, while another run goes on, or on a volume without file locks. The series that
count due times do not count them.
"""

from pie.core.model import BAD, Verdict
from pie.core.schedule import CLEAR_OF_DUE_SECONDS, early_wait_seconds
from pie.core.target.effects import StartRun
from pie.core.target.turn import Turn


def probe_again(turn: Turn) -> None:
    """Order an early run when its time has come; after a run that ended bad, choose that time."""
    if turn.ended:
        _choose_time(turn)
    if (at := turn.state.early_at) is None or turn.facts.stopped or not turn.facts.early:
        return
    if turn.now < at:
        turn.wake(at)
        return
    turn.change(early_at=None)
    schedule, due = turn.facts.schedule, turn.calendar.next_due(turn.now)
    free = schedule is not None and not schedule.paused and not schedule.busy
    until = due - CLEAR_OF_DUE_SECONDS
    if free and _wanted(turn) and turn.facts.nodes.suppression is None and turn.now <= until:
        turn.change(starting=StartRun("retry", turn.now, until))


def _wanted(turn: Turn) -> bool:
    """Tell whether the target is bad, does not hang, and no other run can come in the way."""
    verdict = turn.state.standing.verdict
    apart = not turn.state.unread() and not turn.state.unlocked
    return verdict in BAD and verdict is not Verdict.HUNG and apart


def _choose_time(turn: Turn) -> None:
    wait = None
    if turn.facts.early and _wanted(turn):
        after_due = any(run.of_schedule for run in turn.ended)
        before = 0.0 if after_due else turn.state.early_wait_seconds
        due = turn.calendar.next_due(turn.now)
        wait = early_wait_seconds(turn.probe.period_seconds, due - turn.now, before)
    turn.change(
        early_wait_seconds=wait or 0.0, early_at=turn.now + wait if wait is not None else turn.state.early_at
    )
