"""Due times for which there is no run: each is counted, too.

If maintenance prevented the run, the due time is suppressed. Otherwise Kubernetes started none, because
kube-controller-manager is down or slow: this shows a control plane that does not work.
"""

from dataclasses import replace
from typing import Final

from pie.core.history import PastRun
from pie.core.judge import missed
from pie.core.model import BAD, Verdict
from pie.core.reasons import Reason
from pie.core.target.counting import count_on_time, count_untested, lose_run, note, still_so
from pie.core.target.effects import Ask, Mark, Question, Record
from pie.core.target.facts import ScheduleFact
from pie.core.target.state import NextDue
from pie.core.target.turn import SOON_SECONDS, Turn

_PATIENCE_MINUTES: Final = 0.5
"""The CronJob controller is some seconds late in a large cluster, and pie itself resumes CronJobs later."""

_ASK_AGAIN_SECONDS: Final = 5.0


def await_due(turn: Turn, after: float) -> float:
    """Wait for the first due time later than `after`; return when its run is missing."""
    due = turn.calendar.next_due(after)
    late_at = due + patience_seconds(turn)
    turn.change(next_due=NextDue(due, late_at))
    return late_at


def patience_seconds(turn: Turn) -> float:
    """Return how long after a due time its run is missing."""
    return max(turn.probe.threshold_seconds, _PATIENCE_MINUTES * turn.probe.minute_seconds)


def open_due(turn: Turn) -> float | None:
    """Return a due time that has passed and is not settled, if there is one."""
    awaited = turn.state.next_due
    if awaited is None or awaited.due > turn.now or not _meant(turn, awaited.due):
        return None
    return awaited.due


def settle_due_times(turn: Turn) -> None:
    """Count the due time whose run is missing, once it is known why."""
    awaited = turn.state.next_due
    if awaited is None:
        return
    if awaited.due <= turn.now < awaited.late_at and has_run(turn, awaited.due):
        turn.wake(await_due(turn, awaited.due))
    elif turn.now < awaited.late_at:
        turn.wake(awaited.late_at)
    elif _meant(turn, awaited.due) and not _decided(turn, awaited):
        turn.wake(turn.now + _ASK_AGAIN_SECONDS)
    else:
        # After a long silence only the newest due time is settled.
        late_at = await_due(turn, max(awaited.due, turn.now - turn.probe.period_seconds))
        turn.wake(max(turn.now + SOON_SECONDS, late_at))


def _meant(turn: Turn, due: float) -> bool:
    """Tell whether there should be a run for a due time, and pie knows of none."""
    schedule = turn.facts.schedule
    if due <= turn.facts.led_since or turn.state.paused_at(due):
        return False
    if not _of_former_runner(turn, due) and (schedule is None or schedule.since >= due):
        return False
    return not has_run(turn, due)


def _of_former_runner(turn: Turn, due: float) -> bool:
    """Tell whether the runner was switched since this was due."""
    return due <= turn.state.switched_at


def has_run(turn: Turn, due: float) -> bool:
    """Tell whether there is a run for a due time, or it is counted."""
    there = any(run.of_schedule and int(run.due) == int(due) for run in turn.state.unread())
    return there or due in turn.state.ledger


def _decided(turn: Turn, awaited: NextDue) -> bool:
    """Count a due time that is late, if it is known by now why it has no run."""
    due, now, schedule = awaited.due, turn.now, turn.facts.schedule
    if any(run.of_schedule and run.due < due for run in turn.state.unread()):
        # A bad one counts it, and after a good one the schedule starts the run.
        turn.change(next_due=replace(awaited, blocked=True))
        return False
    if schedule is not None and _is_kept_waiting(turn, schedule, awaited):
        # The pod of a run that is counted does not go.
        awaited = replace(awaited, blocked=True)
        turn.change(next_due=awaited)
    if schedule is not None and schedule.last_started >= due and not awaited.started_at:
        # The watch of runs may be behind the watch of their schedules: confirm it, and wait.
        awaited = replace(awaited, started_at=now)
        turn.change(next_due=awaited)
        turn.emit(Ask(Question.RUNS))
        return False
    if awaited.started_at and now < awaited.started_at + _ASK_AGAIN_SECONDS:
        return False
    span = turn.facts.nodes.span(turn.target, due, now)
    patience_seconds = _PATIENCE_MINUTES * turn.probe.minute_seconds
    resumes = awaited.blocked or (schedule is not None and schedule.paused)
    in_time = now < turn.calendar.next_due(due) and not _of_former_runner(turn, due)
    # A schedule that is free again, or resumed, starts the run that it missed.
    may_start = in_time and (resumes or now < turn.state.resumed_at + patience_seconds)
    needed = max(awaited.late_at, awaited.started_at)
    if _is_behind(turn, needed, nodes=span is None and not may_start):
        return False
    if span is not None:
        count_untested(turn, due, Verdict.SUPPRESSED, span.why.reason)
    elif may_start:
        return False
    elif awaited.blocked:
        _count_blocked(turn, due)
    elif (paused := turn.state.paused) is not None and due <= paused.since < awaited.late_at:
        # pie suspended the schedule before Kubernetes started the run.
        count_untested(turn, due, Verdict.INCONCLUSIVE, Reason.PAUSED)
    else:
        _count_missed(turn, due)
    return True


def _is_kept_waiting(turn: Turn, schedule: ScheduleFact, awaited: NextDue) -> bool:
    """Tell whether pie does not start the run because a pod is there, as the watch shows by now."""
    known = turn.facts.runs_as_of >= awaited.late_at
    return schedule.by_pie and schedule.busy and schedule.last_started < awaited.due and known


def _is_behind(turn: Turn, until: float, *, nodes: bool) -> bool:
    """Tell whether a run, or what kept it from starting, may be there and not be seen yet; ask for it."""
    behind = turn.facts.runs_as_of < until
    if behind:
        turn.emit(Ask(Question.RUNS))
    if nodes and turn.facts.nodes.as_of < until:
        turn.emit(Ask(Question.NODES))
        return True
    return behind


def _count_blocked(turn: Turn, due: float) -> None:
    """Count a due time at which an earlier run was still under way."""
    verdict, blind = turn.state.standing.verdict, turn.state.blind
    if blind is not None:
        # No run has tested the storage since that one.
        still_so(
            turn,
            Verdict.INCONCLUSIVE,
            count_untested(turn, due, Verdict.INCONCLUSIVE, blind.reason),
        )
    elif count_on_time(turn, due, on_time=False):
        verdict = verdict if verdict in BAD else Verdict.LATE
        turn.emit(Mark(due, verdict))
        still_so(turn, verdict, 1)


def _count_missed(turn: Turn, due: float) -> None:
    """Count a due time for which no run was seen."""
    schedule = turn.facts.schedule
    if _of_former_runner(turn, due):
        # It was switched off before it started the run.
        count_untested(turn, due, Verdict.INCONCLUSIVE, Reason.NO_CONTROLLER)
        return
    if schedule is None:
        return
    judgement = missed(due, schedule.warnings, last_started=schedule.last_started, by_pie=schedule.by_pie)
    verdict, reason = judgement.verdict, judgement.reason
    if schedule.last_started >= due:
        lose_run(turn, due)
    if verdict is Verdict.INCONCLUSIVE:
        count_untested(turn, due, verdict, reason)
    elif count_on_time(turn, due, on_time=False):
        turn.emit(Mark(due, verdict))
    note(turn, judgement, due, turn.target.node)
    turn.emit(Record(PastRun(due, "schedule", verdict, reason, judgement.message, judgement.stage)))
