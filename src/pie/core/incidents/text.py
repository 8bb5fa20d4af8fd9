"""Incidents in words, for the engineer who is alerted."""

from pie.core.incidents.incident import Closing, Incident, Scope
from pie.core.model import Stage
from pie.core.reasons import ADVICE, MEANING, Area, Reason
from pie.core.wire import rfc3339

_NAMED_NODES = 3
_FEW_MINUTES = 2
_CLOSED = "closed"

_BROKEN = {
    Stage.QUEUE: "Kubernetes does not start pods in time",
    Stage.SCHEDULE: "pods with volumes are not scheduled",
    Stage.PROVISION: "new volumes are not provisioned",
    Stage.ATTACH: "volumes are not attached",
    Stage.MOUNT: "volumes are not mounted",
    Stage.START: "volumes are mounted, but pods do not start",
    Stage.IO: "I/O fails or is wrong",
    Stage.TEARDOWN: "volumes are not deleted",
}


def headline(incident: Incident) -> str:
    """Return what is broken and where, in one line: `volumes are not mounted on node n1 (MountFailed)`."""
    return f"{broken(incident)} {where(incident)} ({incident.reason})"


def broken(incident: Incident) -> str:
    """Return what is broken: `volumes are not mounted`; where only canaries are bad, with their names."""
    what = "pie cannot test the storage" if incident.blind else _BROKEN[incident.stage]
    named = f"canary {', '.join(sorted(incident.canaries))}: " if incident.only_canaries else ""
    return named + what


def where(incident: Incident) -> str:
    """Return where: `on node n1`, `in zone a (nodes …)`, `in the whole class`."""
    names = sorted(incident.nodes)
    more = max(len(names), incident.on_nodes) - _NAMED_NODES
    listed = ", ".join(names[:_NAMED_NODES]) + (f" and {more} more" if more > 0 else "")
    match incident.scope:
        case Scope.ZONE:
            return f"in zone {incident.zone} (nodes {listed})"
        case Scope.CLASS if incident.area is Area.CONTROL_PLANE:
            return "in the whole cluster"
        case Scope.CLASS:
            return f"in the whole class (nodes {listed})" if names else "in the whole class"
        case Scope.NODE:
            return f"on node {listed}" if len(names) == 1 else f"on nodes {listed}"


def about(incident: Incident, storage_class: str) -> str:
    """Return what an incident is about: a StorageClass, or the cluster."""
    return "The cluster" if incident.area is Area.CONTROL_PLANE else f"StorageClass {storage_class}"


def story(incident: Incident, storage_class: str) -> str:
    """Return the whole story: what, where, since when, what it means, the evidence, and what to do next."""
    evidence = f' Evidence: "{incident.evidence}".' if incident.evidence else ""
    return (
        f"{about(incident, storage_class)}: {headline(incident)}, since {rfc3339(incident.opened_at)}."
        f" Area: {incident.area}. {MEANING[incident.reason]}{evidence} Next: {ADVICE[incident.reason]}"
    )


def ending(incident: Incident, storage_class: str) -> str:
    """Return the text of the Event for an incident that closes."""
    lasted_seconds = max(0.0, (incident.closed_at or incident.opened_at) - incident.opened_at)
    minutes = lasted_seconds / 60
    lasted = f"{minutes:.0f} min" if minutes >= _FEW_MINUTES else f"{lasted_seconds:.0f} s"
    how, more = _how(incident)
    return f"{about(incident, storage_class)}: {how} after {lasted}{more}: {headline(incident)}."


def how_it_ended(incident: Incident) -> str:
    """Return how an incident ended, without when; empty where an earlier version of pie closed it."""
    how, more = _how(incident)
    return more.lstrip(",: ") if how == _CLOSED else f"{how}{more}"


def _how(incident: Incident) -> tuple[str, str]:
    """Return how an incident ended in one word, and the details; no details: they are not known."""
    message = incident.closed_message
    match incident.closed_because:
        case Closing.RECOVERED if incident.stage is Stage.TEARDOWN:
            # A volume on a node that was removed cannot be deleted any more, and is not counted here.
            return _CLOSED, ": no leaked volume is left that can still be deleted"
        case Closing.RECOVERED if incident.reason is Reason.DATA_STALE:
            # The new records have reached the number of the lost ones. The lost data is still lost.
            more = f"; {message}" if message else ""
            return _CLOSED, f": new writes are read back, the lost ones are still lost{more}"
        case Closing.RECOVERED:
            return "recovered", f", but {message}" if message else ""
        case Closing.REPLACED:
            return _CLOSED, f", the volume was mounted again: {message}"
        case Closing.SUPPRESSED:
            return _CLOSED, f", recovery not confirmed: {message}"
        case Closing.GONE:
            return _CLOSED, f": {message or 'its targets no longer exist'}"
        case None:
            return _CLOSED, ""
