"""From bad targets to incidents: one incident for each fault, while a target is bad because of it.

Runs that could not test the storage open incidents by the same rules, one for each area. So does a control
plane that is late.

The function is pure: open incidents and what is bad now go in, the new incidents come out. So the order in
which targets failed or recovered does not matter, nor what happened between two calls.
"""

import hashlib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pie.core.incidents.incident import EVERY_NODE, Finding, Incident, Scope, View
from pie.core.kinds import is_canary
from pie.core.model import Stage
from pie.core.reasons import Area, Reason

# An incident opens if at least SEVERAL targets failed, and if they are at least TOGETHER_PART of all targets
# that had a verdict since the first of them failed. Of thousands of targets, some fail at any time. Otherwise
# one target must fail BAD_RUNS_IN_A_ROW times.
SEVERAL = 3
TOGETHER_PART = 0.2
BAD_RUNS_IN_A_ROW = 2

# These reasons say only that something is late. Another target with the same fault may have a better reason.
_VAGUE = frozenset(
    {
        Reason.NOT_STARTED,
        Reason.NOT_SCHEDULED,
        Reason.STARTED_LATE,
        Reason.SCHEDULE_SLOW,
        Reason.PROVISION_SLOW,
        Reason.ATTACH_SLOW,
        Reason.MOUNT_SLOW,
        Reason.START_SLOW,
    }
)


@dataclass(frozen=True, slots=True)
class _Group:
    """The findings of one fault. `explained` are volumes that were left behind because of it."""

    findings: tuple[Finding, ...]
    explained: tuple[Finding, ...] = ()

    @property
    def mounts(self) -> list[Finding]:
        return [each for each in self.findings if each.target.node]

    @property
    def nodes(self) -> frozenset[str]:
        return frozenset(each.target.node for each in self.mounts)

    @property
    def provision(self) -> bool:
        return any(not each.target.node and not is_canary(each.target) for each in self.findings)

    @property
    def canaries(self) -> frozenset[str]:
        return frozenset(each.target.kind for each in self.findings if is_canary(each.target))

    @property
    def leading(self) -> Finding:
        """The finding whose stage, reason and evidence the incident gets: the most frequent specific one.

        Findings about nodes come first.
        """
        found = self.mounts or list(self.findings)
        counts = Counter((each.stage, each.reason) for each in found)
        return min(
            found,
            key=lambda each: (
                each.reason in _VAGUE,
                -counts[each.stage, each.reason],
                each.stage,
                each.reason,
                each.target,
            ),
        )

    @property
    def first_bad(self) -> float:
        return min(each.first_bad for each in self.findings)

    def opens(self, view: View) -> bool:
        """Tell whether the group is an incident, if there is none yet."""
        if any(each.bad_runs >= BAD_RUNS_IN_A_ROW or each.certain for each in self.findings):
            return True
        if self.leading.stage is Stage.TEARDOWN:
            return False  # The driver gets time to delete volumes, however many there are.
        if 1 < len(self.nodes) == len(view.zones):
            return True
        return self._together(view)

    def _together(self, view: View) -> bool:
        """Tell whether many of the targets that had a verdict since some moment went bad.

        If all bad nodes are in one zone, only the nodes of this zone count.
        """
        zone, went_bad = _one_zone(self.nodes, view), sorted(each.first_bad for each in self.mounts)
        well = sorted(
            due
            for target, due in view.well.items()
            if target.node and (not zone or view.zones.get(target.node) == zone)
        )
        for place, since in enumerate(went_bad[: 1 - SEVERAL]):
            bad, good = len(went_bad) - place, len(well) - bisect_left(well, since)
            if bad >= TOGETHER_PART * (bad + good):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Fold:
    """The incidents that are open now, and those that just closed; a merged one is in neither list."""

    open: tuple[Incident, ...]
    opened: tuple[Incident, ...] = field(default=())
    closed: tuple[Incident, ...] = field(default=())


