"""Why a run has not started, was ended, or started late: its stage, the reason, and the evidence.

The checks are pure and have an order; the first one that finds something counts. On a node, the latest stage
comes first: a kubelet that reports an error of the sandbox has mounted the volume before that.
"""

from collections.abc import Callable

from pie.core.causes import creating, images, mounting, node, provisioning, scheduling
from pie.core.causes.creating import why_no_run
from pie.core.causes.late import why_late
from pie.core.causes.node import why_ended
from pie.core.causes.symptoms import Cause, Symptoms, cause
from pie.core.model import Stage
from pie.core.naming import CONTAINER
from pie.core.reasons import Reason
from pie.core.timeline import Run, Timeline

__all__ = ["CHECKS", "Cause", "why_ended", "why_late", "why_no_run", "why_not_started"]


def why_not_started(run: Run, times: Timeline, threshold_seconds: float) -> Cause:
    """Return why the run has not started by now."""
    symptoms = Symptoms(run, times, threshold_seconds)
    return next(found for check in CHECKS if (found := check(symptoms)) is not None)


def _start_slow(symptoms: Symptoms) -> Cause | None:
    if not symptoms.mounted:
        return None
    beside = f", but container {CONTAINER} has not started; {symptoms.beside}" if symptoms.beside else ""
    return cause(Stage.START, Reason.START_SLOW, symptoms.on_node(f"the volume is mounted{beside}"))


def _not_started(symptoms: Symptoms) -> Cause:
    return cause(Stage.START, Reason.NOT_STARTED, symptoms.on_node("its kubelet has not accepted the pod"))


CHECKS: tuple[Callable[[Symptoms], Cause | None], ...] = (
    # The control plane has created no pod.
    creating.no_pod,
    # The container cannot start, because its mounted volume does not work.
    mounting.mount_broken,
    # Somebody ended the pod: it cannot start any more, whatever it waited for.
    node.ended_by_node,
    node.container_lost,
    # Not bound to a node: the state of the PVC explains more than the message of the scheduler.
    provisioning.volume_lost,
    provisioning.pvc_deleted,
    provisioning.provisioning_failed,
    provisioning.provisioner_silent,
    scheduling.unschedulable,
    creating.no_pvc,
    provisioning.provisioned_late,
    scheduling.not_scheduled,
    # Bound to a node: the latest stage comes first.
    node.container_start_failed,
    images.image_pull,
    node.sandbox_failed,
    mounting.mount_failed,
    mounting.attach_failed,
    mounting.attach_slow,
    node.node_not_able,
    mounting.not_mounted,
    mounting.other_volume,
    node.ended_without_a_word,
    mounting.mount_slow,
    _start_slow,
    _not_started,
)
