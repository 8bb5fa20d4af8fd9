"""Is everything fine? The answer in one word and one sentence, and incidents as a person reads them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pie.core.apitypes import Counts, IncidentView, ProbeView, State
from pie.core.incidents.cluster import is_shared, merged
from pie.core.incidents.incident import Incident
from pie.core.incidents.text import about, broken, how_it_ended, where
from pie.core.reasons import ADVICE, MEANING

_MOST_NODES = 10
_LIST_MOST = 3


def state_of(targets: Counts, incidents: Sequence[Incident], *, probed: bool) -> State:
    """Return the state of a PieProbe; `incidents` are the open ones, `probed`: nothing prevents its runs."""
    if any(not each.blind for each in incidents):
        return "bad"
    bad = targets.late or targets.failed or targets.hung
    if incidents or bad or targets.inconclusive or targets.unknown or not probed:
        return "warning"
    return "fine" if targets.ok else "unknown"


def worst(states: Sequence[State]) -> State:
    """Return the worst of several states; an unknown one counts only if no other is known."""
    order: tuple[State, ...] = ("bad", "warning", "fine", "unknown")
    return next((state for state in order if state in states), "unknown")


def summary(probes: Sequence[ProbeView], open_incidents: Sequence[IncidentView], namespace: str) -> str:
    """Say in one sentence whether everything is fine."""
    if not probes:
        where = f"the namespace {namespace}" if namespace else "any namespace"
        return f"There is no PieProbe in {where} yet, so nothing is probed."
    if open_incidents:
        others = len(open_incidents) - 1
        more = f" And {others} more incident{'s' if others > 1 else ''}." if others else ""
        return open_incidents[0].words + more
    state = worst([probe.state for probe in probes])
    total = sum(probe.targets.total for probe in probes)
    if state == "warning":
        bad = sum(probe.targets.late + probe.targets.failed + probe.targets.hung for probe in probes)
        if bad:
            again = "it fails" if bad == 1 else "they fail"
            return f"{bad} of {total} targets failed once; an incident opens if {again} again."
        silent = [f"{probe.name} ({probe.summary})" for probe in probes if probe.state == "warning"]
        return f"Not everything is probed: {', '.join(silent[:_LIST_MOST])}."
    suppressed = sum(probe.targets.suppressed for probe in probes)
    if state == "unknown" and suppressed == total > 0:
        return "Not probed: all matching nodes are under maintenance."
    if state == "unknown":
        return "There is no result yet: no run has ended since this controller became the leader."
    are = "is" if suppressed == 1 else "are"
    aside = f" {suppressed} {are} suppressed because of maintenance." if suppressed else ""
    waiting = sum(probe.targets.pending for probe in probes)
    aside += f" {waiting} {'has' if waiting == 1 else 'have'} no result yet." if waiting else ""
    classes, well = (
        len({name for probe in probes for name in probe.storage_class.split(", ")}),
        total - suppressed - waiting,
    )
    works = "1 target" if well == 1 else f"{well} targets"
    of = "1 StorageClass" if classes == 1 else f"{classes} StorageClasses"
    return f"Everything is fine: {works} of {of} work{'s' if well == 1 else ''}.{aside}"


def incident_views(found: Iterable[tuple[Incident, str, str]]) -> tuple[IncidentView, ...]:
    """Return incidents in words, each once: open ones first, then the newest.

    `found` has each incident of each PieProbe with the names of the PieProbe and of its StorageClass. One of
    the control plane is the same in several PieProbes.
    """
    alike: defaultdict[tuple[str, str], list[tuple[Incident, str, str]]] = defaultdict(list)
    for incident, probe, storage_class in found:
        alike[incident.id, "" if is_shared(incident) else probe].append((incident, probe, storage_class))
    views = (
        _view(merged(each for each, _, _ in parts), *parts[0][1:]) if len(parts) > 1 else _view(*parts[0])
        for parts in alike.values()
    )
    return tuple(
        sorted(views, key=lambda each: (each.closed is not None, -(each.closed or each.opened), each.id))
    )


def _view(incident: Incident, probe: str, storage_class: str) -> IncidentView:
    return IncidentView(
        id=incident.id,
        probe=probe,
        storage_class=storage_class,
        scope=incident.scope.value,
        where=where(incident),
        zone=incident.zone,
        nodes=tuple(sorted(incident.nodes)[:_MOST_NODES]),
        targets=incident.targets,
        stage=incident.stage,
        reason=incident.reason.value,
        area=incident.area.value,
        words=f"{about(incident, storage_class)}: {broken(incident)} {where(incident)}.",
        meaning=MEANING[incident.reason],
        evidence=incident.evidence,
        next=ADVICE[incident.reason],
        opened=incident.opened_at,
        closed=incident.closed_at,
        provision=incident.provision,
        canaries=tuple(sorted(incident.canaries)),
        ending=how_it_ended(incident) if incident.closed_at is not None else "",
    )
