"""What to do so that a target has the objects that it should have: compares wanted and observed objects.

pie deletes and changes only what its PieProbe owns, by uid. An object that has a target's name and labels and
no owner, as after a restore from a backup, is adopted. pie does not touch any other object of that name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from pie.core.manifests import Manifest
from pie.core.naming import ANNOTATION_TARGET
from pie.core.text import one_line
from pie.core.wire import Metadata, OwnerReference


@dataclass(frozen=True, slots=True)
class Create:
    """Create the object, unless one of its name exists by then."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Adopt:
    """Make the PieProbe the owner of an object that has none; `manifest` names the owner."""

    metadata: Metadata
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Apply:
    """Change the object to this."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object, and with it what it owns."""

    metadata: Metadata


Action = Create | Adopt | Apply | Delete


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with the objects of one kind, in order; nothing where all is as it should be.

    `waits`: the garbage collector is deleting the objects of an earlier PieProbe of the same name. `taken`
    says which object, that pie must not touch, has a name that the target needs.
    """

    actions: tuple[Action, ...] = ()
    waits: bool = False
    taken: str = ""


class Owner(Enum):
    """The owner of an object: the PieProbe, an earlier one of its name, nobody, or another one."""

    PIE_PROBE = auto()
    PREDECESSOR = auto()
    NOBODY = auto()
    OTHER = auto()


def plan_objects(
    wanted: Manifest | None,
    observed: Sequence[Metadata],
    owner: OwnerReference,
    *,
    create: bool = True,
    keep: bool = False,
    changes: Callable[[Metadata], tuple[Action, ...]] = lambda _current: (),
) -> Plan:
    """Return what to do with an object of a target of the PieProbe `owner`.

    `observed` are the target's objects of this kind, and another one that has the name of the wanted one.
    Without `create` no missing object is created; with `keep` existing objects stay if none is wanted.
    `changes` returns what to do with the existing object, if the PieProbe owns it.
    """
    if stopped := _stop(wanted, observed, owner):
        return stopped
    if wanted is None and keep:
        return Plan()
    name = name_of(wanted)
    deletes = tuple(Delete(found) for found in _strays(observed, name, owner))
    if wanted is None:
        return Plan(deletes)
    # An object that is being deleted keeps its name until it is gone; then pie looks again.
    if (current := _named(observed, name)) is None:
        return Plan((*deletes, Create(wanted)) if create else deletes)
    if not _stands(current):
        return Plan(deletes)
    if owner_of(current, owner) is Owner.NOBODY:
        # The event of the adoption puts the target on the queue again.
        return Plan((*deletes, Adopt(current, wanted)))
    return Plan((*deletes, *changes(current)))


def together(claims: Plan, runs: Plan, stopped: Plan) -> tuple[Plan, Plan]:
    """Return what to do with a target's PVC and with what starts its runs, in view of each other.

    `stopped` is what to do so that nothing starts runs: they must not write to a volume of somebody else.
    """
    if claims.waits or runs.waits:
        return Plan(waits=True), Plan(waits=True)  # When they are deleted, pie looks again.
    if taken := claims.taken or runs.taken:
        return Plan(taken=taken), stopped
    return claims, runs


def _stop(wanted: Manifest | None, there: Sequence[Metadata], owner: OwnerReference) -> Plan | None:
    """Return a plan without actions if pie may not act, with who prevents it; None: pie may act."""
    if any(owner_of(found, owner) is Owner.PREDECESSOR for found in there):
        return Plan(waits=True)
    taken = _taken(wanted, there, owner)
    return Plan(taken=taken) if taken else None


# Whose an object is.


def owner_of(found: Metadata, owner: OwnerReference) -> Owner:
    """Return whose an object is, for the PieProbe `owner`."""
    by = found.controller_owner
    if by is None:
        return Owner.OTHER if found.owner_references else Owner.NOBODY
    if (by.kind, by.name) != (owner.kind, owner.name):
        return Owner.OTHER
    return Owner.PIE_PROBE if by.uid == owner.uid else Owner.PREDECESSOR


def _taken(wanted: Manifest | None, there: Sequence[Metadata], owner: OwnerReference) -> str:
    """Return what to report where an object that pie must not touch has the name of the wanted one."""
    if wanted is None or (found := _named(there, name_of(wanted))) is None or not _stands(found):
        return ""
    whose = owner_of(found, owner)
    if whose is Owner.PIE_PROBE or (whose is Owner.NOBODY and _made_for_the_target(found, wanted)):
        return ""
    by = found.controller_owner or next(iter(found.owner_references), None)
    because = f"it belongs to {by.kind} {by.name}" if by else "it has no owner, and labels of something else"
    return one_line(f"{wanted['kind']} {found.name} exists already, and pie does not touch it: {because}")


def _made_for_the_target(found: Metadata, wanted: Manifest) -> bool:
    """Tell whether an object without an owner has the labels of the target, and its annotation if any."""
    metadata = wanted["metadata"]
    target = metadata["annotations"][ANNOTATION_TARGET]
    same_labels: bool = metadata["labels"].items() <= found.labels.items()
    return same_labels and found.annotations.get(ANNOTATION_TARGET, target) == target


def _strays(there: Sequence[Metadata], name: str, owner: OwnerReference) -> list[Metadata]:
    """Return the objects of the PieProbe that have another name than the wanted one."""
    return [
        found
        for found in there
        if found.name != name and _stands(found) and owner_of(found, owner) is Owner.PIE_PROBE
    ]


def _named(there: Sequence[Metadata], name: str) -> Metadata | None:
    """Return the object of this name."""
    return next((found for found in there if found.name == name), None)


def name_of(wanted: Manifest | None) -> str:
    """Return the name of a wanted object; empty where none is wanted."""
    return str(wanted["metadata"]["name"]) if wanted is not None else ""


def _stands(metadata: Metadata) -> bool:
    """Tell whether an object is not being deleted."""
    return not metadata.being_deleted


def adoption(found: Metadata, manifest: Manifest) -> dict[str, Any]:
    """Return the patch that sets the owner of this object, unless somebody changed it since."""
    metadata = {
        "uid": found.uid,
        "resourceVersion": found.resource_version,
        "ownerReferences": manifest["metadata"]["ownerReferences"],
    }
    return {"metadata": metadata}
