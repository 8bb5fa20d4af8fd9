"""The CronJob controller: starts a Job for the newest due time, and prunes the history."""

from typing import Any, Final

from pie.embedded import cronschedule
from pie.embedded.cronschedule import Minutes
from pie.embedded.errors import Refused
from pie.embedded.kinds import CRONJOBS, JOBS, find
from pie.embedded.patch import copied
from pie.embedded.registry import Registry, seconds_of, timestamp

Json = dict[str, Any]

ANNOTATION_SCHEDULED: Final = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_SOURCE: Final = "cronjob-controller"


def finished(job: Json) -> str | None:
    """Return how a Job ended, Complete or Failed; None while it has not."""
    conditions = find(job, "status", "conditions") or []
    over = (each["type"] for each in conditions if each["status"] == "True")
    return next((each for each in over if each in {"Complete", "Failed"}), None)


def owned(items: list[Json], uid: str) -> list[Json]:
    """Return the objects that an owner of this uid controls."""
    return [
        item
        for item in items
        if any(
            each["uid"] == uid and each.get("controller")
            for each in item["metadata"].get("ownerReferences") or []
        )
    ]


def owner_reference(item: Json) -> Json:
    """Return a reference to the object as the controlling owner."""
    metadata = item["metadata"]
    return {
        "apiVersion": item["apiVersion"],
        "kind": item["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


class CronJobs:
    """One pass over all CronJobs; `minutes` is the clock that their schedules go by."""

    kinds = frozenset({CRONJOBS, JOBS})

    def __init__(self, registry: Registry, minutes: Minutes) -> None:
        self._registry = registry
        self._minutes = minutes

    def reconcile(self) -> float:
        """Look at every CronJob; come back at the next minute."""
        jobs = self._registry.store.all(JOBS)
        for cronjob in self._registry.store.all(CRONJOBS):
            if "deletionTimestamp" not in cronjob["metadata"]:
                mine = owned(jobs, cronjob["metadata"]["uid"])
                self._settle(cronjob, mine)
                self._start(self._registry.get(CRONJOBS, _namespace(cronjob), cronjob["metadata"]["name"]))
                self._prune(cronjob, mine)
        return self._minutes.until_next(self._registry.now()) + 0.01

    def _settle(self, cronjob: Json, jobs: list[Json]) -> None:
        """Take Jobs that are over, or gone, out of `status.active`."""
        listed = find(cronjob, "status", "active") or []
        by_uid = {job["metadata"]["uid"]: job for job in jobs}
        running: list[Json] = []
        last_success = find(cronjob, "status", "lastSuccessfulTime")
        for reference in listed:
            job = by_uid.get(reference["uid"])
            if job is None:
                self._event(
                    cronjob, "MissingJob", f"Active job went missing: {reference['name']}", warning=True
                )
            elif (how := finished(job)) is None:
                running.append(reference)
            else:
                message = f"Saw completed job: {reference['name']}, condition: {how}"
                self._event(cronjob, "SawCompletedJob", message)
                if how == "Complete":
                    last_success = max(last_success or "", find(job, "status", "completionTime") or "")
        if running != listed:
            self._registry.set_status(
                CRONJOBS, cronjob, active=running or None, lastSuccessfulTime=last_success
            )

    def _start(self, cronjob: Json) -> None:
        spec, now = cronjob["spec"], self._registry.now()
        if spec.get("suspend"):
            return
        try:
            schedule = cronschedule.parse(spec["schedule"])
        except ValueError as error:
            self._event(cronjob, "UnparseableSchedule", f"unparseable schedule: {error}", warning=True)
            return
        since = find(cronjob, "status", "lastScheduleTime") or cronjob["metadata"]["creationTimestamp"]
        number = self._minutes.last_due(schedule, seconds_of(since), now)
        if number is None:
            return
        due = self._minutes.seconds(number)
        deadline = spec.get("startingDeadlineSeconds")
        if deadline is not None and now - due > deadline * self._minutes.length_seconds / 60:
            return
        if find(cronjob, "status", "active") and spec["concurrencyPolicy"] == "Forbid":
            message = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self._event(cronjob, "JobAlreadyActive", message)
            return
        self._create(cronjob, number, due)

    def _create(self, cronjob: Json, number: int, due: float) -> None:
        namespace, name = _namespace(cronjob), f"{cronjob['metadata']['name']}-{number}"
        template = copied(cronjob["spec"]["jobTemplate"])
        metadata = template.get("metadata") or {}
        annotations = {**(metadata.get("annotations") or {}), ANNOTATION_SCHEDULED: timestamp(due)}
        metadata |= {"name": name, "annotations": annotations, "ownerReferences": [owner_reference(cronjob)]}
        try:
            job = self._registry.create(JOBS, {"metadata": metadata, "spec": template["spec"]}, namespace)
        except Refused as refused:
            if refused.reason != "AlreadyExists":
                self._event(cronjob, "FailedCreate", f"Error creating job: {refused}", warning=True)
                return
            job = self._registry.get(JOBS, namespace, name)
        self._event(cronjob, "SuccessfulCreate", f"Created job {name}")
        uid = job["metadata"]["uid"]
        reference = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": name,
            "namespace": namespace,
            "uid": uid,
        }
        active = [*(find(cronjob, "status", "active") or []), reference]
        self._registry.set_status(CRONJOBS, cronjob, active=active, lastScheduleTime=timestamp(due))

    def _prune(self, cronjob: Json, jobs: list[Json]) -> None:
        limits = (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit"))
        for how, limit in limits:
            over = [
                job for job in jobs if finished(job) == how and "deletionTimestamp" not in job["metadata"]
            ]
            over.sort(key=lambda job: str(find(job, "status", "startTime")))
            for job in over[: max(0, len(over) - cronjob["spec"][limit])]:
                self._registry.remove(JOBS, job)
                self._event(cronjob, "SuccessfulDelete", f"Deleted job {job['metadata']['name']}")

    def _event(self, cronjob: Json, reason: str, message: str, *, warning: bool = False) -> None:
        self._registry.event(CRONJOBS, cronjob, reason, message, source=_SOURCE, warning=warning)


def _namespace(item: Json) -> str:
    namespace: str = item["metadata"]["namespace"]
    return namespace
