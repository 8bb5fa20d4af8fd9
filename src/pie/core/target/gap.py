"""Due times while no controller led, where pie starts the runs itself (`runner: Pod`): nobody started a run.

Those that have a pod are judged by it. The others are suppressed if maintenance explains them, else
inconclusive: the storage was not tested.
"""

from typing import Final

from pie.core.model import Verdict
from pie.core.reasons import Reason
from pie.core.target.counting import count_untested
from pie.core.target.duetimes import has_run, patience_seconds
from pie.core.target.effects import Ask, Question
from pie.core.target.facts import ScheduleFact
from pie.core.target.turn import MOST_DUES, Turn

_ASK_AGAIN_SECONDS: Final = 1.0


def settle_gap(turn: Turn) -> None:
    """Count the due times from when the former leader renewed its Lease last until this one led, once."""
    state, facts = turn.state, turn.facts
    if not state.gap_open:
        return
    schedule, since = facts.schedule, facts.unled_since
    if since is None or schedule is None or not schedule.by_pie:
        turn.change(gap_open=False)
        return
    if turn.now < facts.led_since:
        turn.wake(facts.led_since)
        return
    if facts.runs_as_of < facts.led_since:
        # What the former leader ordered last may not be seen yet.
        turn.emit(Ask(Question.RUNS))
        turn.wake(turn.now + _ASK_AGAIN_SECONDS)
        return
    if any(run.of_schedule and run.due not in state.ledger for run in state.unread()):
        return  # Older due times are counted first, since the ledger remembers few.
    turn.change(gap_open=False)
    begin = max(schedule.since, since - patience_seconds(turn))
    for due in turn.calendar.dues_between(begin, facts.led_since, limit=MOST_DUES):
        open_then = due > since or _was_blocked(turn, due) or _was_paused(turn, schedule, due)
        if open_then and not has_run(turn, due):
            _count(turn, due)


def _was_blocked(turn: Turn, due: float) -> bool:
    """Tell whether an earlier run, which this controller counted, kept this one from starting.

    Then the former leader had not counted it either.
    """
    return any(counted < due for counted in turn.state.ledger.due_times)


def _was_paused(turn: Turn, schedule: ScheduleFact, due: float) -> bool:
    """Tell whether the target was paused when this was due: the former leader counts that only later."""
    noted = (schedule.paused_since, turn.facts.nodes.suppressed_since)
    return any(since is not None and since <= due for since in noted)


def _count(turn: Turn, due: float) -> None:
    span = turn.facts.nodes.span(turn.target, due, turn.facts.led_since)
    if span is not None:
        count_untested(turn, due, Verdict.SUPPRESSED, span.why.reason)
    else:
        count_untested(turn, due, Verdict.INCONCLUSIVE, Reason.NO_CONTROLLER)
