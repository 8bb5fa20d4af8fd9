"""The user pauses a PieProbe, or its StorageClass is gone: no run starts and none is due, until that ends.

A run that goes on is judged and counted. The schedule is suspended like in maintenance, see
`pie.core.target.objects`.
"""

from dataclasses import replace

from pie.core.model import Verdict
from pie.core.target.effects import ReportChange, SetVerdict
from pie.core.target.state import Paused
from pie.core.target.turn import Turn


def note_pause(turn: Turn) -> None:
    """Note since when no run of the target starts, and when that ended."""
    known, stopped = turn.state.paused, turn.facts.stopped
    if stopped and (known is None or known.over):
        turn.change(paused=Paused(turn.now), starting=None, early_at=None)
        turn.emit(ReportChange())
    elif not stopped and known is not None and not known.over:
        turn.change(paused=replace(known, until=turn.now))
        turn.emit(ReportChange())


def show_paused(turn: Turn) -> None:
    """Call the verdict of a paused target unknown: nobody looks, so it may be anything."""
    before, pause = turn.state.standing, turn.facts.paused_by
    if pause is None or (before.verdict is Verdict.UNKNOWN and before.reason is pause.reason):
        return
    now = replace(
        before,
        verdict=Verdict.UNKNOWN,
        reason=pause.reason,
        message=pause.message,
        stage=None,
        since=turn.now,
        noted_at=turn.now,
    )
    turn.change(standing=now)
    turn.emit(SetVerdict(now.verdict, now.reason, now.message, now.last_ok, None, changed=False))
    turn.emit(ReportChange())
