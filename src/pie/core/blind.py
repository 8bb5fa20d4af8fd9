"""The condition `Blind`: pie cannot test the storage, because of nodes or of itself."""

from collections.abc import Sequence
from typing import Final

from pie.core.conditions import Condition, explained, status_condition
from pie.core.incidents.incident import Incident
from pie.core.incidents.text import headline
from pie.core.reasons import Reason

CONDITION: Final = "Blind"


def blind(incidents: Sequence[Incident]) -> Condition:
    """Return the condition; `incidents` are the open ones."""
    found = [each for each in incidents if each.blind]
    if not found:
        message = "the storage can be tested"
        return status_condition(CONDITION, "False", Reason.OK, message)
    return status_condition(CONDITION, "True", found[0].reason, " ".join(_words(each) for each in found))


def _words(incident: Incident) -> str:
    evidence = f'. Evidence: "{incident.evidence}"' if incident.evidence else ""
    return explained(f"{headline(incident)}{evidence}", incident.reason)
