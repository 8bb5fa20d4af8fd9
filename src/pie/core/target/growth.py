"""When pie expands the volume of a run: as soon as its container has looked how large it is.

The PVC itself says that pie has asked: so a run goes on with the next controller as if nothing had happened.
"""

from typing import Final

from pie.core.expansion import asked_for, expanded, given_up, larger
from pie.core.kinds import kind_of
from pie.core.kinds.expand import ASKED_AFTER_SECONDS
from pie.core.naming import CONTAINER
from pie.core.target.effects import Ask, ExpandVolume, Question
from pie.core.target.turn import Case, Turn
from pie.core.wire import Claim, epoch_seconds

_LONG_SECONDS: Final = 120.0
"""If a volume has not grown by then, somebody may have said why before pie began to listen."""


def expand_volumes(turn: Turn) -> None:
    """Order that the volumes of runs are expanded, if this is what they test."""
    if not kind_of(turn.target).grows or turn.facts.lacks:
        return
    for case in turn.open_cases():
        claim, since = case.run.claim, _at_work_since(turn, case)
        if claim is None or claim.metadata.being_deleted or since is None:
            continue
        if asked_for(claim):
            _ask_for_events(turn, case, claim, since + _LONG_SECONDS)
        elif turn.now < since + ASKED_AFTER_SECONDS:
            turn.wake(since + ASKED_AFTER_SECONDS)
        elif (size := larger(claim, turn.probe.pvc_capacity)) is not None:
            turn.emit(ExpandVolume(case.id, claim.metadata.uid, size))


def _at_work_since(turn: Turn, case: Case) -> float | None:
    """Return since when the container runs, by the clock of the API server if it says it; None: it does not.

    None as well if something is known against the run.
    """
    pod, run = case.run.pod, turn.state.runs[case.id]
    if (
        pod is None
        or pod.metadata.being_deleted
        or run.pod_gone
        or run.ending
        or case.judgement.ended
        or case.run.refused
    ):
        return None
    running = pod.status.container(CONTAINER).running
    if running is None:
        return None
    return case.run.seen.running_reported or epoch_seconds(running.started_at)


def _ask_for_events(turn: Turn, case: Case, claim: Claim, at: float) -> None:
    """Have the Events read about a volume that does not grow, once, if none is known."""
    run = turn.state.runs[case.id]
    if run.events_asked or run.warnings or expanded(claim):
        return
    if turn.now < at and not given_up(claim):
        turn.wake(at)
        return
    turn.change_run(run.id, events_asked=True)
    turn.emit(Ask(Question.EVENTS, run.id))
