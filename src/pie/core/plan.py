"""What to do so that a target has the objects it should have: a pure function of desired and observed.

pie deletes and changes only what its PieProbe owns, by uid. A PVC or CronJob that has a target's name and
labels and no owner, as after a restore from a backup, is adopted. Whatever else has the name is left alone.
"""

from dataclasses import dataclass
from enum import Enum, auto

from pie.core.batch.wire import CronJob, CronJobSpec
from pie.core.manifests import Manifest
from pie.core.naming import ANNOTATION_SPEC_HASH, ANNOTATION_TARGET
from pie.core.text import one_line
from pie.core.wire import Claim, Metadata, OwnerReference


@dataclass(frozen=True, slots=True)
class Desired:
    """The objects a target should have. None: it should not have one.

    With `create` False nothing is made that is not there yet; with `keep_claim` an existing claim stays
    although none is desired.
    """

    cronjob: Manifest | None = None
    claim: Manifest | None = None
    create: bool = True
    keep_claim: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """The objects a target has, and whatever else has the names that it should have.

    `owner` is its PieProbe; None: not read yet, or gone. Then nothing is known of what the objects are for.
    `drifted`: somebody else changed the CronJob's spec since pie wrote it.
    """

    cronjobs: tuple[CronJob, ...] = ()
    claims: tuple[Claim, ...] = ()
    drifted: bool = False
    owner: OwnerReference | None = None


