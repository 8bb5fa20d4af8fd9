"""What to do so that a target has the objects it should have: a pure function of desired and observed."""

from dataclasses import dataclass

from pie.core.batch.wire import CronJob, CronJobSpec
from pie.core.manifests import Manifest
from pie.core.naming import ANNOTATION_SPEC_HASH
from pie.core.wire import Claim, Metadata


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
    """The objects a target has. `drifted`: somebody else changed the CronJob's spec since pie wrote it."""

    cronjobs: tuple[CronJob, ...] = ()
    claims: tuple[Claim, ...] = ()
    drifted: bool = False


@dataclass(frozen=True, slots=True)
class CreateClaim:
    """Create the claim."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class ApplyCronJob:
    """Create the CronJob, or change it to this."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class DeleteCronJob:
    """Delete the CronJob, and with it its Jobs and pods."""

    metadata: Metadata


@dataclass(frozen=True, slots=True)
class DeleteClaim:
    """Delete the claim, and with it its volume."""

    metadata: Metadata


Action = CreateClaim | ApplyCronJob | DeleteCronJob | DeleteClaim


def plan(desired: Desired, observed: Observed) -> tuple[Action, ...]:
    """Return the actions, in order; empty when all is as it should be (or is on its way out)."""
    return (*_plan_claim(desired, observed), *_plan_cronjob(desired, observed))


def _plan_claim(desired: Desired, observed: Observed) -> tuple[Action, ...]:
    wanted = desired.claim
    if wanted is None:
        if desired.keep_claim:
            return ()
        return tuple(DeleteClaim(claim.metadata) for claim in observed.claims if _stands(claim.metadata))
    name = wanted["metadata"]["name"]
    strays = tuple(
        DeleteClaim(claim.metadata)
        for claim in observed.claims
        if claim.metadata.name != name and _stands(claim.metadata)
    )
    # A claim on its way out keeps its name until its last pod is gone; its deletion brings us back here.
    exists = any(claim.metadata.name == name for claim in observed.claims)
    return strays if exists or not desired.create else (*strays, CreateClaim(wanted))


def _plan_cronjob(desired: Desired, observed: Observed) -> tuple[Action, ...]:
    wanted = desired.cronjob
    name = wanted["metadata"]["name"] if wanted is not None else None
    strays = tuple(
        DeleteCronJob(cronjob.metadata)
        for cronjob in observed.cronjobs
        if cronjob.metadata.name != name and _stands(cronjob.metadata)
    )
    if wanted is None:
        return strays
    current = next((cronjob for cronjob in observed.cronjobs if cronjob.metadata.name == name), None)
    if current is None:
        return (*strays, ApplyCronJob(wanted)) if desired.create else strays
    if not _stands(current.metadata):
        return strays
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


def _stands(metadata: Metadata) -> bool:
    return metadata.deletion_timestamp is None
