"""The Job controller: one pod for each Job, and its result. Jobs with several pods are not run.

A pod keeps the finalizer of job tracking until its Job has counted it.
https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-tracking-with-finalizers
"""

from typing import Final

from msgspec import to_builtins

from pie.embedded.actors.cronjobs import finished, owned
from pie.embedded.errors import Refused
from pie.embedded.kinds import JOBS, PODS, Json, find, is_leaving, is_over, owners, reference
from pie.embedded.registry import Registry

TRACKING: Final = "batch.kubernetes.io/job-tracking"
_SUCCEEDED: Final = ("CompletionsReached", "Reached expected number of succeeded pods")
_FAILED: Final = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")


def run_jobs(registry: Registry) -> None:
    """Look at every Job, and remove the finalizer of pods whose Job is deleted or being deleted."""
    pods, jobs = registry.store.all(PODS), registry.store.all(JOBS)
    for job in jobs:
        if finished(job) is None and not is_leaving(job) and not job["spec"]["suspend"]:
            _sync(registry, job, owned(pods, job))
    staying = {job["metadata"]["uid"] for job in jobs if not is_leaving(job)}
    for pod in pods:
        if staying.isdisjoint(owner["uid"] for owner in owners(pod)):
            registry.drop_finalizer(pod, TRACKING)


def _sync(registry: Registry, job: Json, pods: list[Json]) -> None:
    if not pods and not find(job, "status.startTime"):
        _start(registry, job)
        return
    if any(not is_over(pod) and not is_leaving(pod) for pod in pods):
        return
    if any(not is_over(pod) and find(pod, "spec.nodeName") for pod in pods):
        # Failed already, but not finished before its pod is.
        registry.set_condition(job, "FailureTarget", "True", *_FAILED)
        return
    for pod in pods:
        registry.drop_finalizer(pod, TRACKING)
    if any(pod["status"]["phase"] == "Succeeded" for pod in pods):
        registry.set_condition(job, "SuccessCriteriaMet", "True", *_SUCCEEDED)
        registry.set_status(job, active=None, succeeded=1, completionTime=registry.stamp())
        registry.set_condition(job, "Complete", "True", *_SUCCEEDED)
    else:
        registry.set_condition(job, "FailureTarget", "True", *_FAILED)
        registry.set_status(job, active=None, failed=1)
        registry.set_condition(job, "Failed", "True", *_FAILED)


def _start(registry: Registry, job: Json) -> None:
    about, template = job["metadata"], to_builtins(job["spec"]["template"])
    metadata = template.get("metadata") or {}
    labels = {"controller-uid": about["uid"], "job-name": about["name"]}
    labels |= {f"batch.kubernetes.io/{key}": value for key, value in labels.items()}
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata |= {"generateName": f"{about['name']}-", "finalizers": [TRACKING]}
    metadata["ownerReferences"] = [reference(job, controller=True, blockOwnerDeletion=True)]
    try:
        registry.create(PODS, {"metadata": metadata, "spec": template["spec"]}, about["namespace"])
    except Refused as refused:
        registry.event(job, "FailedCreate", f"Error creating: {refused}", "job-controller")
        return
    registry.set_status(job, active=1, startTime=registry.stamp())
