"""A run whose pods use one volume at the same time, each on a node of its own. All of them have to be good.

The second pod starts when the container of the first one runs. The first pod that is not good decides, and
the run ends with it: the other one has nobody to work with any more.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from pie.core.judge import Judgement, missed
from pie.core.maintenance.excuse import everywhere
from pie.core.model import AtStep, Verdict
from pie.core.reasons import Reason
from pie.core.target.effects import StartRun
from pie.core.target.turn import Case, Turn
from pie.core.timeline import timeline

_PATIENCE_SECONDS: Final = 30.0
"""If the second pod does not exist so long after the first one must have started, it is not waited for."""
_GOOD_SO_FAR: Final = frozenset({Verdict.PENDING, Verdict.OK})
_GOES_ON: Final = frozenset({Verdict.LATE, Verdict.INCONCLUSIVE})


def decide_together(turn: Turn) -> None:
    """Conclude something from one pod of each run only, and start the second pods."""

    def run(case: Case) -> tuple[float, str]:
        found = turn.state.runs[case.id]
        return found.due, found.cause

    for _, cases in groupby(sorted(turn.cases, key=run), key=run):
        pods = sorted(cases, key=lambda case: turn.state.runs[case.id].step)
        first = turn.state.runs[pods[0].id]
        if first.step:
            _record_leftover(turn, pods)
        elif bad := [case for case in pods if case.judgement.verdict not in _GOOD_SO_FAR]:
            _let_decide(turn, min(bad, key=lambda case: _blames_the_other(case.judgement)), pods)
        elif len(pods) == 1:
            _start_second(turn, pods[0])
        elif not all(case.judgement.ended for case in pods):
            for case in pods:
                if case.judgement.ended:
                    turn.hold(case, None)
        else:
            _let_decide(turn, pods[-1], pods)


def _blames_the_other(judgement: Judgement) -> bool:
    return judgement.reason is Reason.SHARED_NOT_SEEN


def _let_decide(turn: Turn, decides: Case, pods: Sequence[Case]) -> None:
    """Conclude nothing from the other pods; they are deleted as soon as this one is counted."""
    for case in pods:
        if case is not decides:
            turn.hold(case, None)
    judgement = decides.judgement
    begun = turn.state.runs[decides.id].step or timeline(decides.run).started is not None
    if begun and judgement.verdict in _GOES_ON and not judgement.ended:
        decides.judgement = decides.own = replace(judgement, ended=True, check_at=None)


def _record_leftover(turn: Turn, pods: Sequence[Case]) -> None:
    """Conclude nothing from a second pod whose first one is counted, or was deleted before pie saw it."""
    for case in pods:
        turn.change_run(case.id, recorded=True)
        turn.hold(case, None)


def _start_second(turn: Turn, case: Case) -> None:
    """Order the second pod, if the first one works."""
    if case.held or timeline(case.run).started is None:
        return
    run, nodes = turn.state.runs[case.id], turn.facts.nodes
    until = max(run.created + turn.probe.threshold_seconds, turn.facts.led_since) + _PATIENCE_SECONDS
    others = nodes.usable - {case.run.node}
    if turn.facts.stopped or not others or run.pod is None or run.pod_gone or turn.now >= until:
        case.judgement = case.own = _without_second(turn, case)
        return
    asked = turn.state.follow_up
    bad = asked.node if asked is not None and run.cause == "followup" else ""
    apart = (case.run.node, *([bad] if bad and others - {bad} else []))
    step = AtStep(1, run.pod.metadata.name, apart=apart)
    turn.emit(StartRun(run.cause, run.due, until, follows=run.follows, step=step))
    turn.hold(case, until)


def _without_second(turn: Turn, case: Case) -> Judgement:
    """Return the judgement of a run whose second pod cannot start."""
    nodes, schedule = turn.facts.nodes, turn.facts.schedule
    found = replace(case.judgement, verdict=Verdict.INCONCLUSIVE, on_time=None, ended=True, check_at=None)
    if turn.facts.stopped:
        return replace(found, reason=Reason.PAUSED, message="paused before the second pod of the run")
    others = sorted(nodes.matching - {case.run.node})
    span = everywhere([nodes.histories.get(each) for each in others], case.run.created_seconds, turn.now)
    if span is not None:
        return replace(found, verdict=Verdict.SUPPRESSED, reason=span.why.reason, message=span.why.message)
    if not others:
        return replace(found, verdict=Verdict.SUPPRESSED, reason=Reason.NODE_DELETED)
    return missed(case.run.due_seconds, schedule.warnings if schedule is not None else (), by_pie=True)
