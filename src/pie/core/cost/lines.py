"""Who writes what for a run: tables of data, each row with its source.

Measured rows are counted in the API server's audit log of Kubernetes 1.35 with real kubelets, a real
external-provisioner and a real external-attacher (`bench/run_writes.py`); `tests/real/test_api_writes.py`
compares them with what it counts. Calculated rows follow from the objects of a run, or from sources of
Kubernetes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from pie.core.kinds import KINDS
from pie.core.model import RunnerKind


class Actor(StrEnum):
    """Who writes."""

    CONTROLLER_MANAGER = "kube-controller-manager"
    SCHEDULER = "kube-scheduler"
    KUBELET = "kubelet"
    PIE = "pie"
    PROVISIONER = "external-provisioner"
    ATTACHER = "external-attacher"
    RESIZER = "external-resizer"
    SNAPSHOTTER = "external-snapshotter"


class Source(StrEnum):
    """Where a figure is from."""

    MEASURED = "measured"
    CALCULATED = "calculated"


@dataclass(frozen=True, slots=True)
class Line:
    """What one client writes for a run.

    `client` is the controller's own client in kube-controller-manager: each has a rate limit of its own.
    `other` counts the requests that write nothing and still use that limit: reads, and refused writes.
    """

    actor: Actor
    client: str
    what: str
    writes: float = 0.0
    events: float = 0.0
    other: float = 0.0
    source: Source = Source.MEASURED


CRONJOBS: Final = "cronjob-controller"
JOBS: Final = "job-controller"
GARBAGE: Final = "generic-garbage-collector"
EPHEMERAL: Final = "ephemeral-volume-controller"
BINDER: Final = "persistent-volume-binder"
PVC_PROTECTION: Final = "pvc-protection-controller"
PV_PROTECTION: Final = "pv-protection-controller"
ATTACH_DETACH: Final = "attachdetach-controller"

_MANAGER: Final = Actor.CONTROLLER_MANAGER
_CALCULATED: Final = Source.CALCULATED

_ANY_POD: Final = (
    Line(Actor.SCHEDULER, "", "bind the pod", 1, 1),
    Line(Actor.KUBELET, "", "status of the pod", 4, 3),
)
_STARTED_BY: Final = {
    RunnerKind.CRON_JOB: (
        Line(_MANAGER, CRONJOBS, "Job, status of the CronJob", 3, 2),
        Line(_MANAGER, JOBS, "pod, status of the Job", 6, 2),
        Line(_MANAGER, GARBAGE, "delete the pod", 1, other=1),
        Line(Actor.PIE, "", "delete the Job", 1),
    ),
    # pie creates and deletes the pod; a pod that has ended is deleted by one request.
    RunnerKind.POD: (Line(Actor.PIE, "", "create and delete the pod", 2),),
}
_NEW_VOLUME: Final = (
    Line(_MANAGER, EPHEMERAL, "create the PVC", 1),
    Line(_MANAGER, BINDER, "bind PVC and volume", 5, 2.5, other=1),
    Line(_MANAGER, GARBAGE, "delete the PVC", 1, other=1),
    Line(_MANAGER, PVC_PROTECTION, "finalizer of the PVC", 1, other=1),
    Line(_MANAGER, PV_PROTECTION, "finalizer of the volume", 1),
    # The pod is older than its PVC, so the scheduler tries twice.
    Line(Actor.SCHEDULER, "", "node of the PVC, pod not schedulable yet", 3, 1),
    Line(Actor.PROVISIONER, "", "create and delete the volume", 3, 2),
)
_ATTACH: Final = (
    Line(_MANAGER, ATTACH_DETACH, "VolumeAttachment, status of the node", 4, 1, other=1),
    # 3 or 4 of its requests write; the last one, or one more, finds the object deleted.
    Line(Actor.ATTACHER, "", "VolumeAttachment and its status", 3.5, other=0.7),
    Line(Actor.KUBELET, "", "volumes in use", 2),
)
_ATTACH_A_NEW_VOLUME: Final = (Line(Actor.ATTACHER, "", "finalizer of the volume", 2),)
_FROM_A_SOURCE: Final = {
    "PersistentVolumeClaim": (
        Line(Actor.PROVISIONER, "", "protect the volume that is cloned", 2, source=_CALCULATED),
    ),
    "VolumeSnapshot": (
        Line(Actor.PIE, "", "create the VolumeSnapshot", 1, source=_CALCULATED),
        Line(Actor.SNAPSHOTTER, "", "take the snapshot, and delete it", 14, 2, source=_CALCULATED),
        Line(_MANAGER, "", "delete the VolumeSnapshot with its pod", 1, source=_CALCULATED),
    ),
}
"""What a new volume that is made from another object costs, more; by `pie.core.kinds.row.Step.source`."""
_GROWS: Final = (
    Line(Actor.PIE, "", "ask for a larger volume", 1, source=_CALCULATED),
    Line(Actor.RESIZER, "", "expand the volume", 3, 2, source=_CALCULATED),
    Line(Actor.KUBELET, "", "expand the filesystem", 1, 1, source=_CALCULATED),
)
_UNUSED: Final = (
    # Kubernetes 1.37: the condition Unused of a PVC, set and cleared with each use.
    Line(_MANAGER, PVC_PROTECTION, "condition Unused of the PVC", 2, source=_CALCULATED),
)
_FIRST_BINDING: Final = (
    Line(Actor.PIE, "", "create the PVC, remember its volume", 2),
    Line(_MANAGER, BINDER, "bind PVC and volume", 5, 2.5, other=1),
    Line(Actor.SCHEDULER, "", "node of the PVC", 2),
    Line(Actor.PROVISIONER, "", "create the volume", 1, 2),
)
_SET_UP: Final = {
    RunnerKind.CRON_JOB: (Line(Actor.PIE, "", "create the CronJob", 1),),
    RunnerKind.POD: (),
}
PIE_PER_SECOND: Final = 0.2
"""pie's writes besides those of runs: it renews its Lease every 5 s."""


