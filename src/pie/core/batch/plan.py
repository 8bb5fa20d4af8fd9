"""What to do so that a target has the CronJob it should have; `pie.core.plan` has the rules of ownership."""

from collections.abc import Sequence

from pie.core.batch.wire import CronJob, CronJobSpec
from pie.core.manifests import Manifest
from pie.core.naming import ANNOTATION_SPEC_HASH, GO_PIE_FINALIZER
from pie.core.plan import (
    Action,
    Adopt,
    Apply,
    Create,
    Delete,
    Owner,
    Plan,
    name_of,
    owner_of,
    stands,
    stop,
    strays,
)
from pie.core.wire import OwnerReference


def plan_cronjobs(
    wanted: Manifest | None,
    observed: Sequence[CronJob],
    owner: OwnerReference,
    *,
    create: bool = True,
    drifted: bool = False,
) -> Plan:
    """Return what to do with the CronJob of a target of the PieProbe `owner`.

    `observed` are its CronJobs, and what else has the name of the wanted one. Without `create` nothing is
    created that is not there yet. `drifted`: somebody else changed the CronJob's spec since pie wrote it.
    """
    there = [each.metadata for each in observed]
    if stopped := stop(wanted, there, owner):
        return stopped
    name = name_of(wanted)
    deletes: tuple[Action, ...] = tuple(Delete(found) for found in strays(there, name, owner))
    if wanted is None:
        return Plan(deletes)
    current = next((each for each in observed if each.metadata.name == name), None)
    if current is None:
        return Plan((*deletes, Create(wanted)) if create else deletes)
    if not stands(current.metadata):
        return Plan(deletes)
    if owner_of(current.metadata, owner) is Owner.NOBODY:
        # The event of the adoption puts the target on the queue again.
        return Plan((*deletes, Adopt(current.metadata, wanted)))
    stored = current.metadata.annotations.get(ANNOTATION_SPEC_HASH)
    if stored is None or GO_PIE_FINALIZER in current.spec.pod_finalizers:
        # Go pie created it, or took it back and kept the annotation: after an apply, fields of its pod
        # template would remain. So it is replaced.
        return Plan((*deletes, Delete(current.metadata)))
    other = stored != wanted["metadata"]["annotations"][ANNOTATION_SPEC_HASH]
    if other or drifted or _altered(current.spec, wanted["spec"]):
        return Plan((*deletes, Apply(wanted)))
    return Plan(deletes)


def _altered(found: CronJobSpec, wanted: Manifest) -> bool:
    """Tell whether somebody changed when the CronJob runs, perhaps while no controller was looking.

    The hash does not show it: it is the hash of what pie wrote, and others do not change it. The pod template
    is not compared, because admission may rewrite images at every write.
    """
    return (found.schedule, found.suspend) != (wanted["schedule"], wanted["suspend"])
