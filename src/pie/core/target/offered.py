"""A canary whose feature the class does not offer is paused, and tried again after some periods.

It is not bad, and no due time counts meanwhile. A driver that is updated may offer the feature later.
"""

from typing import Final

from pie.core.reasons import Reason
from pie.core.target.state import Paused
from pie.core.target.turn import Turn

_LEFT_OUT: Final = 3
"""So many due times have no run: with the usual period of a canary it is tried once a day."""


def pause_what_is_not_offered(turn: Turn) -> None:
    """Pause a canary whose newest run found that the class does not offer what it tests."""
    known = turn.state.not_offered
    for case in turn.open_cases():
        due = case.run.due_seconds
        if case.judgement.reason is Reason.NOT_OFFERED and (known is None or known.until < due):
            until = due + (_LEFT_OUT + 0.5) * turn.probe.real_period_seconds
            turn.change(not_offered=Paused(due, until), early_at=None)
