"""A bad provision run is not the class's verdict yet: a run on another node follows it at once.

A new application needs *some* node where a fresh volume works. So a one-off run tries again without the node
that the first run was bound to, and its verdict decides the due time.
"""

from dataclasses import replace
from enum import Enum

from pie.core.model import Verdict
from pie.core.reasons import Reason
from pie.core.target.effects import ReportNode, StartRun
from pie.core.target.state import FollowUp, RunState
from pie.core.target.turn import SOON_SECONDS, Case, Turn

PATIENCE_SECONDS = 30.0
"""A follow-up run that does not exist so long after it was ordered is not waited for any more."""


class VerdictFrom(Enum):
    """Whose verdict counts for the due time of a bad provision run."""

    RUN = "run"
    FOLLOW_UP = "follow-up"
    UNDECIDED = "undecided"
    """A follow-up run is about to start, or the one of an earlier due time is still under way."""


def follow_up(turn: Turn) -> None:
    """Decide for each bad provision run of the schedule whose verdict counts; order follow-up runs."""
    if turn.target.node:
        return
    for case in turn.open_cases():
        run = turn.state.runs[case.id]
        not_offered = case.judgement.reason is Reason.NOT_OFFERED  # the class says so, and not a node
        if not case.judgement.needs_cause or not_offered or run.cause != "schedule":
            continue
        decides = _verdict_from(turn, case, run)
        if decides is VerdictFrom.UNDECIDED and case.judgement.ended:
            turn.hold(case, turn.now + PATIENCE_SECONDS)
        elif decides is not VerdictFrom.RUN:
            case.decided_elsewhere = True
            case.undecided = decides is VerdictFrom.UNDECIDED
            case.judgement = replace(case.judgement, verdict=Verdict.PENDING, on_time=None)
            turn.change_run(run.id, on_time_counted=decides is VerdictFrom.FOLLOW_UP)


def _verdict_from(turn: Turn, case: Case, run: RunState) -> VerdictFrom:
    """Return whose verdict counts; while the first run is unfinished, each due time has a follow-up run."""
    due, under_way = open_due_of(turn, run, ended=case.judgement.ended), _under_way(turn)
    asked = turn.state.follow_up
    if due is None:
        followed = under_way is not None or run.id in turn.state.followed
        return VerdictFrom.FOLLOW_UP if followed else VerdictFrom.RUN
    if under_way is not None:
        return VerdictFrom.FOLLOW_UP if under_way.due >= due else VerdictFrom.UNDECIDED
    if due <= turn.state.failed_elsewhere_at:
        return VerdictFrom.RUN  # It failed on another node, too, after this was due.
    if asked is not None and asked.due >= due:
        waiting = turn.now < asked.at + PATIENCE_SECONDS
        return VerdictFrom.UNDECIDED if waiting else VerdictFrom.RUN
    node = case.run.node
    nowhere = turn.facts.schedule is None or turn.facts.stopped or not turn.facts.nodes.usable - {node}
    if not node or nowhere:
        return VerdictFrom.RUN
    turn.change(
        follow_up=FollowUp(run.id, node, case.judgement, due, turn.now),
        starting=StartRun("followup", due, turn.now + PATIENCE_SECONDS, without=node, follows=run.id),
    )
    return VerdictFrom.UNDECIDED


def _under_way(turn: Turn) -> RunState | None:
    runs = [run for run in turn.state.unread() if run.cause == "followup"]
    return runs[-1] if runs else None


def open_due_of(turn: Turn, run: RunState, *, ended: bool) -> float | None:
    """Return the first due time of a run's life that is not counted; of one that ended, its own."""
    blocked = [] if ended else turn.dues_blocked_by(run, turn.now)
    return next((due for due in (run.due, *blocked) if due not in turn.state.ledger), None)


def follow_up_ended(turn: Turn, run: RunState, case: Case) -> None:
    """Note how a follow-up run ended; if it was good, report the node where the run before it was bad."""
    if case.judgement.bad:
        turn.change(failed_elsewhere_at=turn.now)
    asked = turn.state.follow_up
    followed = asked is not None and asked.follows == run.follows and asked.said.bad
    if case.judgement.verdict is Verdict.OK and asked is not None and followed:
        turn.emit(ReportNode(asked.node, asked.said))
    turn.wake(turn.now + SOON_SECONDS)  # The runs that waited for it are decided now.
