"""Builds the manifests of CronJobs and Jobs."""

from pie.core.batch.cron import cron_schedule
from pie.core.batch.history import history_limit
from pie.core.batch.naming import ANNOTATION_SCHEDULED
from pie.core.kinds import kind_of
from pie.core.manifests import Manifest, metadata_of, pod_template, spec_hash
from pie.core.model import Image, Probe, Target
from pie.core.naming import (
    ANNOTATION_FOLLOWS,
    ANNOTATION_RETRY,
    ANNOTATION_SPEC_HASH,
    ANNOTATION_SUPPRESSED_SINCE,
    labels,
)
from pie.core.wire import rfc3339


def cronjob(
    probe: Probe,
    target: Target,
    *,
    name: str,
    claim: str,
    image: Image,
    suppressed_since: float | None = None,
    paused: bool = False,
    few_kept: bool = False,
) -> Manifest:
    """Return the CronJob of a target; `claim` is the name of the PVC that it keeps.

    `few_kept`: few finished runs may wait for pie, see `pie.core.batch.history`.

    With `suppressed_since` (epoch seconds), or `paused` by the user, it is suspended. This time is not part
    of the hash: if only the time changes, nothing is written.
    """
    template = pod_template(probe, target, claim=claim, image=image)
    limit = history_limit(few=few_kept, with_volumes=not kind_of(target).pvc)
    spec: Manifest = {
        "schedule": cron_schedule(target, probe.period_seconds),
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "suspend": paused or suppressed_since is not None,
        # A run that is late by more than a period is not started. Without this, all CronJobs would start a
        # run at once when the CronJob controller is back.
        "startingDeadlineSeconds": probe.period_seconds,
        "successfulJobsHistoryLimit": limit,
        "failedJobsHistoryLimit": limit,
        "jobTemplate": {
            "metadata": {"labels": labels(target)},
            "spec": {"backoffLimit": 0, "template": template},
        },
    }
    metadata = metadata_of(probe, target, name)
    metadata["annotations"][ANNOTATION_SPEC_HASH] = spec_hash(spec)
    if suppressed_since is not None:
        metadata["annotations"][ANNOTATION_SUPPRESSED_SINCE] = rfc3339(suppressed_since)
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


def follow_up_job(
    probe: Probe,
    target: Target,
    *,
    cronjob: str,
    claim: str,
    due_seconds: float,
    without: str,
    follows: str,
    image: Image,
) -> Manifest:
    """Return the Job of a run for a due time on any node but `without`.

    `follows` is the uid of the Job of the bad run there, and `cronjob` the name of the target's CronJob.
    """
    template = pod_template(probe, target, claim=claim, image=image, without=without)
    # The CronJob controller appends the minutes in decimal; the letter distinguishes these names.
    metadata = metadata_of(probe, target, f"{cronjob}-x{round(due_seconds / probe.minute_seconds):x}")
    metadata["annotations"] |= {
        ANNOTATION_FOLLOWS: follows,
        ANNOTATION_SCHEDULED: rfc3339(due_seconds),
    }
    spec = {"backoffLimit": 0, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def retry_job(
    probe: Probe, target: Target, *, cronjob: str, claim: str, at_seconds: float, image: Image
) -> Manifest:
    """Return the Job of a run between two due times; `cronjob` is the name of the target's CronJob.

    `claim` is the name of the PVC that the target keeps, empty where it keeps none.
    """
    metadata = metadata_of(probe, target, f"{cronjob}-r{int(at_seconds):x}")
    metadata["annotations"][ANNOTATION_RETRY] = "true"
    spec = {"backoffLimit": 0, "template": pod_template(probe, target, claim=claim, image=image)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
