"""The step of a PieProbe: a pure function from how its targets are to what is reported of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pie.core.blind import blind
from pie.core.conditions import Condition, stored_conditions
from pie.core.cost.condition import cost_high
from pie.core.cost.load import Demand, demand_of
from pie.core.crd import crd_outdated
from pie.core.deletedruns import runs_deleted
from pie.core.driver import driver_absent
from pie.core.incidents.close import conclude
from pie.core.incidents.cluster import joined
from pie.core.incidents.fold import fold, where_leaks_are_explained
from pie.core.incidents.incident import Finding, Incident, View
from pie.core.incidents.stored import MOST_IN_STATUS, to_status
from pie.core.kinds import KINDS, is_canary, kind_of
from pie.core.maintenance.now import Suppression
from pie.core.maintenance.overdue import Overdue, long_suppressed
from pie.core.model import Probe, RunnerKind, Target, Verdict
from pie.core.pace.budget import Pace, Wanted
from pie.core.pace.condition import over_budget, throttled
from pie.core.pace.parts import EFFECTIVE_PERIOD
from pie.core.pace.throttle import Throttle
from pie.core.permissions import MissingPermission, permission_missing
from pie.core.preflight import ClassWarning, Pause, class_warning, paused_by_user, resident_interval
from pie.core.reasons import Reason
from pie.core.renewal import KeptClaim, class_changed, next_renewal, outdated
from pie.core.resident.beside import mounts_of_the_other_age
from pie.core.status import status
from pie.core.suitable import without_probes
from pie.core.target.state import BadStreak, TargetState
from pie.core.wire import PieProbe, rfc3339

PAUSED_SINCE: Final = "provisionPausedSince"
"""Of a status: since when the provision target is suppressed, if pie starts its runs itself."""

_PERMISSIONS_SECONDS: Final = 600.0
"""While a permission is missing, the PieProbe is looked at so often: some may be granted by then."""


@dataclass(frozen=True, slots=True)
class TargetNow:
    """A target whose runs count, as it is now. `zone` is that of its node.

    `suppressed_since` is known where no node is the target's own. `claim` is the PVC that it keeps.
    """

    target: Target
    state: TargetState
    suppression: Suppression | None = None
    judged_since: float = 0.0
    zone: str = ""
    suppressed_since: float | None = None
    claim: KeptClaim | None = None

    @property
    def lacks_driver(self) -> bool:
        """Whether runs on its node find no driver that ever was there."""
        blind = self.state.blind if self.target.node and self.suppression is None else None
        return blind is not None and blind.reason is Reason.DRIVER_ABSENT

    @property
    def verdict(self) -> tuple[Verdict, Reason]:
        """The last verdict since the target's maintenance, and its reason; while it is suppressed, that."""
        if self.suppression is not None:
            return Verdict.SUPPRESSED, self.suppression.reason
        known = self.state.standing.after(max(self.judged_since, self.state.judged_since))
        return known.verdict, known.reason


@dataclass(frozen=True, slots=True)
class ProbeFacts:
    """What is known of a PieProbe and one of its classes; `gone_since`: the class does not exist since then.

    `known`: its nodes were read, so these are its targets. `problem` is what keeps its spec from being used,
    `refused` why targets lack objects. `left` is what runs left behind, `settled`: all of it is known.
    `matching` counts its nodes; `left_out` are those that match and cannot run probes, and why.
    `attaches`: the driver of its class is known to attach volumes. `sharing`: so many nodes with resident
    probes share its storage.
    `overdue` are the nodes that are suppressed for too long, the next one from `next_overdue_at` on. `losing`
    are the targets that lost runs, each with the time until which it is named.
    `crd_lacks`: fields that the CRD in the cluster does not have. `pace` is how often its targets are probed,
    and `throttle` how much the control plane is spared.
    """

    stored: PieProbe
    known: bool
    probe: Probe | None = None
    problem: tuple[Reason, str] | None = None
    refused: tuple[Reason, str] | None = None
    paused: Mapping[str, Pause] = field(default_factory=dict)
    warnings: tuple[ClassWarning, ...] = ()
    targets: tuple[TargetNow, ...] = ()
    left: tuple[Finding, ...] = ()
    settled: bool = True
    matching: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)
    overdue: tuple[Overdue, ...] = ()
    next_overdue_at: float | None = None
    not_permitted: tuple[MissingPermission, ...] = ()
    attaches: bool = False
    sharing: int = 0
    losing: Mapping[Target, float] = field(default_factory=dict)
    crd_lacks: tuple[str, ...] = ()
    pace: Pace = Pace()  # noqa: RUF009  frozen
    throttle: Throttle = Throttle()  # noqa: RUF009  frozen
    gone_since: float | None = None
    class_hash: str = ""

    @property
    def storage_class(self) -> str:
        """The name of the class; empty: the spec is not known, or has no class."""
        return self.probe.storage_class if self.probe is not None else ""

    @property
    def stopped(self) -> str:
        """Why no run starts: the user paused the PieProbe, or the class is gone; empty: runs start."""
        if self.probe is not None and self.probe.paused:
            return "the PieProbe is paused"
        gone = any(each.reason is Reason.STORAGE_CLASS_NOT_FOUND for each in self.paused.values())
        return f"StorageClass {self.storage_class} does not exist" if gone else ""

    @property
    def demand(self) -> Demand | None:
        """What the class demands of the cluster; kinds of probe that are paused cost nothing."""
        if self.probe is None:
            return None
        without_runs = frozenset(kind for kind, pause in self.paused.items() if pause.stops or not pause.keep)
        return demand_of(self.probe, self.matching, attach=self.attaches, paused=without_runs)


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """What a step gives: all incidents, those that opened and closed now, and when to look again.

    `leaks_explained_on`: the nodes on which something else explains volumes that are left behind.
    """

    incidents: tuple[Incident, ...]
    opened: tuple[Incident, ...] = ()
    closed: tuple[Incident, ...] = ()
    leaks_explained_on: frozenset[str] = frozenset()
    wake_at: float | None = None


