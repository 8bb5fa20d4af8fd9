"""Which Jobs and pods are runs of a target: their owner, their name and their target have to agree.

Anybody can put the labels of pie on a pod, or name a CronJob of pie as its owner. pie ignores such
an object. Images are not compared: admission may rewrite them.
"""

import re
from collections.abc import Iterable
from typing import Final

from pie.core import run
from pie.core.batch.cron import manual
from pie.core.batch.naming import cronjob_names
from pie.core.batch.wire import CronJob, Job
from pie.core.manifests import KIND
from pie.core.model import Target
from pie.core.naming import agrees, target_of
from pie.core.wire import Pod

_LONGEST_BASE: Final = 57
"""Kubernetes cuts the name of a Job to so many characters before it appends `-` and five more for its pod."""

_BY_CRONJOB: Final = re.compile(r"-[0-9]+")
_BY_PIE: Final = re.compile(r"-[rx][0-9a-f]+")


def target_of_job(job: Job, cronjob: CronJob | None) -> tuple[Target, str] | None:
    """Return the target that a Job is a run of, and the uid of its PieProbe; None: it is no run of pie's.

    `cronjob` is the CronJob that owns the Job; without one, a PieProbe owns it.
    """
    made_for = cronjob.metadata if cronjob is not None else job.metadata
    owner, target = made_for.controller_owner, target_of(made_for)
    if owner is None or target is None or (owner.kind, owner.name) != (KIND, target.probe):
        return None
    named = cronjob is None or manual(job) or _follows(job.metadata.name, (made_for.name,), _BY_CRONJOB)
    if cronjob is None:
        named = _follows(job.metadata.name, cronjob_names(target), _BY_PIE)
    agree = agrees(made_for, target) and agrees(job.metadata, target)
    return (target, owner.uid) if named and agree else None


def first_pod(pods: Iterable[Pod], job: Job, target: Target) -> Pod | None:
    """Return the pod of a Job: of several, the one that was created first."""
    return run.first_pod((pod for pod in pods if is_pod_of(pod, job, target)), target)


def is_pod_of(pod: Pod, job: Job, target: Target) -> bool:
    """Tell whether a pod was created for a Job."""
    owner = pod.metadata.controller_owner
    return (
        owner is not None
        and (owner.kind, owner.name, owner.uid) == ("Job", job.metadata.name, job.metadata.uid)
        and pod.metadata.name.startswith(job.metadata.name[:_LONGEST_BASE])
        and agrees(pod.metadata, target)
    )


def _follows(name: str, bases: tuple[str, ...], suffix: re.Pattern[str]) -> bool:
    """Tell whether a name is one of these with such a suffix."""
    return any(name.startswith(base) and suffix.fullmatch(name, len(base)) for base in bases)
