"""The Job controller: one pod for each Job, and what became of it. Jobs of several pods are not run.

A pod keeps the finalizer of job tracking until its Job has counted it.
https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-tracking-with-finalizers
"""

from typing import Any, Final

from pie.embedded.actors.cronjobs import finished, owned, owner_reference
from pie.embedded.errors import Refused
from pie.embedded.kinds import JOBS, PODS, find
from pie.embedded.patch import copied
from pie.embedded.registry import TERMINAL, Registry

Json = dict[str, Any]

TRACKING: Final = "batch.kubernetes.io/job-tracking"
_SOURCE: Final = "job-controller"


class Jobs:
    """One pass over all Jobs."""

    kinds = frozenset({JOBS, PODS})

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def reconcile(self) -> None:
        """Look at every Job, and free pods whose Job is gone."""
        pods, jobs = self._registry.store.all(PODS), self._registry.store.all(JOBS)
        for job in jobs:
            mine = owned(pods, job["metadata"]["uid"])
            if "deletionTimestamp" in job["metadata"]:
                self._free(mine)
            elif finished(job) is None and not find(job, "spec", "suspend"):
                self._sync(self._labelled(job), mine)
        living = {job["metadata"]["uid"] for job in jobs}
        orphans = [pod for pod in pods if TRACKING in pod["metadata"].get("finalizers", [])]
        self._free([pod for pod in orphans if not living & _owners(pod)])

    def _free(self, pods: list[Json]) -> None:
        for pod in pods:
            self._registry.drop_finalizer(PODS, pod, TRACKING)

    def _labelled(self, job: Json) -> Json:
        """Give the Job the selector that finds its pods."""
        uid = job["metadata"]["uid"]
        if "selector" in job["spec"]:
            return job

        def edit(copy: Json) -> None:
            copy["spec"]["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}

        return self._registry.edit(JOBS, job, edit)

    def _sync(self, job: Json, pods: list[Json]) -> None:
        if not pods and not find(job, "status", "startTime"):
            self._start(job)
            return
        over = [pod for pod in pods if pod["status"].get("phase") in TERMINAL]
        leaving = [pod for pod in pods if pod not in over and "deletionTimestamp" in pod["metadata"]]
        if any(pod not in over and pod not in leaving for pod in pods):
            self._note_active(job, pods)
            return
        succeeded = any(pod["status"]["phase"] == "Succeeded" for pod in over)
        if leaving:
            # Failed already, but not over before the pod is.
            self._conclude(job, succeeded=False, over=False)
            if any(find(pod, "spec", "nodeName") for pod in leaving):
                return
        self._free(pods)
        self._conclude(job, succeeded=succeeded, over=True)

    def _start(self, job: Json) -> None:
        metadata, template = job["metadata"], copied(job["spec"]["template"])
        labels = {
            **((template.get("metadata") or {}).get("labels") or {}),
            "batch.kubernetes.io/controller-uid": metadata["uid"],
            "batch.kubernetes.io/job-name": metadata["name"],
            "controller-uid": metadata["uid"],
            "job-name": metadata["name"],
        }
        pod = {
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "labels": labels,
                "annotations": (template.get("metadata") or {}).get("annotations") or {},
                "finalizers": [TRACKING],
                "ownerReferences": [owner_reference(job)],
            },
            "spec": template["spec"],
        }
        try:
            created = self._registry.create(PODS, pod, metadata["namespace"])
        except Refused as refused:
            self._event(job, "FailedCreate", f"Error creating: {refused}", warning=True)
            return
        self._event(job, "SuccessfulCreate", f"Created pod: {created['metadata']['name']}")
        self._registry.set_status(JOBS, job, active=1, ready=0, startTime=self._registry.stamp())

    def _note_active(self, job: Json, pods: list[Json]) -> None:
        ready = sum(
            each["type"] == "Ready" and each["status"] == "True"
            for pod in pods
            for each in pod["status"].get("conditions", [])
        )
        if find(job, "status", "ready") != ready:
            self._registry.set_status(JOBS, job, ready=ready)

    def _conclude(self, job: Json, *, succeeded: bool, over: bool) -> None:
        job = self._registry.get(JOBS, job["metadata"]["namespace"], job["metadata"]["name"])
        now = self._registry.stamp()
        reason = "CompletionsReached" if succeeded else "BackoffLimitExceeded"
        message = (
            "Reached expected number of succeeded pods"
            if succeeded
            else "Job has reached the specified backoff limit"
        )
        types = ("SuccessCriteriaMet", "Complete") if succeeded else ("FailureTarget", "Failed")
        conditions = list(find(job, "status", "conditions") or [])
        for kind in types if over else types[:1]:
            if not any(each["type"] == kind for each in conditions):
                stamps = {"lastProbeTime": now, "lastTransitionTime": now}
                conditions.append(
                    {"type": kind, "status": "True", "reason": reason, "message": message, **stamps}
                )
        counts: Json = {"succeeded": 1, "completionTime": now} if succeeded else {"failed": 1}
        if conditions == (find(job, "status", "conditions") or []):
            return
        self._registry.set_status(JOBS, job, conditions=conditions, active=None, ready=0, **counts)
        if over:
            self._event(job, types[1] if succeeded else reason, message, warning=not succeeded)

    def _event(self, job: Json, reason: str, message: str, *, warning: bool = False) -> None:
        self._registry.event(JOBS, job, reason, message, source=_SOURCE, warning=warning)


def _owners(item: Json) -> set[str]:
    return {owner["uid"] for owner in item["metadata"].get("ownerReferences") or []}
