"""Incidents in words, for whoever is woken by one."""

from pie.core.incidents.fold import Closing, Incident, Scope
from pie.core.model import Stage
from pie.core.reasons import ADVICE, MEANING, Reason
from pie.core.wire import rfc3339

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
