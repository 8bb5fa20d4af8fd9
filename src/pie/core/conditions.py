"""A condition of a PieProbe's status, without its times: `pie.core.status` adds them."""

from typing import Any, Literal

from pie.core.reasons import MEANING, Reason

Condition = dict[str, Any]


def status_condition(
    kind: str, status: Literal["True", "False", "Unknown"], reason: Reason, message: str = ""
) -> Condition:
    """Return a condition of this type; without a message, it has the meaning of its reason."""
    return {"type": kind, "status": status, "reason": reason.value, "message": message or MEANING[reason]}
