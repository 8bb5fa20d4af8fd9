"""Incidents of the control plane: one for the whole cluster, in the status of each affected PieProbe."""

from collections.abc import Iterable
from dataclasses import replace

from pie.core.incidents.incident import Incident
from pie.core.reasons import Area


def is_shared(incident: Incident) -> bool:
    """Tell whether an incident is one of the whole cluster, not of one PieProbe."""
    return incident.area is Area.CONTROL_PLANE


def joined(opened: Incident, others: Iterable[Incident]) -> Incident:
    """Return an incident that just opened, with the id of the same incident in another PieProbe, if any."""
    open_now = [each for each in others if is_shared(each) and each.closed_at is None]
    if not is_shared(opened) or not open_now:
        return opened
    first = min(open_now, key=lambda each: (each.opened_at, each.id))
    return replace(opened, id=first.id, opened_at=min(first.opened_at, opened.opened_at))


def is_open_in(incident: Incident, others: Iterable[Incident]) -> bool:
    """Tell whether the same incident is open in another PieProbe."""
    return any(each.id == incident.id and each.closed_at is None for each in others)


def merged(parts: Iterable[Incident]) -> Incident:
    """Return one incident from those of all PieProbes: as wide as the widest, and open while one is open."""
    known = sorted(parts, key=lambda each: (each.closed_at is not None, each.opened_at, each.id))
    first, open_now = known[0], [each for each in known if each.closed_at is None]
    widest = max(known, key=lambda each: each.scope.width)
    return replace(
        first,
        scope=widest.scope,
        zone=widest.zone,
        opened_at=min(each.opened_at for each in known),
        nodes=frozenset().union(*(each.nodes for each in known)),
        provision=any(each.provision for each in known),
        canaries=frozenset().union(*(each.canaries for each in known)),
        targets=sum(each.targets for each in open_now or known),
        closed_at=None if open_now else max(each.closed_at or 0.0 for each in known),
    )
