"""What to delete of a run that is counted, so that its CronJob can start the next one."""

from enum import Enum

from pie.core.batch.wire import CronJob, Job
from pie.core.timeline import pod_ending, pod_over
from pie.core.wire import Pod


class Disposal(Enum):
    """What to delete now."""

    NOTHING = "nothing"
    """Wait: a change of the Job, its pod or its CronJob says when there is more to do."""
    POD = "pod"
    JOB = "job"
    """The Job, and with it its pod."""


def to_delete(job: Job, pod: Pod | None, cronjob: CronJob | None) -> Disposal:
    """Return what to delete of a counted run; `cronjob` is the Job's, None if it is gone or never was.

    If a Job is deleted while its CronJob lists it, the CronJob controller reports MissingJob. A Job may not
    finish because a container beside `probe` continues to run: then its pod is deleted, which ends the Job.
    A one-off Job is deleted at once.
    """
    if job.metadata.being_deleted:
        return Disposal.NOTHING
    if not job.scheduled:
        return Disposal.JOB
    if job.finished_at is not None:
        active = cronjob.status.active if cronjob is not None else ()
        return Disposal.NOTHING if any(each.uid == job.metadata.uid for each in active) else Disposal.JOB
    return Disposal.POD if pod is not None and _lingers(pod) else Disposal.NOTHING


def _lingers(pod: Pod) -> bool:
    """Tell whether a container beside `probe` keeps a pod from ending; kubelets end init containers."""
    if pod.metadata.being_deleted or pod.status.phase in {"Succeeded", "Failed"}:
        return False
    return pod_over(pod) and not pod_ending(pod)
