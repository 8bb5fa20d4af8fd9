"""The condition LongSuppressed: while maintenance is not finished, the node is not probed."""

from collections.abc import Sequence
from dataclasses import dataclass

from pie.core.conditions import Condition, status_condition
from pie.core.maintenance.now import Suppression
from pie.core.reasons import ADVICE, Reason
from pie.core.wire import rfc3339

CONDITION = "LongSuppressed"
_NAMED = 5


@dataclass(frozen=True, slots=True, order=True)
class Overdue:
    """A node that has been suppressed for longer than the spec's maxDuration.

    `since` is epoch seconds: it is suppressed without a break since then, for whatever reasons.
    """

    node: str
    why: Suppression
    since: float


def long_suppressed(overdue: Sequence[Overdue], max_duration_seconds: float) -> Condition:
    """Return the condition: which nodes, by which marks, and what to do."""
    hours = f"{max_duration_seconds / 3600:g} h"
    if not overdue:
        message = f"no node has been suppressed for longer than {hours}"
        return status_condition(CONDITION, "False", Reason.OK, message)
    named = sorted(overdue, key=lambda each: each.node)[:_NAMED]
    nodes = "; ".join(f"{each.node} (since {rfc3339(each.since)}): {each.why.message}" for each in named)
    more = f"; and {len(overdue) - _NAMED} more" if len(overdue) > _NAMED else ""
    advice = " ".join(sorted({ADVICE[each.why.reason] for each in overdue}))
    message = (
        f"{len(overdue)} suppressed for longer than {hours}, and not probed: {nodes}{more}."
        f" {advice} Or narrow spec.nodeSelector to leave the node out."
    )
    return status_condition(CONDITION, "True", named[0].why.reason, message)
