"""What distinguishes one kind of probe from another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pie.core.model import Probe
from pie.core.wire import StorageClass


def _as_it_is(probe: Probe) -> Probe:
    return probe


def _nothing(_: StorageClass) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One pod of a run. Each step has a new volume.

    The pod of a later step is on the node of the first one, and mounts the volume of the first one as well.
    `source` is the kind of object that its new volume is made from: `PersistentVolumeClaim` is the volume of
    the first step, and `VolumeSnapshot` the snapshot of it. Empty: the volume is made empty.
    `beside`: the pod uses the volume of the step before at the same time as that one, on another node. It
    starts as soon as that one's container runs, and all pods of the run have to be good.
    `snapshot`: a snapshot of the volume of the step before is taken first. `options` are for the command.
    """

    source: str = ""
    beside: bool = False
    snapshot: bool = False
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A kind of probe.

    `name` is in the names of objects and metrics, in labels and in the API. `command` is what the container
    runs; the path of the volume is appended, then the `options` that the spec adds.
    `per_node`: each matching node is a target, and its runs are pinned to it. Otherwise there is one target,
    its runs go to any matching node, and a bad one is followed by a run on another node.
    `pvc` is how the names of the PVCs begin that the targets keep. If it is empty, each run has a new volume,
    which is deleted with its pod.
    `io_apart`: a run is on time if its container started in time, and whether its I/O worked is counted by
    itself. Otherwise a run is on time only if its I/O worked, too; so it is if any node can serve, since
    another node may do better. `on_time` says in the help of its metric when a run is on time.
    `enabled` tells whether a PieProbe asks for it, and `disabled` says why not. `condition` is the type of
    its condition in the status.
    `steps` are the pods of a run, one after the other: each starts when the one before was good, and the last
    one decides. `nodes` is how many nodes a run needs. `access_mode` is that of its volumes.
    `canary`: it tests a feature that not every class offers, see `pie.core.kinds.canary`. `block`: the volume
    is a raw device, without a filesystem. `grows`: pie expands the volume while the container uses it.
    `resident`: it has no runs; one pod goes on.
    `lacks` says what a class lacks for it; empty: nothing is known to be missing. `usual_period` is how often
    a canary runs where the spec does not say it, and `shortest_period_seconds` the shortest that it may say.
    `spec` returns a PieProbe as the targets see it: a kind may have a period and a runner of its own.
    """

    name: str
    command: tuple[str, ...]
    per_node: bool
    pvc: str
    io_apart: bool
    on_time: str
    enabled: Callable[[Probe], bool]
    disabled: str
    condition: str
    options: Callable[[Probe], Sequence[str]] = lambda _: ()
    canary: bool = False
    block: bool = False
    resident: bool = False
    grows: bool = False
    lacks: Callable[[StorageClass], str] = _nothing
    usual_period: str = "6h"
    shortest_period_seconds: int = 60
    spec: Callable[[Probe], Probe] = _as_it_is
    steps: tuple[Step, ...] = (Step(),)
    nodes: int = 1
    access_mode: str = "ReadWriteOnce"

    @property
    def snapshots(self) -> bool:
        """Whether its runs take snapshots."""
        return any(step.snapshot for step in self.steps)

    @property
    def optional(self) -> bool:
        """Whether it is off unless a spec switches it on."""
        return self.canary or self.resident

    def __post_init__(self) -> None:
        """Refuse what contradicts itself: a run would be counted before its follow-up run ends."""
        if self.io_apart and not self.per_node:
            raise ValueError(f"{self.name}: where any node can serve, I/O cannot be counted apart")
        if len(self.steps) > 1 and (self.per_node or self.pvc):
            raise ValueError(f"{self.name}: a run of several steps has new volumes, on any node")
