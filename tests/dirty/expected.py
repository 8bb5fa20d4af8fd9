"""What pie says in a dirty cluster: wrongly or of the wrong thing (to become empty), and rightly.

Every verdict that is not good, and every incident that a kind of dirt causes, stands here, and nothing that
it does not cause.
"""

from typing import Final, NamedTuple


class Row(NamedTuple):
    """A kind of dirt (`dirt.py`) and what pie says of it today, what it should say, and what mends that.

    `dirt` may be several kinds, where it takes them all: their names with " + " between them.
    """

    dirt: str
    verdict: str
    stage: str
    reason: str
    should_say: str
    mended_by: str


EXPECTED: Final[tuple[Row, ...]] = ()


class Right(NamedTuple):
    """A kind of dirt in which runs cannot test the storage: they are inconclusive, at this stage, and why."""

    dirt: str
    stage: str
    reason: str
    verdict: str = "inconclusive"


RIGHT: Final = (
    Right("a node without the driver", "mount", "DriverAbsent"),
    Right("a kubelet that says OutOfcpu", "schedule", "InsufficientResources"),
    Right("a kubelet that says NodeAffinity", "schedule", "RefusedByNode"),
    Right("a kubelet that says UnexpectedAdmissionError", "schedule", "RefusedByNode"),
    Right("evictions of old kubelets", "start", "Evicted"),
    Right("evictions", "start", "Evicted"),
    Right("a kubelet that preempts", "start", "Evicted"),
    Right("a LimitRange with too little memory", "io", "OutOfMemory"),
    Right("a container that cannot start", "start", "ContainerStartFailed"),
    Right("an image that no node can pull", "start", "ImagePull"),
    Right("a ResourceQuota that is used up", "queue", "PodRefused"),
    Right("a janitor that deletes Jobs", "io", "JobDeleted"),
    Right("a janitor that deletes pods", "start", "PodDeleted"),
    Right("a scheduler that preempts", "start", "Evicted"),
)

TRUE: Final = frozenset({("late", "StartedLate"), ("start", "StartedLate")})
"""What is right of a run in the middle of which the dirt went away: it did start late."""
