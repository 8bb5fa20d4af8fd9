"""The step of a target: a pure function of what is remembered, what is known, and the time."""

from collections.abc import Callable
from dataclasses import dataclass

from pie.core.kinds import kind_of
from pie.core.target.counting import count_runs
from pie.core.target.doubts import hold_doubts
from pie.core.target.driver import blame_driver
from pie.core.target.duetimes import settle_due_times
from pie.core.target.early import probe_again
from pie.core.target.effects import Effect
from pie.core.target.facts import TargetFacts
from pie.core.target.followup import follow_up
from pie.core.target.gap import settle_gap
from pie.core.target.growth import expand_volumes
from pie.core.target.judging import ask_what_is_missing, excuse_runs, judge_runs
from pie.core.target.life import adopt_runs, begin_or_retire, take_answers
from pie.core.target.objects import (
    begin_anew_after_maintenance,
    discard,
    keep_objects,
    pause_or_resume,
    start_runs,
)
from pie.core.target.offered import pause_what_is_not_offered
from pie.core.target.paused import note_pause
from pie.core.target.records import weigh_records
from pie.core.target.residents import follow_resident
from pie.core.target.starting import start_due_run
from pie.core.target.state import TargetState
from pie.core.target.steps import go_on
from pie.core.target.turn import Case, Turn
from pie.core.target.unknown import forget_old_verdict


@dataclass(frozen=True, slots=True)
class Step:
    """What a step gives: the new state, what is to be done, in order, and when to look again."""

    state: TargetState
    effects: tuple[Effect, ...] = ()
    wake_at: float | None = None


Phase = Callable[[Turn], None]

ALWAYS: tuple[Phase, ...] = (begin_or_retire, adopt_runs)

TO_JUDGE: tuple[Phase, ...] = (
    # What is known: answers, the judgement of each run, maintenance, the storage driver on the node.
    take_answers,
    judge_runs,
    excuse_runs,
    blame_driver,
    # If something is not known yet, nothing is concluded from the run in this turn.
    ask_what_is_missing,
    hold_doubts,
    # What a run needs of pie while it goes on.
    expand_volumes,
)

WHILE_LIVE: tuple[Phase, ...] = (
    note_pause,
    begin_anew_after_maintenance,
    *TO_JUDGE,
    # Whose verdict decides a due time is known before anything is weighed or counted.
    go_on,
    follow_up,
    pause_what_is_not_offered,
    weigh_records,
    count_runs,
    settle_due_times,
    settle_gap,
    forget_old_verdict,
    # What pie does next.
    probe_again,
    start_runs,
    pause_or_resume,
    start_due_run,
)

WHILE_RESIDENT: tuple[Phase, ...] = (
    note_pause,
    begin_anew_after_maintenance,
    follow_resident,
    forget_old_verdict,
    pause_or_resume,
    # Where there is no pod, at a due time: many pods are not started at the same time.
    start_due_run,
)
"""Of a target whose pod goes on: it has no runs, and nothing of it is counted."""

AT_LAST: tuple[Phase, ...] = (keep_objects, discard)


def step(state: TargetState, facts: TargetFacts, now: float) -> Step:
    """Return the target's next state, and what is to be done.

    `now` is by the API server's clock, epoch seconds. Nothing at all is decided while the PieProbe of the
    target was not read.
    """
    if not facts.known:
        return Step(state)
    turn = Turn(state, facts, now)
    for phase in ALWAYS:
        phase(turn)
    if turn.state.live:
        for phase in WHILE_RESIDENT if kind_of(turn.target).resident else WHILE_LIVE:
            phase(turn)
    for phase in AT_LAST:
        phase(turn)
    return Step(turn.state, tuple(turn.effects), turn.wake_at)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a target's runs gives: the new state, the runs as they are judged, and what to do."""

    state: TargetState
    cases: tuple[Case, ...]
    effects: tuple[Effect, ...] = ()
    wake_at: float | None = None


def look(state: TargetState, facts: TargetFacts, now: float) -> Look:
    """Judge the runs of a live target as a step does, and count nothing: `pie check` wants only verdicts."""
    turn = Turn(state, facts, now)
    for phase in (adopt_runs, *TO_JUDGE):
        phase(turn)
    turn.wake(*(case.judgement.check_at for case in turn.open_cases()))
    return Look(turn.state, tuple(turn.cases), tuple(turn.effects), turn.wake_at)
