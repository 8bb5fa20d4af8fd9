"""The step and the status of a PieProbe with several StorageClasses: each class is looked at by itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from msgspec.structs import replace as with_fields

from pie.core.conditions import Condition, stored_conditions
from pie.core.cost import condition as cost
from pie.core.incidents.cluster import is_open_in
from pie.core.incidents.incident import Closing, Incident
from pie.core.incidents.stored import MOST_IN_STATUS, to_status
from pie.core.kinds import KINDS
from pie.core.pace.parts import EFFECTIVE_PERIOD
from pie.core.probestep import PAUSED_SINCE, ProbeFacts, status_of, step
from pie.core.status import set_times
from pie.core.text import one_line
from pie.core.wire import PieProbe, rfc3339

STORED: Final = "storageClasses"
"""The field of a status that lists the classes of the PieProbe."""

_GOOD_IF_TRUE: Final = frozenset({"Ready", *(kind.condition for kind in KINDS.values())})
_ORDER: Final = ("True", "Unknown", "False")
_LONGEST_SUMMARY: Final = 512


@dataclass(frozen=True, slots=True)
class WholeStep:
    """What a step gives for all classes; `leaks_explained_on` is by class, see `ProbeStep`."""

    incidents: tuple[Incident, ...]
    opened: tuple[Incident, ...] = ()
    closed: tuple[Incident, ...] = ()
    leaks_explained_on: Mapping[str, frozenset[str]] = field(default_factory=dict)
    wake_at: float | None = None


def by_class(incidents: Iterable[Incident], classes: Sequence[str]) -> dict[str, tuple[Incident, ...]]:
    """Return the incidents of each class, and those of other classes by themselves.

    An incident without a class is one of the first class. If no class is known, all may be of any class.
    """
    found: dict[str, list[Incident]] = {name: [] for name in classes}
    for each in incidents:
        of_first = not each.storage_class or list(classes) == [""]
        found.setdefault(classes[0] if of_first else each.storage_class, []).append(each)
    return {name: tuple(listed) for name, listed in found.items()}


def step_all(
    before: tuple[Incident, ...], facts: Sequence[ProbeFacts], now: float, others: Sequence[Incident] = ()
) -> WholeStep:
    """Return the incidents as they are now, those of each class by itself.

    `others` are the incidents of other PieProbes.
    """
    found = by_class(before, [each.storage_class for each in facts])
    opened: list[Incident] = []
    closed: list[Incident] = []
    explained: dict[str, frozenset[str]] = {}
    wakes: list[float] = []
    for each in facts:
        name = each.storage_class
        elsewhere = [one for other, listed in found.items() if other != name for one in listed]
        done = step(found[name], each, now, [*others, *elsewhere])
        found[name] = done.incidents
        explained[name] = done.leaks_explained_on
        # One of the control plane is the same for all classes: it opens once, and closes once.
        opened += [one for one in done.opened if not is_open_in(one, elsewhere)]
        closed += [one for one in done.closed if not is_open_in(one, elsewhere)]
        wakes += [done.wake_at] if done.wake_at is not None else []
    for name in found.keys() - explained.keys():
        ended = [_without_class(one, now) for one in found[name] if one.closed_at is None]
        closed += ended
        found[name] = (*ended, *(one for one in found[name] if one.closed_at is not None))[:MOST_IN_STATUS]
    incidents = tuple(one for listed in found.values() for one in listed)
    return WholeStep(incidents, tuple(opened), tuple(closed), explained, min(wakes, default=None))


def _without_class(incident: Incident, now: float) -> Incident:
    words = f"StorageClass {incident.storage_class} is not one of the PieProbe any more"
    return replace(incident, closed_at=now, closed_because=Closing.GONE, closed_message=words, restored=False)


def status_of_all(facts: Sequence[ProbeFacts], incidents: tuple[Incident, ...], now: float) -> dict[str, Any]:
    """Return the status of a PieProbe. It lists each class if the spec can select several."""
    stored = facts[0].stored
    if "monitoringStorageClass" in stored.spec or facts[0].probe is None:
        single = status_of(facts[0], incidents, now)
        return single | ({STORED: None} if STORED in stored.status else {})
    found = by_class(incidents, [each.storage_class for each in facts])
    parts = {each.storage_class: _of_class(each, found[each.storage_class], now) for each in facts}
    conditions = [
        _worst({name: part["conditions"][number] for name, part in parts.items()})
        for number in range(len(next(iter(parts.values()))["conditions"]))
    ]
    demands = [each.demand for each in facts if each.demand is not None]
    conditions = [cost.cost_high(demands) if each["type"] == cost.CONDITION else each for each in conditions]
    old = {str(each.get("type")): each for each in stored_conditions(stored.status)}
    set_times(conditions, old, stored.metadata.generation, rfc3339(now))
    provisioned = [part["lastProvisionTime"] for part in parts.values() if "lastProvisionTime" in part]
    return {
        "observedGeneration": stored.metadata.generation,
        "conditions": conditions,
        "summary": _summary(parts, found),
        "targets": {
            word: sum(part["targets"][word] for part in parts.values())
            for word in next(iter(parts.values()))["targets"]
        },
        "incidents": to_status(incidents),
        EFFECTIVE_PERIOD: next(iter(parts.values()))[EFFECTIVE_PERIOD],
        STORED: [_entry(each, parts[each.storage_class]) for each in facts],
        **({"lastProvisionTime": max(provisioned)} if provisioned else {}),
        **({PAUSED_SINCE: None} if PAUSED_SINCE in stored.status else {}),
    }


def _of_class(facts: ProbeFacts, incidents: tuple[Incident, ...], now: float) -> dict[str, Any]:
    """Return the status that the PieProbe would have if this was its only class."""
    stored: PieProbe = with_fields(facts.stored, status=facts.stored.status_of_class(facts.storage_class))
    return status_of(replace(facts, stored=stored), incidents, now)


def _entry(facts: ProbeFacts, part: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the status says of a class."""
    since = {PAUSED_SINCE: part[PAUSED_SINCE]} if part.get(PAUSED_SINCE) is not None else {}
    gone = {"goneSince": rfc3339(facts.gone_since)} if facts.gone_since is not None else {}
    return {
        "name": facts.storage_class,
        "summary": part["summary"],
        "targets": part["targets"],
        "conditions": [each for each in part["conditions"] if each["type"] in _GOOD_IF_TRUE],
        **since,
        **gone,
    }


