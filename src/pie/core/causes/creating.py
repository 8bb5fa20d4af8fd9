"""A run without a pod, or a pod without its PVC: why the object was not created."""

import re
from collections.abc import Iterable

from pie.core.causes.symptoms import Cause, Symptoms, cause
from pie.core.kinds import kind_of
from pie.core.model import Stage
from pie.core.reasons import Reason
from pie.core.timeline import WarningEvent
from pie.core.wire import rfc3339

# How the API server refuses an object, itself or because of a webhook: quota, limits, Pod Security, policies,
# a priorityClassName that does not exist, an unknown kind.
_REFUSED = re.compile(
    r"is forbidden|is invalid|denied (the )?request|no matches for|exceeded quota|violates PodSecurity"
    r"|unable to validate against any security context constraint"
)

# What the API server cannot decide at the moment, for example because a webhook does not answer. Then the pod
# of an application would not be created either.
_NOT_NOW = re.compile(
    r"failed calling webhook|failed to call webhook|status unknown for quota|quota evaluation timed out"
    r"|not yet ready to handle request|failed to complete (mutation|validation) in|object has been modified"
)


def refused(text: str) -> bool:
    """Tell whether the cluster refused an object, and not only failed to create it at the moment."""
    return _REFUSED.search(text) is not None and not _NOT_NOW.search(text)


def no_pod(symptoms: Symptoms) -> Cause | None:
    if symptoms.run.pod is not None:
        return None
    return _not_created(symptoms.warning("FailedCreate"), "the Job has no pod")


def why_no_run(warnings: Iterable[WarningEvent], due_seconds: float, *, by_pie: bool = False) -> Cause:
    """Return why a due time has no run, from the warnings about its schedule, oldest first.

    `by_pie`: pie itself creates the pods.
    """
    texts = [
        each.message
        for each in warnings
        if each.reason == "FailedCreate" and each.seen_seconds >= due_seconds
    ]
    what, check = ("pod", "the log of pie") if by_pie else ("Job", "kube-controller-manager")
    otherwise = f"no {what} was created for the run scheduled at {rfc3339(due_seconds)}; check {check}"
    return _not_created(texts[-1] if texts else None, otherwise)


def _not_created(text: str | None, otherwise: str) -> Cause:
    """Return why there is no pod, from the Event of the Job or CronJob that should have created it."""
    reason = Reason.POD_REFUSED if text is not None and refused(text) else Reason.CONTROL_PLANE_LATE
    return cause(Stage.QUEUE, reason, text or otherwise)


def no_pvc(symptoms: Symptoms) -> Cause | None:
    run = symptoms.run
    if symptoms.scheduled or run.claim is not None or kind_of(run.target).pvc:
        return None
    # The ephemeral volume controller of kube-controller-manager reports this about the pod.
    text = symptoms.warning("FailedBinding", r"^ephemeral volume ")
    if text is not None and refused(text):
        return cause(Stage.PROVISION, Reason.CLAIM_REFUSED, text)
    if text is not None and "was not created for" in text:
        return cause(Stage.PROVISION, Reason.NAME_TAKEN, text)
    message = text or "the PVC of the pod's ephemeral volume was not created"
    return cause(Stage.QUEUE, Reason.CONTROL_PLANE_LATE, message)
