"""Which due time pie starts a run for, where it starts the pods itself (`runner: Pod`).

The rules are those of a CronJob with `concurrencyPolicy: Forbid` and a deadline of one period: no run while
another one of the schedule is there, and of several due times that passed meanwhile only the newest.
"""

from typing import Final

from pie.core.target.duetimes import has_run
from pie.core.target.effects import Ask, Question, StartRun
from pie.core.target.facts import ScheduleFact
from pie.core.target.turn import Turn

_CATCH_UP_SECONDS: Final = 2.0
_ASK_AGAIN_SECONDS: Final = 1.0


def start_due_run(turn: Turn) -> None:
    """Order the run that is due, until it is there or must not be started any more."""
    schedule, order = turn.facts.schedule, None
    if schedule is not None and schedule.by_pie:
        turn.wake(turn.calendar.next_due(turn.now))
        due = _due(turn, schedule)
        if due is not None:
            order = StartRun("schedule", due, turn.calendar.next_due(due))
    turn.change(due_run=order)
    if order is not None:
        turn.emit(order)


def _due(turn: Turn, schedule: ScheduleFact) -> float | None:
    """Return the due time that is to have a run now; None: there is none, or it has to wait."""
    state, facts = turn.state, turn.facts
    since = max(schedule.since, facts.led_since, state.live_since, state.switched_at)
    if state.switched_at and facts.runs_as_of < state.switched_at + _CATCH_UP_SECONDS:
        # The other runner may have started a run a moment before.
        turn.emit(Ask(Question.RUNS))
        turn.wake(turn.now + _ASK_AGAIN_SECONDS)
        return None
    kept = state.kept
    if kept is None or kept.paused or schedule.busy:
        return None
    newest = turn.calendar.dues_between(since, turn.now, limit=1)
    if not newest or newest[0] <= max(since, schedule.last_started) or has_run(turn, newest[0]):
        return None
    return newest[0] if not state.paused_at(newest[0]) else None
