"""A run as the objects of its runner show it: one attempt on a target, whoever started it."""

from dataclasses import dataclass, field

from pie.core.apitypes import Cause
from pie.core.timeline import Sightings, WarningEvent
from pie.core.wire import Claim, Pod


@dataclass(frozen=True, slots=True)
class RunFact:
    """A run now.

    `id` is unique for ever (the uid of the object that stands for the run). `due` is the time that the
    schedule meant, `created` when the run came to be, epoch seconds. `follows` is the id of the run that a
    follow-up run follows.

    `over_at` is when the runner's own object says that the run ended; None while it goes on. `deleted_at` is
    when somebody was seen to have deleted that object. `pod` is as it was last seen; once it is gone
    (`pod_gone`) it is known to have been so until `pod_known_until`. `discardable` is what of it
    may be deleted once it is counted. `claim` is the PVC of a provision run's pod. `warnings` are about pod
    and PVC, oldest first. `backend` is what the driver says is wrong with its storage on the run's node.
    """

    id: str
    due: float
    created: float
    cause: Cause = "schedule"
    follows: str = ""
    pod: Pod | None = None
    claim: Claim | None = None
    pod_gone: bool = False
    pod_known_until: float = 0.0
    over_at: float | None = None
    deleted_at: float | None = None
    discardable: str = ""
    seen: Sightings = field(default_factory=Sightings)
    warnings: tuple[WarningEvent, ...] = ()
    backend: str = ""
