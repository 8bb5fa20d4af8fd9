"""The condition `Blind`: pie cannot test the storage, because of nodes or of itself."""

from collections.abc import Sequence
from typing import Any

from pie.core.incidents.incident import Incident
from pie.core.incidents.text import headline
from pie.core.reasons import ADVICE, MEANING, Reason


def blind(incidents: Sequence[Incident]) -> dict[str, Any]:
    """Return the condition; `incidents` are the open ones."""
    found = [each for each in incidents if each.blind]
    if not found:
        message = "the storage can be tested"
        return {"type": "Blind", "status": "False", "reason": Reason.OK.value, "message": message}
    told = [_words(each) for each in found]
    return {"type": "Blind", "status": "True", "reason": found[0].reason.value, "message": " ".join(told)}


def _words(incident: Incident) -> str:
    evidence = f' Evidence: "{incident.evidence}".' if incident.evidence else ""
    reason = incident.reason
    return f"{headline(incident)}.{evidence} {MEANING[reason]} {ADVICE[reason]}"
