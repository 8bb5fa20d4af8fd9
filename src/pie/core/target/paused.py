"""The user pauses a PieProbe: no run starts and none is due, until it is resumed.

A run that goes on is judged and counted. The schedule is suspended like in maintenance, see
`pie.core.target.objects`.
"""

from dataclasses import replace

from pie.core.model import Verdict
from pie.core.reasons import MEANING, Reason
from pie.core.target.effects import ReportChange, SetVerdict
from pie.core.target.state import Paused
from pie.core.target.turn import Turn


def note_pause(turn: Turn) -> None:
    """Note since when the target is paused by the user, and when that ended."""
    known, stopped = turn.state.paused, turn.facts.stopped
    if stopped and (known is None or known.over):
        turn.change(paused=Paused(turn.now), starting=None, early_at=None)
        turn.emit(ReportChange())
    elif not stopped and known is not None and not known.over:
        turn.change(paused=replace(known, until=turn.now))
        turn.emit(ReportChange())


def show_paused(turn: Turn) -> None:
    """Call the verdict of a paused target unknown: nobody looks, so it may be anything."""
    before = turn.state.standing
    if before.verdict is Verdict.UNKNOWN and before.reason is Reason.PAUSED:
        return
    reason = Reason.PAUSED
    now = replace(
        before,
        verdict=Verdict.UNKNOWN,
        reason=reason,
        message=MEANING[reason],
        stage=None,
        since=turn.now,
        noted_at=turn.now,
    )
    turn.change(standing=now)
    turn.emit(SetVerdict(now.verdict, now.reason, now.message, now.last_ok, None, changed=False))
    turn.emit(ReportChange())
