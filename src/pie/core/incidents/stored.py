"""Incidents as a PieProbe's status stores them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from pie.core.decode import Unreadable, convert
from pie.core.incidents.incident import Closing, Incident, Scope
from pie.core.model import Stage
from pie.core.reasons import Reason
from pie.core.text import PlainText, one_line
from pie.core.wire import rfc3339

MOST_IN_STATUS = 20
_MOST_NODES = 10
_LONGEST_EVIDENCE = 256
_LONGEST_CLOSED_MESSAGE = 1024


class Stored(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An incident in the status. Times are RFC 3339; see the CRD for the meaning of each field."""

    id: PlainText
    scope: Scope
    stage: Stage
    reason: PlainText
    opened_at: str
    nodes: list[PlainText] = []
    zone: PlainText = ""
    area: PlainText = ""
    evidence: PlainText = ""
    targets: int = 0
    provision: bool = False
    canaries: list[PlainText] = []
    closed_at: str | None = None
    closed_because: Closing | None = None
    closed_message: PlainText = ""
    storage_class: PlainText = ""


def to_status(incidents: Iterable[Incident]) -> list[dict[str, Any]]:
    """Return incidents for the status, at most 20: the open ones first, then the newest."""
    ordered = sorted(
        incidents, key=lambda each: (each.closed_at is not None, -(each.closed_at or each.opened_at), each.id)
    )
    stored = (
        Stored(
            id=each.id,
            scope=each.scope,
            stage=each.stage,
            reason=each.reason.value,
            opened_at=rfc3339(each.opened_at),
            nodes=sorted(each.nodes)[:_MOST_NODES],
            zone=each.zone,
            area=each.area.value,
            evidence=one_line(each.evidence, _LONGEST_EVIDENCE),
            targets=each.targets,
            provision=each.provision,
            canaries=sorted(each.canaries),
            closed_at=rfc3339(each.closed_at) if each.closed_at is not None else None,
            closed_because=each.closed_because,
            closed_message=one_line(each.closed_message, _LONGEST_CLOSED_MESSAGE),
            storage_class=each.storage_class,
        )
        for each in ordered[:MOST_IN_STATUS]
    )
    found: list[dict[str, Any]] = msgspec.to_builtins(list(stored))
    return found


def from_status(status: dict[str, Any]) -> list[Incident]:
    """Return the incidents in a status; those that cannot be read (of another version) are left out."""
    listed = status.get("incidents")
    found = (_restored(entry) for entry in listed) if isinstance(listed, list) else ()
    return [incident for incident in found if incident is not None]


def _restored(entry: Any) -> Incident | None:
    try:
        stored = convert(entry, Stored)
        return Incident(
            id=stored.id,
            scope=stored.scope,
            stage=stored.stage,
            reason=Reason(stored.reason),
            evidence=stored.evidence,
            opened_at=datetime.fromisoformat(stored.opened_at).timestamp(),
            nodes=frozenset(stored.nodes),
            provision=stored.provision,
            canaries=frozenset(stored.canaries),
            zone=stored.zone,
            targets=stored.targets,
            closed_at=datetime.fromisoformat(stored.closed_at).timestamp() if stored.closed_at else None,
            closed_because=stored.closed_because,
            closed_message=stored.closed_message,
            storage_class=stored.storage_class,
            restored=True,
        )
    except (Unreadable, ValueError):
        return None
