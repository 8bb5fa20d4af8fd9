"""Every right that the chart gives to the controller, and what the controller needs it for.

The chart gives exactly these (tests/chart/test_rights.py). Controllers in simulations ask for nothing else
(tests/controller/wire.py). On a real API server all are used and none is missing (tests/real/test_rights.py).
"""

from typing import Final, NamedTuple

from pie.kube.transport import Request

CLUSTER: Final = ""
"""Stands for no namespace."""
RELEASE: Final = "the namespace of the release"
"""And, with `allNamespaces`, all others: but for its Lease."""
NODE_LEASES: Final = "kube-node-lease"


class Right(NamedTuple):
    """What may be done. `resource`: with its subresource."""

    where: str
    resource: str
    verb: str


def _rights(where: str, resource: str, **verbs: str) -> dict[Right, str]:
    return {Right(where, resource, verb): why for verb, why in verbs.items()}


WATCHED: Final = {"list": "the cache", "watch": "the cache"}

USED: Final[dict[Right, str]] = {
    **_rights(RELEASE, "pieprobes", **WATCHED),
    **_rights(RELEASE, "pieprobes/status", patch="the status"),
    **_rights(
        RELEASE,
        "cronjobs",
        **WATCHED,
        get="does an object without pie's labels have the name?",
        create="the CronJob of a target",
        patch="the CronJob of a target, by server-side apply; pause and resume",
        delete="a target that ended",
    ),
    **_rights(
        RELEASE, "jobs", **WATCHED, create="follow-up runs and retries", delete="runs that are counted"
    ),
    **_rights(
        RELEASE,
        "pods",
        **WATCHED,
        get="is the pod of a bad run as the cache has it?",
        create="runs of PieProbes with runner Pod",
        patch="the finalizer of the Go implementation is removed",
        delete="runs that cannot recover; runs of PieProbes with runner Pod that are counted",
    ),
    **_rights(
        RELEASE,
        "persistentvolumeclaims",
        **WATCHED,
        get="does an object without pie's labels have the name?",
        create="the PVC of a mount target",
        patch="what the records of the volume say, as annotations",
        delete="a target that ended",
    ),
    **_rights(
        RELEASE,
        "events",
        **WATCHED,
        create="Events of PieProbes",
    ),
    **_rights(RELEASE, "leases", create="leader election", get="leader election", patch="leader election"),
    **_rights(CLUSTER, "nodes", **WATCHED, get="does the node of a bad run still exist?"),
    **_rights(CLUSTER, "storageclasses", **WATCHED),
    **_rights(CLUSTER, "csinodes", **WATCHED),
    **_rights(CLUSTER, "csidrivers", get="does the driver attach volumes? Who applies fsGroup?"),
    **_rights(
        CLUSTER,
        "persistentvolumes",
        get="is the volume of a PVC deleted?",
        list="volumes that were left behind",
    ),
    **_rights(
        CLUSTER,
        "volumeattachments",
        get="is the volume of a bad run attached?",
        list="the same, for many runs",
    ),
    **_rights(CLUSTER, "customresourcedefinitions", get="is the CRD older than pie?"),
    **_rights(
        NODE_LEASES, "leases", get="is the node of a bad run still alive?", list="the same, for many nodes"
    ),
}

OF_MANY: Final = {
    Right(CLUSTER, "volumeattachments", "list"),
    Right(NODE_LEASES, "leases", "list"),
}
"""Used only if more than twenty runs are bad at once."""

WITH_SNAPSHOTS: Final[dict[Right, str]] = {
    **_rights(RELEASE, "volumesnapshots", get="is it ready?", create="the canary snapshot"),
    **_rights(CLUSTER, "volumesnapshotclasses", list="the class of snapshots of a driver"),
}
"""Given with the chart value `snapshots`."""

ADMISSION: Final[dict[Right, str]] = _rights(
    RELEASE,
    "pieprobes/finalizers",
    update="OwnerReferencesPermissionEnforcement: objects of a PieProbe have blockOwnerDeletion",
)
"""What pie never asks for, and an admission plugin wants it to have."""


def permitted(request: Request) -> bool:
    """Tell whether a controller may do what it asks an API server for, in the namespaces that it serves."""
    resource = "/".join(filter(None, (request.resource.plural, request.subresource)))
    where = RELEASE if request.resource.namespaced else CLUSTER
    where = NODE_LEASES if request.namespace == NODE_LEASES else where
    verbs = ("create", "patch") if request.verb == "apply" else (request.verb,)
    return all(Right(where, resource, verb) in USED.keys() | WITH_SNAPSHOTS.keys() for verb in verbs)