def step(
    before: tuple[Incident, ...], facts: ProbeFacts, now: float, others: Sequence[Incident] = ()
) -> ProbeStep:
    """Return the incidents as they are now; while its targets are not known, nothing opens or closes.

    `others` are the incidents of other PieProbes: one of the control plane has the same id in all.
    """
    if not facts.known:
        return ProbeStep(before, wake_at=_wake_at(facts, now))
    view = _view(facts)
    found = fold((each for each in before if each.closed_at is None), view, now)
    opened = tuple(joined(each, others) for each in found.opened)
    open_now = (*found.open[: len(found.open) - len(opened)], *opened)
    closed = tuple(conclude(each, view) for each in found.closed)
    ids = {each.id for each in open_now}
    closed_before = (each for each in before if each.closed_at is not None and each.id not in ids)
    kept = (*open_now, *(*closed, *closed_before)[:MOST_IN_STATUS])
    return ProbeStep(kept, opened, closed, where_leaks_are_explained(view), _wake_at(facts, now))


def status_of(facts: ProbeFacts, incidents: tuple[Incident, ...], now: float) -> dict[str, Any]:
    """Return the status of a PieProbe."""
    # A PieProbe that was set up before continues, unless its spec is invalid.
    whole = facts.probe is None or (facts.problem is not None and facts.problem[0] is Reason.INVALID_SPEC)
    # What is the storage's comes first.
    open_now = sorted((each for each in incidents if each.closed_at is None), key=lambda each: each.blind)
    found = status(
        generation=facts.stored.metadata.generation,
        problem=facts.problem if whole else None,
        refused=facts.problem or facts.refused,
        paused=facts.paused,
        targets=((each.target.kind, each.target.node, *each.verdict) for each in facts.targets),
        stored=facts.stored.status,
        now=rfc3339(now),
        more=_more_conditions(facts, open_now, now),
        incidents=open_now,
        optional=_optional(facts),
    )
    provisions = (
        each for each in facts.targets if not kind_of(each.target).pvc and not is_canary(each.target)
    )
    last = max((each.state.standing.last_ok for each in provisions), default=0.0)
    found |= {"incidents": to_status(incidents)} | ({"lastProvisionTime": rfc3339(last)} if last else {})
    return found | _paused_since(facts) | _effective_period(facts)


def _effective_period(facts: ProbeFacts) -> dict[str, Any]:
    if facts.probe is None:
        return {}
    return {EFFECTIVE_PERIOD: facts.probe.period_seconds * facts.pace.every}


def wanted(facts: Sequence[ProbeFacts]) -> Wanted | None:
    """Return what a PieProbe costs at its own period with all its classes, and its budget.

    None: it is not known yet.
    """
    demands = [each.demand for each in facts if each.demand is not None]
    if facts[0].probe is None or not demands or not all(each.known for each in facts):
        return None
    return Wanted(demands[0], facts[0].probe.budget, tuple(demands[1:]))


def _optional(facts: ProbeFacts) -> dict[str, str]:
    """Return the optional kinds of probe that are switched on, each with what was said last about it."""
    probe, said = facts.probe, {each.target.kind: each.state.standing.message for each in facts.targets}
    if probe is None:
        return {}
    return {name: said.get(name, "") for name, row in KINDS.items() if row.optional and row.enabled(probe)}


