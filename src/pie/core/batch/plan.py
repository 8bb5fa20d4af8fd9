"""What to do so that a target has the CronJob it should have; `pie.core.plan` has the rules of ownership."""

from collections.abc import Sequence

from pie.core.batch.wire import CronJob, CronJobSpec
from pie.core.manifests import Manifest
from pie.core.naming import ANNOTATION_SPEC_HASH, GO_PIE_FINALIZER
from pie.core.plan import Action, Apply, Delete, Plan, plan_objects
from pie.core.wire import Metadata, OwnerReference


def plan_cronjobs(
    wanted: Manifest | None,
    observed: Sequence[CronJob],
    owner: OwnerReference,
    *,
    create: bool = True,
    drifted: bool = False,
) -> Plan:
    """Return what to do with the CronJob of a target of the PieProbe `owner`; see `pie.core.plan`.

    `drifted`: somebody else changed the CronJob's spec since pie wrote it.
    """

    def changes(current: Metadata) -> tuple[Action, ...]:
        spec = next(each.spec for each in observed if each.metadata is current)
        stored = current.annotations.get(ANNOTATION_SPEC_HASH)
        if wanted is None or stored is None or GO_PIE_FINALIZER in spec.pod_finalizers:
            # Go pie created it, or took it back and kept the annotation: after an apply, fields of its pod
            # template would remain. So it is replaced.
            return (Delete(current),)
        other = stored != wanted["metadata"]["annotations"][ANNOTATION_SPEC_HASH]
        return (Apply(wanted),) if other or drifted or _altered(spec, wanted["spec"]) else ()

    return plan_objects(wanted, [each.metadata for each in observed], owner, create=create, changes=changes)


def _altered(found: CronJobSpec, wanted: Manifest) -> bool:
    """Tell whether somebody changed when the CronJob runs, perhaps while no controller was looking.

    The hash does not show it: it is the hash of what pie wrote, and others do not change it. The pod template
    is not compared, because admission may rewrite images at every write.
    """
    return (found.schedule, found.suspend) != (wanted["schedule"], wanted["suspend"])
