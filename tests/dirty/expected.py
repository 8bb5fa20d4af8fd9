"""What pie says wrongly, or of the wrong thing, in a dirty cluster: this is to become empty.

Every bad verdict and incident that a kind of dirt causes stands here, and nothing that it does not cause.
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


REFUSED: Final = "inconclusive, RefusedByNode, with the words of the kubelet"
EVICTED: Final = "inconclusive, Evicted, with the words of the kubelet"
MEMORY: Final = "inconclusive, OutOfMemory, which names the memory limit"
NO_TARGET: Final = "no target, and a condition that names the node"

EXPECTED: Final = (
    Row(
        "a node without the driver",
        "late",
        "mount",
        "MountFailed",
        "inconclusive, DriverAbsent, and a condition that names the node",
        "issue 10, section 2",
    ),
    Row("an arm64 node", "failed", "start", "ContainerStartFailed", NO_TARGET, "case 8; issue 10, section 2"),
    Row("a Windows node", "late", "start", "ImagePull", NO_TARGET, "case 8; issue 10, section 2"),
    Row(
        "a kubelet that says OutOfcpu",
        "late",
        "schedule",
        "InsufficientResources",
        "inconclusive, InsufficientResources, with the words of the kubelet",
        "issue 10, section 1",
    ),
    Row(
        "a kubelet that says NodeAffinity",
        "late",
        "schedule",
        "RefusedByNode",
        REFUSED,
        "issue 10, section 1",
    ),
    Row(
        "a kubelet that says UnexpectedAdmissionError",
        "late",
        "schedule",
        "RefusedByNode",
        REFUSED,
        "issue 10, section 1",
    ),
    Row(
        "evictions of old kubelets",
        "late",
        "start",
        "Evicted",
        EVICTED,
        "issue 10, section 1",
    ),
    Row("evictions", "failed", "start", "Evicted", EVICTED, "issue 10, section 1"),
    Row(
        "a kubelet that preempts",
        "late",
        "start",
        "Evicted",
        "inconclusive, Evicted: the kubelet preempted the pod",
        "issue 10, section 1",
    ),
    Row(
        "a LimitRange with too little memory",
        "failed",
        "io",
        "OutOfMemory",
        MEMORY,
        "issue 10, section 1",
    ),
    Row(
        "a container that cannot start",
        "late",
        "start",
        "ContainerStartFailed",
        "inconclusive, ContainerStartFailed, with the words of the container runtime",
        "issue 10, section 1",
    ),
    Row(
        "a ResourceQuota that is used up",
        "late",
        "queue",
        "PodRefused",
        "inconclusive, PodRefused, area pie: condition Blind",
        "issue 10, section 1",
    ),
)

TRUE: Final = frozenset({("late", "StartedLate"), ("start", "StartedLate")})
"""What is right of a run in the middle of which the dirt went away: it did start late."""
