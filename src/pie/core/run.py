"""A run as the objects of its runner show it: one attempt to use a target, whoever started it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pie.core.apitypes import RunCause
from pie.core.model import Target
from pie.core.naming import agrees
from pie.core.timeline import Sightings, WarningEvent
from pie.core.wire import Claim, Pod


@dataclass(frozen=True, slots=True)
class RunFact:
    """A run now.

    `id` is the uid of the object that stands for the run. `due` is the due time, `created` when the run was
    created, epoch seconds. `follows` is the id of the run that a follow-up run follows. `step`: of a run with
    several steps, each has a fact of its own.

    `over_at` is when the run ended, as the runner's object says; None: it has not ended. `deleted_at` is
    when somebody deleted that object. `pod` is the pod as pie saw it last, also after it was deleted
    (`pod_gone`); until `pod_known_until` it was like that. `discardable` names what can be deleted of the
    run once it is counted; `by_pie`: only pie deletes it. `outdated`: a pod that goes on would be another
    one if it were created now. `claim` is the PVC of a provision run's pod. `warnings` are about pod and
    PVC, oldest first. `backend` is what the driver reports to be wrong with its storage on the run's node.
    """

    id: str
    due: float
    created: float
    cause: RunCause = "schedule"
    follows: str = ""
    pod: Pod | None = None
    claim: Claim | None = None
    pod_gone: bool = False
    pod_known_until: float = 0.0
    over_at: float | None = None
    deleted_at: float | None = None
    discardable: str = ""
    by_pie: bool = False
    outdated: bool = False
    seen: Sightings = field(default_factory=Sightings)
    warnings: tuple[WarningEvent, ...] = ()
    backend: str = ""
    step: int = 0


def first_pod(pods: Iterable[Pod], target: Target) -> Pod | None:
    """Return the pod of a run from those of its owner: the oldest one that names the target."""
    own = (pod for pod in pods if agrees(pod.metadata, target))
    return min(own, key=lambda pod: pod.metadata.created_seconds, default=None)