def fold(known: Iterable[Incident], view: View, now: float) -> Fold:
    """Return the incidents as they are now; `known` are those that were open before."""
    before = sorted(known, key=lambda incident: (incident.opened_at, incident.id))
    groups = _groups(view)
    owners: dict[int, list[Incident]] = defaultdict(list)
    kept: list[Incident] = []
    closed: list[Incident] = []
    for incident in before:
        best = max(range(len(groups)), key=lambda i: (_kinship(incident, groups[i]), -i), default=None)
        if best is not None and any(_kinship(incident, groups[best])):
            owners[best].append(incident)
        elif _unheard(incident, view):
            kept.append(incident)
        else:
            closed.append(replace(incident, closed_at=now, restored=False))
    opened = []
    for number, group in enumerate(groups):
        if owners[number]:
            kept.append(_updated(owners[number], group, view))
        elif group.opens(view):
            opened.append(_opened(group, view, now))
    return Fold((*kept, *opened), tuple(opened), tuple(closed))


def where_leaks_are_explained(view: View) -> frozenset[str]:
    """Return the nodes with a fault that also prevents the deletion of volumes; EVERY_NODE: all nodes.

    A driver that cannot create, attach or mount volumes often cannot unmount, detach or delete them either.
    That is one fault.
    """
    nodes = frozenset(each.target.node for each in view.findings if _may_leave_volumes(each))
    return nodes | {EVERY_NODE} if _wide(len(nodes), view) else nodes


def _may_leave_volumes(finding: Finding) -> bool:
    return finding.stage not in {Stage.IO, Stage.TEARDOWN} and finding.area is not Area.PIE


def _groups(view: View) -> list[_Group]:
    """Return the bad targets by fault, the widest first; a fault explains volumes that are left behind."""
    groups = _by_fault(view)
    where = where_leaks_are_explained(view)
    causes = [group for group in groups if _may_leave_volumes(group.leading)]
    if not where or not causes:
        return groups
    found: list[_Group] = []
    explained: list[Finding] = []
    for group in groups:
        here = [] if group.leading.stage is not Stage.TEARDOWN else [*group.findings]
        explained += [each for each in here if not where.isdisjoint({EVERY_NODE, each.node})]
        left = tuple(each for each in group.findings if each not in explained)
        found += [replace(group, findings=left)] if left else []
    place = found.index(causes[0])
    return [*found[:place], replace(causes[0], explained=tuple(explained)), *found[place + 1 :]]


def _by_fault(view: View) -> list[_Group]:
    by_fault: dict[tuple[str, ...], list[Finding]] = defaultdict(list)
    alone: list[Finding] = []
    in_io = sum(each.stage is Stage.IO and bool(each.target.node) for each in view.findings)
    wide_io = _wide(in_io, view)
    for finding in sorted(view.findings, key=lambda each: (each.target, each.stage, each.area)):
        if finding.area is not Area.STORAGE:
            by_fault[finding.area,].append(finding)
        elif not finding.target.node and finding.stage is not Stage.TEARDOWN:
            alone.append(finding)
        elif finding.stage is Stage.TEARDOWN or (finding.stage is Stage.IO and not wide_io):
            # Before the start, one stage is one fault. In I/O, nodes may have different faults.
            by_fault[finding.stage, finding.reason].append(finding)
        else:
            by_fault[finding.stage,].append(finding)
    ordered = sorted(by_fault.values(), key=lambda found: (-len(found), found[0].stage, found[0].target))
    groups = [_Group(tuple(found)) for found in ordered]
    for finding in alone:
        _join(groups, finding, view)
    return groups


def _join(groups: list[_Group], finding: Finding, view: View) -> None:
    """Add the finding of a provision target to the group that explains it, or make a group of it."""
    for number, group in enumerate(groups):
        leading = group.leading
        if leading.stage is Stage.TEARDOWN or leading.area is not Area.STORAGE:
            continue
        same = leading.stage is finding.stage
        if same or finding.node in group.nodes or _wide(len(group.nodes), view):
            groups[number] = _Group((*group.findings, finding))
            return
    groups.append(_Group((finding,)))


def _wide(nodes: int, view: View) -> bool:
    return nodes > 1 and 2 * nodes >= len(view.zones)


def _kinship(incident: Incident, group: _Group) -> tuple[bool, bool, int, bool]:
    """Return how much an incident and a group are the same fault; nothing is true: they are not."""
    stage = group.leading.stage
    if incident.stage is Stage.TEARDOWN and group.explained:
        return (False, False, len(group.explained), False)
    left = incident.stage is Stage.TEARDOWN, stage is Stage.TEARDOWN
    if left[0] != left[1] or incident.area is not group.leading.area:
        return (False, False, 0, False)
    if incident.area is not Area.STORAGE:
        return (True, True, 0, True)  # One for each area.
    shared = len(incident.nodes & group.nodes) + (incident.provision and group.provision)
    shared += len(incident.canaries & group.canaries)
    same_stage = incident.stage is stage
    same_fault = same_stage and (incident.reason is group.leading.reason or stage is not Stage.IO)
    return (same_fault, same_stage and shared > 0, shared, same_fault)


