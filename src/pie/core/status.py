"""The status of a PieProbe: conditions, and targets by verdict."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pie.core.conditions import Condition, explained, status_condition, stored_conditions
from pie.core.incidents.incident import Incident
from pie.core.incidents.text import headline
from pie.core.kinds import KINDS
from pie.core.kinds.row import Row
from pie.core.model import BAD, Stage, Verdict
from pie.core.preflight import Pause
from pie.core.reasons import Reason
from pie.core.text import few, one_line

# While these suppress a node, runs go on, and the first good run ends them.
_GRACES = frozenset({Reason.NODE_NEW, Reason.NODE_REBOOTED})
_OF_SOME_TARGETS = frozenset({Reason.CLAIM_REFUSED, Reason.POD_REFUSED, Reason.NAME_TAKEN})
_NOT_ASKED = frozenset({Reason.DISABLED, Reason.NOT_OFFERED})
_UNTESTED = frozenset({Verdict.INCONCLUSIVE, Verdict.UNKNOWN})
NO_CANARIES: Final[Mapping[str, str]] = MappingProxyType({})
_LONGEST_SUMMARY = 512
_LONGEST_MESSAGE = 4096


def status(
    *,
    generation: int,
    problem: tuple[Reason, str] | None,
    paused: Mapping[str, Pause],
    targets: Iterable[tuple[str, str, Verdict, Reason]],
    stored: Mapping[str, Any],
    now: str,
    refused: tuple[Reason, str] | None = None,
    more: Iterable[Condition] = (),
    incidents: Sequence[Incident] = (),
    optional: Mapping[str, str] = NO_CANARIES,
) -> dict[str, Any]:
    """Return the status to write.

    `problem` is what keeps the whole PieProbe from working, `refused` what keeps some targets from it.
    `targets` have kind, node, last verdict and its reason. `stored` is the status so far: a condition whose
    status does not change keeps its transition time; the others get `now`, an RFC 3339 time. `more` are
    further conditions, `incidents` the open ones. `optional` are the kinds of probe that are switched on and
    that not each PieProbe has, each with what was said last about it.
    Right after a restart no target has a verdict yet: then the conditions of the stored status stay, if they
    are about the same generation of the spec. A condition stays "False" while an incident is open.
    """
    known = tuple(targets)
    # What the class does not offer is paused, and no target that could be good or bad.
    offered = tuple(each for each in known if each[3] is not Reason.NOT_OFFERED)
    counts = Counter(verdict for _, _, verdict, _ in offered)
    old = _by_type(stored)
    healthy = []
    for kind in (each for each in KINDS.values() if not each.optional or each.name in optional):
        fresh = _healthy(kind, problem, paused.get(kind.name), [t for t in known if t[0] == kind.name])
        if fresh["reason"] == Reason.NOT_OFFERED:
            said = f"canary {kind.name} is paused: {optional[kind.name]}"
            fresh["message"] = explained(said, Reason.NOT_OFFERED)
        before = old.get(fresh["type"], {})
        same_spec = before.get("observedGeneration") == generation
        healthy.append(_latest(fresh, before if same_spec else {}, _open(kind, incidents)))
    conditions = [_ready(problem or refused, paused), *healthy, *more]
    set_times(conditions, old, generation, now)
    return {
        "observedGeneration": generation,
        "conditions": conditions,
        "summary": summary(
            conditions, counts, incidents, _all_suppressed(offered), str(stored.get("summary", ""))
        ),
        "targets": {
            "total": len(offered),
            "bad": sum(counts[verdict] for verdict in BAD),  # for the printer column, which cannot add
            **{verdict.value: counts[verdict] for verdict in Verdict},
        },
    }


def not_started(
    stored: Mapping[str, Any], generation: int, problem: tuple[Reason, str], now: str
) -> dict[str, Any]:
    """Return the fields of a status that change while pie cannot start; `problem` is why.

    What was bad stays bad. What was good becomes unknown.
    """
    old = _by_type(stored)
    names = [kind.condition for kind in KINDS.values() if not kind.optional or kind.condition in old]
    not_bad = [name for name in names if old.get(name, {}).get("status") != "False"]
    unknown = [status_condition(name, "Unknown", *problem) for name in not_bad]
    fresh = [status_condition("Ready", "False", *problem), *unknown]
    replaced = {condition["type"] for condition in fresh}
    set_times(fresh, old, generation, now)
    return {
        "conditions": fresh + [dict(condition) for name, condition in old.items() if name not in replaced],
        "summary": _line(f"not probed: {problem[0]}"),
    }


def _by_type(stored: Mapping[str, Any]) -> dict[str, Condition]:
    return {str(each.get("type")): each for each in stored_conditions(stored)}


def set_times(
    conditions: Iterable[Condition], old: Mapping[Any, Condition], generation: int, now: str
) -> None:
    """Limit the message of conditions, and set since when they have their status."""
    for condition in conditions:
        before = old.get(condition["type"], {})
        same = before.get("status") == condition["status"]
        condition["message"] = one_line(condition["message"], _LONGEST_MESSAGE)
        condition["lastTransitionTime"] = before.get("lastTransitionTime", now) if same else now
        condition["observedGeneration"] = generation


def summary(
    conditions: Sequence[Condition],
    counts: Mapping[Verdict, int],
    incidents: Sequence[Incident],
    suppressed: str = "",
    before: str = "",
) -> str:
    """Say in one line whether the storage is fine: for the printer column of `kubectl get`.

    `suppressed` says why no target counts now, if so; `before` is the summary so far.
    """
    if incidents:
        others = len(incidents) - 1
        more = f"; {others} more incident{'s' if others > 1 else ''}" if others else ""
        return _line(headline(incidents[0]) + more)
    by_type = {condition["type"]: condition for condition in conditions}
    if bad := sum(counts[verdict] for verdict in BAD):
        who, again = ("target", "it fails") if bad == 1 else ("targets", "they fail")
        return f"{bad} {who} failed once; an incident opens if {again} again"
    if by_type["Ready"]["status"] != "True":
        reason = by_type["Ready"]["reason"]
        return _line(f"{'some targets are ' if reason in _OF_SOME_TARGETS else ''}not probed: {reason}")
    if suppressed:
        return suppressed
    if untested := _untested(counts):
        return untested
    asked = [each for each in _healths(conditions) if each["reason"] not in _NOT_ASKED]
    if all(condition["status"] == "True" for condition in asked):
        return "fine"
    if before and any(condition["status"] == "False" for condition in asked):
        return before  # The conditions of the stored status stay, so its summary does too.
    return "no result yet"


def _untested(counts: Mapping[Verdict, int]) -> str:
    """Return how many targets are unknown, or else could not be tested; empty: no target is."""
    if unknown := counts[Verdict.UNKNOWN]:
        return f"{unknown} {'target has' if unknown == 1 else 'targets have'} had no good run for 3 periods"
    if untested := counts[Verdict.INCONCLUSIVE]:
        return f"{untested} {'target' if untested == 1 else 'targets'} could not be tested in the last run"
    return ""


def _healths(conditions: Iterable[Condition]) -> list[Condition]:
    """Return those of the conditions that are about a kind of probe."""
    types = {kind.condition for kind in KINDS.values()}
    return [each for each in conditions if each["type"] in types]


def _line(text: str) -> str:
    return one_line(text, _LONGEST_SUMMARY)


def _ready(problem: tuple[Reason, str] | None, paused: Mapping[str, Pause]) -> Condition:
    if problem is not None:
        return status_condition("Ready", "False", *problem)
    waiting = [pause for pause in paused.values() if pause.reason is not Reason.DISABLED]
    waiting.sort(key=lambda pause: not pause.stops)
    if waiting:
        return status_condition("Ready", "False", waiting[0].reason, waiting[0].message)
    return status_condition("Ready", "True", Reason.OK, "all probes are set up")


def _healthy(
    kind: Row,
    problem: tuple[Reason, str] | None,
    pause: Pause | None,
    targets: list[tuple[str, str, Verdict, Reason]],
) -> Condition:
    name = kind.condition
    bad = sorted((node, reason) for _, node, verdict, reason in targets if verdict in BAD)
    if bad:
        nodes = [f"{node} ({reason})" if node else reason.value for node, reason in bad]
        message = f"{len(bad)} of {len(targets)} targets are bad: {few(nodes)}"
        reason = _commonest(reason for _, reason in bad)
        return status_condition(name, "False", reason, explained(message, reason))
    if problem is not None:
        return status_condition(name, "Unknown", *problem)
    if pause is not None:
        return status_condition(name, "Unknown", pause.reason, pause.message)
    untested = [reason for _, _, verdict, reason in targets if verdict in _UNTESTED]
    if untested and not any(verdict is Verdict.OK for _, _, verdict, _ in targets):
        reason = _commonest(untested)
        message = f"{len(untested)} of {len(targets)} targets could not be tested"
        return status_condition(name, "Unknown", reason, explained(message, reason))
    if suppressed := _all_suppressed(targets):
        reason = _commonest(reason for _, _, _, reason in targets)
        return status_condition(name, "Unknown", reason, explained(suppressed, reason))
    if not any(verdict is Verdict.OK for _, _, verdict, _ in targets):
        return status_condition(name, "Unknown", Reason.PENDING, "no run has ended yet")
    aside = f", {len(untested)} could not be tested" if untested else ""
    return status_condition(name, "True", Reason.OK, f"0 of {len(targets)} targets are bad{aside}")


def _open(kind: Row, incidents: Sequence[Incident]) -> Incident | None:
    """Return the first of the open incidents that has targets of a kind; None: there is none."""
    for each in incidents:
        of_class = kind.name in each.canaries if kind.canary else each.provision
        in_it = each.on_nodes > 0 if kind.per_node else of_class
        if in_it and each.stage is not Stage.TEARDOWN and not each.blind:
            return each
    return None


def _latest(fresh: Condition, before: Condition, opened: Incident | None) -> Condition:
    """Return `fresh`, or the condition `before` it if no target has a verdict yet.

    While the incident `opened` is open, the condition is not "True", although the targets that have a verdict
    so far may all be good.
    """
    if fresh["reason"] != Reason.PENDING and (opened is None or fresh["status"] != "True"):
        return fresh
    if before.get("status") in ({"False"} if opened else {"True", "False"}):
        return dict(before)
    return status_condition(fresh["type"], "False", opened.reason, headline(opened)) if opened else fresh


def _all_suppressed(targets: Sequence[tuple[str, str, Verdict, Reason]]) -> str:
    """Return why no run counts if every target is suppressed, else an empty text."""
    if not targets or any(verdict is not Verdict.SUPPRESSED for _, _, verdict, _ in targets):
        return ""
    # A provision target is suppressed because all nodes are: the reasons of the nodes say more.
    reasons = [reason for _, node, _, reason in targets if node]
    if not reasons:
        return f"not probed: all matching nodes are under maintenance ({Reason.NO_USABLE_NODE})"
    named = _commonest(reasons) + (" and others" if len(set(reasons)) > 1 else "")
    if _GRACES.isdisjoint(reasons):
        return f"not probed: all matching nodes are under maintenance ({named})"
    return f"no verdict yet: all matching nodes are new, have just booted or are under maintenance ({named})"


def _commonest(reasons: Iterable[Reason]) -> Reason:
    counts = Counter(reasons)
    return min(counts, key=lambda reason: (-counts[reason], reason))
