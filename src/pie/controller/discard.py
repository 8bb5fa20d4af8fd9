"""Takes away what runs leave behind, each thing as soon as nobody needs it any more."""

from collections.abc import Hashable

import structlog

from pie.controller.caches import Caches
from pie.controller.queue import WorkQueue
from pie.core.batch.disposal import Delete, to_delete
from pie.core.batch.wire import CronJob, Job
from pie.core.naming import GO_PIE_FINALIZER
from pie.core.wire import Pod
from pie.kube.client import Client
from pie.kube.errors import NotFound
from pie.kube.resources import JOBS, PODS

_log = structlog.get_logger()


class Discard:
    """Deletes Jobs that were recorded and pods that cannot recover; frees pods that Go pie left behind."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue) -> None:
        self._client = client
        self._caches = caches
        queue.handle("job", self._delete_job)
        queue.handle("pod", self._delete_pod)
        queue.handle("finalizer", self._remove_finalizer)

    async def _delete_job(self, thing: Hashable) -> None:
        """Delete of a recorded run, by the uid of its Job, what can be deleted now."""
        job = self._caches.jobs_by_uid.get(str(thing))
        if job is None:
            return
        match to_delete(job, self._caches.pod_of_job.get(job.metadata.uid), self._cronjob(job)):
            case Delete.POD:
                await self._end_pod(job.metadata.uid)
            case Delete.JOB:
                await self._delete(job)

    async def _delete(self, job: Job) -> None:
        found = job.metadata
        # Of one that is over nobody writes any more; of one that is not, its controller does at any time.
        version = found.resource_version if job.finished_at is not None else None
        try:
            await self._client.delete(
                JOBS, found.name, found.namespace, uid=found.uid, resource_version=version
            )
        except NotFound:
            _log.debug("Job is gone already", name=found.name)

    def _cronjob(self, job: Job) -> CronJob | None:
        owner = job.metadata.controller_owner
        if owner is None:
            return None
        return self._caches.cronjobs.store.get((job.metadata.namespace, owner.name))

    async def _delete_pod(self, thing: Hashable) -> None:
        """Delete the pod of a Job (by uid) that cannot recover: the Job fails, and the next may start."""
        _log.info("replacing a run that cannot recover", job_uid=str(thing))
        await self._end_pod(str(thing))

    async def _end_pod(self, job_uid: str) -> None:
        pod = self._caches.pod_of_job.get(job_uid)
        if pod is None or pod.metadata.deletion_timestamp is not None:
            return
        found = pod.metadata
        try:
            await self._client.delete(
                PODS, found.name, found.namespace, uid=found.uid, resource_version=found.resource_version
            )
        except NotFound:
            _log.debug("pod is gone already", name=found.name)

    async def _remove_finalizer(self, thing: Hashable) -> None:
        """Free a pod (by name) of Go pie's: its finalizer would keep it for ever."""
        pod = self._caches.pods.store.get((self._caches.namespace, str(thing)))
        if pod is None or GO_PIE_FINALIZER not in pod.metadata.finalizers:
            return
        kept = [finalizer for finalizer in pod.metadata.finalizers if finalizer != GO_PIE_FINALIZER]
        metadata = {"resourceVersion": pod.metadata.resource_version, "finalizers": kept}
        await self._client.merge_patch(
            PODS, pod.metadata.name, {"metadata": metadata}, pod.metadata.namespace, decode=Pod
        )