def run_lines(runner: RunnerKind, kind: str, *, attach: bool, unused: bool = False) -> Iterator[Line]:
    """Yield what a healthy run costs, with all its steps; of a resident probe, what a start of its pod costs.

    `attach`: the driver has `attachRequired`. `unused`: the cluster sets the condition `Unused` of PVCs. What
    is off by default was not measured: its pods cost what those of mount and provision runs do.
    """
    row = KINDS[kind]
    for line in _pod_lines(runner, new_volume=not row.pvc, attach=attach, unused=unused):
        source = _CALCULATED if row.optional else line.source
        yield replace(_times(len(row.steps), line), source=source)
    for step in row.steps:
        yield from _FROM_A_SOURCE.get(step.source, ())
    if row.grows:
        yield from _GROWS


def _pod_lines(runner: RunnerKind, *, new_volume: bool, attach: bool, unused: bool) -> Iterator[Line]:
    """Yield what a pod of a run costs."""
    yield from _ANY_POD
    yield from _STARTED_BY[runner]
    if new_volume:
        yield from _NEW_VOLUME
    if attach:
        yield from _ATTACH
        if new_volume:
            yield from _ATTACH_A_NEW_VOLUME
    if unused:
        yield from _UNUSED


def _times(n: int, line: Line) -> Line:
    return replace(line, writes=n * line.writes, events=n * line.events, other=n * line.other)


def set_up_lines(runner: RunnerKind, kind: str, *, attach: bool) -> Iterator[Line]:
    """Yield what a target costs once, when it is set up: if it keeps a volume, that too."""
    yield from _SET_UP[runner]
    if KINDS[kind].pvc:
        yield from _FIRST_BINDING
        if attach:
            yield Line(Actor.ATTACHER, "", "finalizer of the volume", 1)