def _paused_since(facts: ProbeFacts) -> dict[str, Any]:
    """Return since when a class is suppressed whose runs pie starts itself, for the next leader to read."""
    by_pie = facts.probe is not None and facts.probe.runner is RunnerKind.POD
    if not by_pie and PAUSED_SINCE not in facts.stored.status:
        return {}
    since = (each.suppressed_since for each in facts.targets if each.suppression is not None and by_pie)
    first = min((each for each in since if each is not None), default=None)
    return {PAUSED_SINCE: rfc3339(first) if first is not None else None}


def _view(facts: ProbeFacts) -> View:
    """Return what is bad or cannot be tested now, among the targets that count, and how the others are.

    A target that had no turn yet is `unheard`.
    """
    judged = () if facts.stopped else facts.targets
    heard = {each.target: each.state.heard for each in judged if each.state.bad is None}
    well = {target: due for target, due in heard.items() if due is not None}
    suppressed = {each.target: each.suppression.reason for each in judged if each.suppression}
    counting = [each for each in facts.targets if each.suppression is None and not facts.stopped]
    return View(
        findings=(*_findings(facts), *facts.left),
        zones={each.target.node: each.zone for each in counting if each.target.node},
        unheard=frozenset(each.target for each in counting if each.state.heard is None),
        settled=facts.settled,
        well=well,
        suppressed={target: why for target, why in suppressed.items() if target not in well},
        paused=facts.stopped,
        replaced={
            each.target: each.state.replaced_at
            for each in counting
            if each.state.replaced_at and each.state.bad is None
        },
    )


def _findings(facts: ProbeFacts) -> Iterator[Finding]:
    for each in facts.targets:
        counts = each.suppression is None and not facts.stopped
        # A volume that lost what was written to it has lost it, whatever is done to its node.
        if (bad := each.state.bad) is not None and (counts or bad.certain):
            beside = (other.state for other in facts.targets if other.suppression is None)
            yield _finding(each.target, bad, mounts_of_the_other_age(each.target, bad, beside))
        if (untested := each.state.blind) is not None and counts:
            yield _finding(each.target, untested)


def _finding(target: Target, bad: BadStreak, beside: str = "") -> Finding:
    evidence = f"{bad.evidence}; {beside}" if beside else bad.evidence
    return Finding(target, bad.stage, bad.reason, evidence, bad.node, bad.first_bad, bad.bad_runs)


def _more_conditions(facts: ProbeFacts, incidents: Sequence[Incident], now: float) -> Iterator[Condition]:
    if facts.probe is not None:
        yield paused_by_user(facts.probe)
        yield blind(incidents)
        yield long_suppressed(facts.overdue, facts.probe.suppression.max_duration_seconds)
        yield driver_absent(each.target.node for each in facts.targets if each.lacks_driver)
        yield without_probes(facts.left_out, facts.matching)
        yield runs_deleted(target for target, until in facts.losing.items() if until > now)
        changed = class_changed(facts.storage_class, _claims(facts), facts.class_hash)
        late = resident_interval(facts.probe, facts.sharing)
        yield class_warning((*changed, *late, *(() if _disproved(facts) else facts.warnings)))
        yield over_budget(facts.probe, facts.pace)
        yield throttled(facts.probe, facts.pace, facts.throttle)
    if facts.demand is not None:
        yield cost_high([facts.demand])
    yield permission_missing(facts.not_permitted)
    yield crd_outdated(facts.crd_lacks)


def _claims(facts: ProbeFacts) -> list[KeptClaim | None]:
    return [each.claim for each in facts.targets if kind_of(each.target).pvc]


def renewal(facts: Sequence[ProbeFacts]) -> tuple[tuple[Target, str] | None, bool]:
    """Return the target whose PVC (by uid) is to be replaced now, and whether any is to be replaced."""
    for each in facts:
        if each.stopped or not each.known or not outdated(claims := _claims(each), each.class_hash):
            continue
        found = next_renewal(claims, each.class_hash)
        owner = next((now.target for now in each.targets if found is not None and now.claim == found), None)
        return ((owner, found.uid) if owner is not None and found is not None else None), True
    return None, False


def _disproved(facts: ProbeFacts) -> bool:
    """Tell whether a good run showed that warnings about the class are wrong, now or before a restart."""
    if any(each.state.standing.last_ok for each in facts.targets):
        return True
    if any(each.state.bad is not None for each in facts.targets):
        return False
    healthy = {kind.condition for kind in KINDS.values()}
    stored = stored_conditions(facts.stored.status)
    return any(each.get("type") in healthy and each.get("status") == "True" for each in stored)


def _wake_at(facts: ProbeFacts, now: float) -> float | None:
    """Return when time alone changes a condition."""
    moments = [*(until for until in facts.losing.values() if until > now), facts.next_overdue_at]
    moments += [now + _PERMISSIONS_SECONDS] if facts.not_permitted else []
    return min((at for at in moments if at is not None), default=None)