@dataclass(frozen=True, slots=True)
class CreateClaim:
    """Create the PVC."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class AdoptClaim:
    """Make the PieProbe the owner of a PVC that has none; `manifest` names the owner."""

    metadata: Metadata
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class DeleteClaim:
    """Delete the PVC, and with it its volume."""

    metadata: Metadata


@dataclass(frozen=True, slots=True)
class CreateCronJob:
    """Create the CronJob, unless there is one of its name meanwhile."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class AdoptCronJob:
    """Make the PieProbe the owner of a CronJob that has none; `manifest` names the owner."""

    metadata: Metadata
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class ApplyCronJob:
    """Change the CronJob to this."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class DeleteCronJob:
    """Delete the CronJob, and with it its Jobs and pods."""

    metadata: Metadata


@dataclass(frozen=True, slots=True)
class ReportNameTaken:
    """Report which object has a name that the target needs."""

    message: str


Action = (
    CreateClaim
    | AdoptClaim
    | DeleteClaim
    | CreateCronJob
    | AdoptCronJob
    | ApplyCronJob
    | DeleteCronJob
    | ReportNameTaken
)


class _Owner(Enum):
    """Whose an object is: the PieProbe's, an earlier one's of its name, nobody's, or somebody else's."""

    PIE_PROBE = auto()
    PREDECESSOR = auto()
    NOBODY = auto()
    OTHER = auto()


def plan(desired: Desired, observed: Observed) -> tuple[Action, ...]:
    """Return the actions, in order; empty when all is as it should be (or is on its way out)."""
    if observed.owner is None:
        return ()
    there = [*(each.metadata for each in observed.claims), *(each.metadata for each in observed.cronjobs)]
    if any(_owner(found, observed.owner) is _Owner.PREDECESSOR for found in there):
        return ()  # The garbage collector is deleting them.
    for wanted, things in ((desired.claim, observed.claims), (desired.cronjob, observed.cronjobs)):
        if (taken := _taken(wanted, things, observed.owner)) is not None:
            # The runs of a target must not write to a volume of somebody else.
            return (*_plan_cronjob(Desired(), observed, observed.owner), taken)
    return (
        *_plan_claim(desired, observed, observed.owner),
        *_plan_cronjob(desired, observed, observed.owner),
    )


def _plan_claim(desired: Desired, observed: Observed, owner: OwnerReference) -> tuple[Action, ...]:
    wanted = desired.claim
    if wanted is None and desired.keep_claim:
        return ()
    name = _name(wanted)
    strays = tuple(DeleteClaim(found) for found in _strays(observed.claims, name, owner))
    if wanted is None:
        return strays
    # A claim on its way out keeps its name until its last pod is gone; its deletion brings us back here.
    current = _named(observed.claims, name)
    if current is None:
        return (*strays, CreateClaim(wanted)) if desired.create else strays
    if _owner(current, owner) is _Owner.NOBODY and _stands(current):
        return (*strays, AdoptClaim(current, wanted))
    return strays


def _plan_cronjob(desired: Desired, observed: Observed, owner: OwnerReference) -> tuple[Action, ...]:
    wanted, name = desired.cronjob, _name(desired.cronjob)
    strays = tuple(DeleteCronJob(found) for found in _strays(observed.cronjobs, name, owner))
    if wanted is None:
        return strays
    current = next((cronjob for cronjob in observed.cronjobs if cronjob.metadata.name == name), None)
    if current is None:
        return (*strays, CreateCronJob(wanted)) if desired.create else strays
    if not _stands(current.metadata):
        return strays
    if _owner(current.metadata, owner) is _Owner.NOBODY:
        return (*strays, AdoptCronJob(current.metadata, wanted))  # The event of that brings us back here.
    stored = current.metadata.annotations.get(ANNOTATION_SPEC_HASH)
    if stored is None:
        # Go pie's: its pod template would shine through an apply, so it is replaced.
        return (*strays, DeleteCronJob(current.metadata))
    other = stored != wanted["metadata"]["annotations"][ANNOTATION_SPEC_HASH]
    if other or observed.drifted or _altered(current.spec, wanted["spec"]):
        return (*strays, ApplyCronJob(wanted))
    return strays


def _altered(found: CronJobSpec, wanted: Manifest) -> bool:
    """Tell whether somebody changed when the CronJob runs, perhaps while no controller was looking.

    The hash would not show it: it says what pie wrote, and who changes the spec leaves it as it is. What
    runs is left out, since admission may rewrite images at every write.
    """
    return (found.schedule, found.suspend) != (wanted["schedule"], wanted["suspend"])


# Whose an object is.


def _owner(found: Metadata, owner: OwnerReference) -> _Owner:
    by = found.controller_owner
    if by is None:
        return _Owner.OTHER if found.owner_references else _Owner.NOBODY
    if (by.kind, by.name) != (owner.kind, owner.name):
        return _Owner.OTHER
    return _Owner.PIE_PROBE if by.uid == owner.uid else _Owner.PREDECESSOR


def _taken(
    wanted: Manifest | None, things: tuple[Claim, ...] | tuple[CronJob, ...], owner: OwnerReference
) -> ReportNameTaken | None:
    """Return what to report where an object that pie must not touch has the name of the wanted one."""
    if wanted is None or (found := _named(things, _name(wanted))) is None or not _stands(found):
        return None
    whose = _owner(found, owner)
    if whose is _Owner.PIE_PROBE or (whose is _Owner.NOBODY and _made_for_the_target(found, wanted)):
        return None
    by = found.controller_owner or next(iter(found.owner_references), None)
    because = f"it belongs to {by.kind} {by.name}" if by else "it has no owner, and labels of something else"
    return ReportNameTaken(
        one_line(f"{wanted['kind']} {found.name} exists already, and pie does not touch it: {because}")
    )


def _made_for_the_target(found: Metadata, wanted: Manifest) -> bool:
    """Tell whether an object without an owner carries the marks of the target; Go pie's are labels only."""
    metadata = wanted["metadata"]
    target = metadata["annotations"][ANNOTATION_TARGET]
    same_labels: bool = metadata["labels"].items() <= found.labels.items()
    return same_labels and found.annotations.get(ANNOTATION_TARGET, target) == target


def _strays(
    things: tuple[Claim, ...] | tuple[CronJob, ...], name: str, owner: OwnerReference
) -> list[Metadata]:
    """Return the PieProbe's own objects that stand under other names than the wanted one."""
    return [
        thing.metadata
        for thing in things
        if thing.metadata.name != name
        and _stands(thing.metadata)
        and _owner(thing.metadata, owner) is _Owner.PIE_PROBE
    ]


def _named(things: tuple[Claim, ...] | tuple[CronJob, ...], name: str) -> Metadata | None:
    return next((thing.metadata for thing in things if thing.metadata.name == name), None)


def _name(wanted: Manifest | None) -> str:
    return str(wanted["metadata"]["name"]) if wanted is not None else ""


def _stands(metadata: Metadata) -> bool:
    return metadata.deletion_timestamp is None
