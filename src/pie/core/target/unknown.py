"""No target counts as well without a recent good run."""

from dataclasses import replace
from typing import Final

from pie.core.model import Verdict
from pie.core.reasons import Reason
from pie.core.target.effects import SetVerdict
from pie.core.target.paused import show_paused
from pie.core.target.turn import Turn
from pie.core.wire import rfc3339

_PERIODS: Final = 3
"""A target that had no good run for so many periods is unknown."""


def kubelet_is_silent(turn: Turn) -> bool:
    """Tell whether the kubelet of the target's node was found silent: this is no maintenance that has ended.

    No Lease is read for that: a bad run on the node has it read, and the node's history has the answer.
    """
    history = turn.facts.nodes.histories.get(turn.target.node)
    return history is not None and history.silent


def forget_old_verdict(turn: Turn) -> None:
    """Call a target unknown that has had no good run for a while, unless it is bad, suppressed or paused."""
    state, facts = turn.state, turn.facts
    if facts.stopped:
        show_paused(turn)
        return
    if state.bad is not None or facts.nodes.suppression is not None or facts.paused_by is not None:
        return
    before = state.standing
    if before.reason is Reason.NOT_OFFERED:
        return
    judged_since = state.judged_since if not kubelet_is_silent(turn) else 0.0
    since = max(before.last_ok, state.live_since, judged_since, state.resumed_at)
    unknown_at = max(since, state.paced_since) + _PERIODS * turn.effective_seconds
    if turn.now < unknown_at:
        turn.wake(unknown_at)
    elif before.verdict is not Verdict.UNKNOWN or before.noted_at < judged_since:
        known = before.verdict is Verdict.INCONCLUSIVE
        now = replace(
            before,
            verdict=Verdict.UNKNOWN,
            reason=before.reason if known else Reason.NO_RECENT_RUN,
            message=before.message if known else f"no good run since {rfc3339(since)}",
            since=since,
            noted_at=turn.now,
        )
        turn.change(standing=now)
        turn.emit(SetVerdict(now.verdict, now.reason, now.message, now.last_ok, None, changed=True))