def _worst(conditions: Mapping[str, Condition]) -> Condition:
    """Return one condition for all classes: the worst of theirs, with the words of each that has it."""
    kind = next(iter(conditions.values()))["type"]
    order = _ORDER if kind in _GOOD_IF_TRUE else _ORDER[::-1]
    worst = max((each["status"] for each in conditions.values()), key=order.index)
    alike = {name: each for name, each in conditions.items() if each["status"] == worst}
    words = {each["message"] for each in conditions.values()}
    said = (f"StorageClass {name}: {each['message']}" for name, each in alike.items())
    first = next(iter(alike.values()))
    return {
        "type": kind,
        "status": worst,
        "reason": first["reason"],
        "message": first["message"] if len(words) == 1 else "; ".join(said),
    }


def _summary(parts: Mapping[str, Mapping[str, Any]], incidents: Mapping[str, Sequence[Incident]]) -> str:
    """Return the summary of the worst class."""
    said = {name: part["summary"] for name, part in parts.items()}
    if len(set(said.values())) == 1:
        return str(next(iter(said.values())))

    def badness(name: str) -> tuple[bool, bool, bool, bool, bool]:
        open_now = [each for each in incidents[name] if each.closed_at is None]
        ready = parts[name]["conditions"][0]["status"] == "True"
        bad = parts[name]["targets"]["bad"] > 0
        blind = all(each.blind for each in open_now)
        return not blind, bool(open_now), bad, not ready, said[name] != "fine"

    worst = max(said, key=badness)
    others = sum(each != "fine" for each in said.values()) - 1
    more = f"; {others} more {'class is' if others == 1 else 'classes are'} not fine" if others else ""
    return one_line(f"StorageClass {worst}: {said[worst]}{more}", _LONGEST_SUMMARY)