def _unheard(incident: Incident, view: View) -> bool:
    """Tell whether a target that an incident may concern has no verdict yet.

    If the incident is restored, this may be a target on which it was not seen before.
    """
    if incident.stage is Stage.TEARDOWN:
        return incident.restored and not view.settled
    anybody = incident.restored and incident.scope is not Scope.NODE
    # A run that could not test the storage does say why it could not.
    said = {each.target for each in view.findings if each.blind} if incident.blind else set()
    return any(anybody or incident.concerns(target) for target in view.unheard - said)


def _opened(group: _Group, view: View, now: float) -> Incident:
    leading = group.leading
    scope, zone = _scope(group, view)
    where = leading.target.namespace
    key = f"{where}/{leading.target}\0{leading.stage}\0{leading.reason}\0{now:.3f}"
    return Incident(
        id=hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()[:12],
        scope=scope,
        zone=zone,
        stage=leading.stage,
        reason=leading.reason,
        evidence=leading.evidence,
        opened_at=group.first_bad,
        nodes=group.nodes,
        provision=group.provision,
        canaries=group.canaries,
        targets=len(group.nodes) + group.provision + len(group.canaries),
        storage_class=leading.target.storage_class,
    )


def _updated(owners: list[Incident], group: _Group, view: View) -> Incident:
    """Return the oldest of several incidents that are one fault, as it is now."""
    oldest, leading = owners[0], group.leading
    if oldest.restored and _unheard(oldest, view):
        return oldest  # Other targets have no verdict yet.
    nodes = frozenset().union(group.nodes, *(each.nodes for each in owners))
    provision = group.provision or any(each.provision for each in owners)
    canaries = group.canaries.union(*(each.canaries for each in owners))
    scope, zone = _scope(group, view)
    for owner in owners:
        scope, zone = _wider((scope, zone), (owner.scope, owner.zone))
    # The first evidence stays: it would change with each run, and say nothing new. A specific reason is not
    # replaced by a vague one: a volume that is attached at last has to be mounted next, and is late there.
    same = (oldest.stage, oldest.reason) == (leading.stage, leading.reason)
    same = same and not leading.evidence.startswith(f"{oldest.evidence}; ")  # It says more.
    vaguer = leading.reason in _VAGUE and oldest.reason not in _VAGUE
    named: Incident | Finding = oldest if same or vaguer else leading
    return replace(
        oldest,
        scope=scope,
        zone=zone,
        stage=named.stage,
        reason=named.reason,
        evidence=named.evidence,
        nodes=nodes,
        provision=provision,
        canaries=canaries,
        targets=max(len(nodes) + provision + len(canaries), *(each.targets for each in owners)),
        restored=False,
        storage_class=leading.target.storage_class,
    )


def _scope(group: _Group, view: View) -> tuple[Scope, str]:
    bad, every = group.nodes, len(view.zones)
    if not bad:
        return Scope.CLASS, ""
    if _wide(len(bad), view) or (group.provision and len(bad) >= every):
        zone = _one_zone(bad, view)
        whole = zone and len(bad) > 1 and any(other != zone for other in view.zones.values())
        return (Scope.ZONE, zone) if whole else (Scope.CLASS, "")
    zone = _one_zone(bad, view)
    in_zone = sum(other == zone for other in view.zones.values())
    if zone and len(bad) > 1 and 2 * len(bad) >= in_zone:
        return Scope.ZONE, zone
    return Scope.NODE, ""


def _one_zone(nodes: frozenset[str], view: View) -> str:
    """Return the zone of all these nodes; empty: they are not all in one zone."""
    zones = {view.zones.get(node, "") for node in nodes}
    return zones.pop() if len(zones) == 1 else ""


def _wider(one: tuple[Scope, str], other: tuple[Scope, str]) -> tuple[Scope, str]:
    """Return the wider of two scopes: an incident never gets narrower. Two zones are a class."""
    if one[0] is other[0] is Scope.ZONE and one[1] != other[1]:
        return Scope.CLASS, ""
    return max(one, other, key=lambda scope: scope[0].width)
