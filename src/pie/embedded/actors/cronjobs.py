"""The CronJob controller: starts a Job for the newest due time, and prunes the history.

https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
"""

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from cronsim import CronSim, CronSimError
from msgspec import to_builtins

from pie.core.batch.naming import ANNOTATION_SCHEDULED
from pie.core.wire import rfc3339
from pie.embedded.errors import Refused
from pie.embedded.kinds import CRONJOBS, JOBS, Json, find, is_leaving, owners, reference
from pie.embedded.registry import Registry, seconds_of

_SOURCE: Final = "cronjob-controller"


def finished(job: Json) -> str | None:
    """Return how a Job ended, Complete or Failed; None while it has not."""
    over = [each["type"] for each in find(job, "status.conditions") or [] if each["status"] == "True"]
    return next((each for each in over if each in {"Complete", "Failed"}), None)


def owned(items: list[Json], owner: Json) -> list[Json]:
    """Return the objects that an owner controls."""
    uid = owner["metadata"]["uid"]
    return [item for item in items if uid in {each["uid"] for each in owners(item) if each.get("controller")}]


def run_cronjobs(registry: Registry, minute_seconds: float) -> float:
    """Look at every CronJob; come back at the next minute, which may come after less than sixty seconds."""
    jobs = registry.store.all(JOBS)
    for cronjob in registry.store.all(CRONJOBS):
        if not is_leaving(cronjob):
            mine = owned(jobs, cronjob)
            try:
                _start(registry, _settled(registry, cronjob, mine), minute_seconds)
            except (ValueError, Refused) as error:
                registry.event(cronjob, "FailedCreate", f"Error creating job: {error}", _SOURCE)
            _prune(registry, cronjob, mine)
    return minute_seconds - registry.now() % minute_seconds + 0.01


def _settled(registry: Registry, cronjob: Json, jobs: list[Json]) -> Json:
    """Remove finished and deleted Jobs from `status.active`."""
    by_uid = {job["metadata"]["uid"]: job for job in jobs}
    listed = find(cronjob, "status.active") or []
    for each in listed:
        if each["uid"] not in by_uid:
            registry.event(cronjob, "MissingJob", f"Active job went missing: {each['name']}", _SOURCE)
    active = [each for each in listed if each["uid"] in by_uid and finished(by_uid[each["uid"]]) is None]
    return registry.set_status(cronjob, active=active or None)


def _start(registry: Registry, cronjob: Json, minute_seconds: float) -> None:
    """Start the Job that is due, if there is one; raises ValueError for an invalid schedule."""
    spec, about, now = cronjob["spec"], cronjob["metadata"], registry.now()
    # Timestamps have whole seconds, and with short minutes a due time can be within a second.
    since = seconds_of(find(cronjob, "status.lastScheduleTime") or about["creationTimestamp"]) + 1
    number = last_due(spec["schedule"], int(since // minute_seconds), int(now // minute_seconds))
    active = find(cronjob, "status.active") or []
    if number is None or spec["suspend"] or (active and spec["concurrencyPolicy"] == "Forbid"):
        return
    due = number * minute_seconds
    if now - due > spec.get("startingDeadlineSeconds", math.inf) * minute_seconds / 60:
        return
    template = to_builtins(spec["jobTemplate"])
    metadata = template.get("metadata") or {}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), ANNOTATION_SCHEDULED: rfc3339(due)}
    owner = reference(cronjob, controller=True, blockOwnerDeletion=True)
    metadata |= {"name": f"{about['name']}-{number}", "ownerReferences": [owner]}
    job = registry.find(JOBS, about["namespace"], metadata["name"])
    job = job or registry.create(JOBS, {"metadata": metadata, "spec": template["spec"]}, about["namespace"])
    active = [*active, reference(job, namespace=about["namespace"])]
    registry.set_status(cronjob, active=active, lastScheduleTime=rfc3339(due))


def _prune(registry: Registry, cronjob: Json, jobs: list[Json]) -> None:
    for how, limit in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        over = [job for job in jobs if finished(job) == how and not is_leaving(job)]
        over.sort(key=lambda job: str(find(job, "status.startTime")))
        for job in over[: max(0, len(over) - cronjob["spec"][limit])]:
            registry.remove(job)


@lru_cache(maxsize=1024)
def last_due(schedule: str, after: int, until: int) -> int | None:
    """Return the newest minute in (after, until] that a schedule names, in minutes since the epoch.

    Raises ValueError for an invalid schedule.
    """
    try:
        newest = next(CronSim(schedule, datetime.fromtimestamp((until + 1) * 60, UTC), reverse=True), None)
    except CronSimError as error:
        raise ValueError(f"{schedule!r} is no schedule: {error}") from error
    number = int(newest.timestamp()) // 60 if newest else after
    return number if number > after else None
