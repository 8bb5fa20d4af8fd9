"""Conditions of a PieProbe's status. `pie.core.status` adds their times."""

from collections.abc import Mapping
from typing import Any, Literal

from pie.core.reasons import ADVICE, MEANING, Reason

Condition = dict[str, Any]


def status_condition(
    kind: str, status: Literal["True", "False", "Unknown"], reason: Reason, message: str = ""
) -> Condition:
    """Return a condition of this type; without a message, it has the meaning of its reason."""
    return {"type": kind, "status": status, "reason": reason.value, "message": message or MEANING[reason]}


def explained(message: str, reason: Reason) -> str:
    """Return a message, followed by what its reason means and what to do."""
    return f"{message}. {MEANING[reason]} {ADVICE[reason]}"


def stored_conditions(status: Mapping[str, Any]) -> list[Condition]:
    """Return the conditions in a stored status, which anybody may have written."""
    listed = status.get("conditions")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
