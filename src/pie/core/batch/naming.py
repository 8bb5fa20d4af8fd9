"""Names of CronJobs, compatible with the first (Go) pie, and the annotation of their Jobs.

A name is at most 52 characters, since Kubernetes appends 11 for the Job and its pods.
"""

from pie.core.kinds import KINDS
from pie.core.model import Target
from pie.core.naming import compatible_names

# The annotation that the CronJob controller puts on its Jobs.
# https://kubernetes.io/docs/reference/labels-annotations-taints/#batch-kubernetes-io-cronjob-scheduled-timestamp
ANNOTATION_SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"

# What `kubectl create job --from=cronjob/…` puts on its Job, with the value `manual`.
ANNOTATION_INSTANTIATE = "cronjob.kubernetes.io/instantiate"


def cronjob_names(target: Target) -> tuple[str, str]:
    """Return the CronJob name Go pie gives (where it is legal), and the one to use where that is taken."""
    parts = [(target.probe, 10), (target.node, 15), (target.storage_class, 12)]
    return compatible_names(target.kind, parts, target)


def may_be_cronjob(name: str) -> bool:
    """Tell whether a name begins like that of a CronJob of pie's, or of a Job."""
    return name.startswith(tuple(f"{kind}-" for kind in KINDS))
