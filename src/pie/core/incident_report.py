"""Incidents as they stand in a PieProbe's status, and in words for whoever is woken by one."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from pie.core.incidents import Closing, Incident, Scope
from pie.core.model import Stage
from pie.core.objects import rfc3339
from pie.core.reasons import ADVICE, MEANING, Reason

MOST_IN_STATUS = 20
_MOST_NODES = 10
_NAMED_NODES = 3
_FEW_MINUTES = 2

_BROKEN = {
    Stage.QUEUE: "Kubernetes does not start pods in time",
    Stage.SCHEDULE: "pods with volumes are not scheduled",
    Stage.PROVISION: "new volumes are not provisioned",
    Stage.ATTACH: "volumes are not attached",
    Stage.MOUNT: "volumes are not mounted",
    Stage.START: "volumes are mounted, but pods do not start",
    Stage.IO: "I/O fails or is wrong",
    Stage.TEARDOWN: "volumes are not taken down",
}


class Stored(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An incident in the status. Times are RFC 3339; see the CRD for the meaning of each field."""

    id: str
    scope: Scope
    stage: Stage
    reason: str
    opened_at: str
    nodes: tuple[str, ...] = ()
    zone: str = ""
    evidence: str = ""
    targets: int = 0
    provision: bool = False
    closed_at: str | None = None
    closed_because: Closing | None = None
    closed_message: str = ""


def to_status(incidents: Iterable[Incident]) -> list[dict[str, Any]]:
    """Return incidents for the status: the open ones first, then newest first, at most 20."""
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
            nodes=tuple(sorted(each.nodes)[:_MOST_NODES]),
            zone=each.zone,
            evidence=each.evidence,
            targets=each.targets,
            provision=each.provision,
            closed_at=rfc3339(each.closed_at) if each.closed_at is not None else None,
            closed_because=each.closed_because,
            closed_message=each.closed_message,
        )
        for each in ordered[:MOST_IN_STATUS]
    )
    found: list[dict[str, Any]] = msgspec.to_builtins(list(stored))
    return found


def from_status(status: dict[str, Any]) -> list[Incident]:
    """Return the incidents that a status tells of; what cannot be read (another version's) is left out."""
    listed = status.get("incidents")
    found = (_restored(entry) for entry in listed) if isinstance(listed, list) else ()
    return [incident for incident in found if incident is not None]


def _restored(entry: Any) -> Incident | None:
    try:
        stored = msgspec.convert(entry, Stored)
        return Incident(
            id=stored.id,
            scope=stored.scope,
            stage=stored.stage,
            reason=Reason(stored.reason),
            evidence=stored.evidence,
            opened_at=datetime.fromisoformat(stored.opened_at).timestamp(),
            nodes=frozenset(stored.nodes),
            provision=stored.provision,
            zone=stored.zone,
            targets=stored.targets,
            closed_at=datetime.fromisoformat(stored.closed_at).timestamp() if stored.closed_at else None,
            closed_because=stored.closed_because,
            closed_message=stored.closed_message,
            restored=True,
        )
    except (msgspec.ValidationError, ValueError):
        return None


def headline(incident: Incident) -> str:
    """Return what is broken and where, in one line: `volumes are not mounted on node n1 (MountFailed)`."""
    return f"{broken(incident)} {where(incident)} ({incident.reason})"


def broken(incident: Incident) -> str:
    """Return what is broken: `volumes are not mounted`."""
    return _BROKEN[incident.stage]


def where(incident: Incident) -> str:
    """Return where: `on node n1`, `in zone a (nodes …)`, `in the whole class`."""
    names = sorted(incident.nodes)
    more = max(len(names), incident.targets - incident.provision) - _NAMED_NODES
    listed = ", ".join(names[:_NAMED_NODES]) + (f" and {more} more" if more > 0 else "")
    match incident.scope:
        case Scope.ZONE:
            return f"in zone {incident.zone} (nodes {listed})"
        case Scope.CLASS:
            return f"in the whole class (nodes {listed})" if names else "in the whole class"
        case Scope.NODE:
            return f"on node {listed}" if len(names) == 1 else f"on nodes {listed}"


def story(incident: Incident, storage_class: str) -> str:
    """Return all there is to say: what, where, since when, what it means, the evidence, what to look at."""
    evidence = f' Evidence: "{incident.evidence}".' if incident.evidence else ""
    return (
        f"StorageClass {storage_class}: {headline(incident)}, since {rfc3339(incident.opened_at)}."
        f" {MEANING[incident.reason]}{evidence} Next: {ADVICE[incident.reason]}"
    )


def ending(incident: Incident, storage_class: str) -> str:
    """Return what there is to say when an incident closes."""
    lasted_seconds = max(0.0, (incident.closed_at or incident.opened_at) - incident.opened_at)
    minutes = lasted_seconds / 60
    lasted = f"{minutes:.0f} min" if minutes >= _FEW_MINUTES else f"{lasted_seconds:.0f} s"
    how, more = _how(incident)
    return f"StorageClass {storage_class}: {how or 'over'} after {lasted}{more}: {headline(incident)}."


def how_it_ended(incident: Incident) -> str:
    """Return how an incident ended, without when; empty where an earlier version of pie closed it."""
    how, more = _how(incident)
    return f"{how}{more}".removeprefix("over: ")


def _how(incident: Incident) -> tuple[str, str]:
    """Return in a word how an incident ended, and what there is to add; empty: nobody knows."""
    message = incident.closed_message
    match incident.closed_because:
        case Closing.RECOVERED if incident.stage is Stage.TEARDOWN:
            # What lay on a node that is gone cannot be taken away any more, and is not counted here.
            return "over", ": nothing is left that somebody could take away"
        case Closing.RECOVERED if incident.reason is Reason.DATA_STALE:
            # The records have caught up with those that were lost, no more.
            more = f"; {message}" if message else ""
            return "over", f": new writes are found again, the lost ones are not back{more}"
        case Closing.RECOVERED:
            return "recovered", f", but {message}" if message else ""
        case Closing.SUPPRESSED:
            return "no longer judged", f": {message}"
        case Closing.GONE:
            return "over", ": its targets are gone"
        case None:
            return "", ""
