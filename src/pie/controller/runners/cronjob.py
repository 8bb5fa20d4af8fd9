"""Runs that Kubernetes starts: a CronJob per target, a Job per run. Nothing else of pie knows of these.

The CronJob controller starts a Job for each due time. Follow-up runs and early runs are one-off Jobs that the
PieProbe owns.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from pie.controller.caches import Caches, uid_of
from pie.controller.ownership import Ownership, seed
from pie.controller.queue import WorkQueue
from pie.core.apitypes import RunCause
from pie.core.batch.belonging import first_pod, is_pod_of, target_of_job
from pie.core.batch.changes import cronjob_matters, no_longer_active
from pie.core.batch.cron import Cron, cron, due_seconds, manual
from pie.core.batch.disposal import Disposal, to_delete
from pie.core.batch.history import keeps_few
from pie.core.batch.manifests import cronjob, follow_up_job, retry_job
from pie.core.batch.naming import cronjob_names
from pie.core.batch.plan import plan_cronjobs
from pie.core.batch.wire import CronJob, Job
from pie.core.manifests import KIND
from pie.core.model import Image, Probe, ProbeId, Target
from pie.core.naming import (
    ANNOTATION_FOLLOWS,
    ANNOTATION_RETRY,
    ANNOTATION_SPEC_HASH,
    ANNOTATION_SUPPRESSED_SINCE,
    Names,
    target_of,
)
from pie.core.plan import Action, Plan
from pie.core.run import RunFact
from pie.core.target.changes import run_matters
from pie.core.target.effects import KeepObjects, StartRun
from pie.core.target.facts import ScheduleFact
from pie.core.wire import Metadata, OwnerReference, Pod, epoch_seconds, parse_seconds
from pie.kube.client import Client
from pie.kube.errors import AlreadyExists
from pie.kube.resources import CRONJOBS, JOBS, PODS

_log = structlog.get_logger()

_FORGET: Final = "forget"


@dataclass(frozen=True, slots=True)
class _Started:
    """A Job whose owner chain leads to a PieProbe (by uid), and its pod, both as last seen.

    It is kept here until its run is counted, also after somebody deleted the Job.
    """

    target: Target
    probe_uid: str
    job: Job
    due: float
    deleted_at: float | None = None
    pod: Pod | None = None
    pod_gone: bool = False
    pod_known_until: float = 0.0


class CronJobRunner:
    """The runner of `runner: CronJob`."""

    def __init__(self, client: Client, caches: Caches, image: Image) -> None:
        self._client = client
        self._caches = caches
        self._image = image
        self._queue: WorkQueue | None = None
        self._cronjobs = caches.watch_own(CRONJOBS, CronJob)
        self._jobs = caches.watch_own(JOBS, Job)
        self._cronjobs_of: dict[Target, dict[str, CronJob]] = {}
        self._started: dict[str, _Started] = {}
        self._runs_of: dict[Target, set[str]] = {}
        self._without_owner: dict[str, Job] = {}
        self._objects = Ownership(client, CRONJOBS, CronJob, applied=True)
        self._jobs_written = Ownership(client, JOBS, Job)
        self._pods = Ownership(client, PODS, Pod)
        self._names = Names()
        self._generations: dict[str, int] = {}
        self._expected: dict[ProbeId, int] = {}
        self._few_kept_in: set[str] = set()
        caches.listen(CRONJOBS, self._cronjob_changed)
        caches.listen(JOBS, self._job_changed)
        caches.listen(PODS, self._pod_changed)

    def start(self, queue: WorkQueue) -> None:
        """Begin to lead: from now on put targets whose objects change on the queue."""
        self._queue = queue
        for job in list(self._without_owner.values()):
            self._adopt(job)

    def expect(self, probe: ProbeId, targets: int) -> None:
        """Note how many CronJobs a PieProbe will have: where there are many, all keep fewer finished runs."""
        self._expected[probe] = targets
        if not targets:
            del self._expected[probe]
        here, before = probe.namespace, probe.namespace in self._few_kept_in
        count = sum(count for each, count in self._expected.items() if each.namespace == here)
        if keeps_few(count, before) is not before:
            self._few_kept_in ^= {here}
            for target in self._cronjobs_of:
                self._wake(target if target.namespace == here else None)

    # What the watches bring.

    def _wake(self, target: Target | None) -> None:
        if self._queue is not None and target is not None:
            self._queue.add("target", target)

    def _cronjob_changed(self, old: CronJob | None, new: CronJob | None) -> None:
        for found in (old, new):
            if found is None or (target := target_of(found.metadata)) is None:
                continue
            known, uid = self._cronjobs_of.setdefault(target, {}), found.metadata.uid
            known.pop(uid, None)
            if found is new and _owned(found, target):
                known[uid] = found
            if not known:
                del self._cronjobs_of[target]
            if cronjob_matters(old, new):
                self._wake(target)
        for started in filter(None, map(self._started.get, no_longer_active(old, new))):
            self._wake(started.target if self._discardable(started) else None)
        if new is None and old is not None:
            self._generations.pop(old.metadata.uid, None)
        elif new is not None:
            seed(self._names, new.metadata, cronjob_names)
            self._generations.setdefault(new.metadata.uid, new.metadata.generation)
            for job in [job for job in self._without_owner.values() if _is_of(job, new.metadata)]:
                self._adopt(job)

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._without_owner.pop(old.metadata.uid, None)
            if (started := self._started.get(old.metadata.uid)) is not None:
                known_until = started.pod_known_until
                if started.pod is None:
                    known_until = min(self._jobs.heard_at, self._caches.pods.heard_at)
                self._change(started, deleted_at=self._client.now(), pod_known_until=known_until)
                self._wake(started.target)
        if new is not None:
            self._adopt(new)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        # A pod that its Job left behind when it was deleted (--cascade=orphan) is of no run any more.
        owned = new if new is not None and new.metadata.controller_owner is not None else None
        pod = owned or old
        owner = pod.metadata.controller_owner if pod is not None else None
        if pod is None or owner is None or (started := self._started.get(owner.uid)) is None:
            return
        known = started.pod
        if (
            known.metadata.uid != pod.metadata.uid
            if known
            else not is_pod_of(pod, started.job, started.target)
        ):
            return  # the first pod of a Job is its run, whatever comes later
        if owned is not None:
            self._change(started, pod=owned, pod_gone=False)
        elif not started.pod_gone:
            self._change(started, pod=pod, pod_gone=True, pod_known_until=self._caches.pods.heard_at)

    def _change(self, started: _Started, **fields: Any) -> _Started:
        changed = self._started[started.job.metadata.uid] = replace(started, **fields)
        return changed

    def _adopt(self, job: Job) -> None:
        """Take up a Job whose owner chain leads to a PieProbe; one whose owner is not seen yet, later."""
        uid = job.metadata.uid
        if (known := self._started.get(uid)) is not None:
            if run_matters(self._run(known), self._run(self._change(known, job=job))):
                self._wake(known.target)
        elif (chain := self._chain(job)) is None:
            self._without_owner[uid] = job
        else:
            self._without_owner.pop(uid, None)
            self._runs_of.setdefault(chain[0], set()).add(uid)
            due, pods = (
                due_seconds(job, self._cronjob(job)),
                self._caches.pods_of_owner.get(uid_of(job.metadata), {}),
            )
            pod = first_pod(pods.values(), job, chain[0])
            self._started[uid] = _Started(*chain, job, due, pod=pod)
            self._wake(chain[0])

    def _chain(self, job: Job) -> tuple[Target, str] | None:
        cronjob, owner = self._cronjob(job), job.metadata.controller_owner
        if cronjob is None and owner is not None and owner.kind == "CronJob":
            return None
        return target_of_job(job, cronjob)

    def _forget(self, started: _Started) -> None:
        uid = started.job.metadata.uid
        del self._started[uid]
        uids = self._runs_of[started.target]
        uids.discard(uid)
        if not uids:
            del self._runs_of[started.target]
        self._wake(started.target)

    # What is asked.

    def targets(self) -> set[Target]:
        """Return the targets that have CronJobs or Jobs."""
        return self._cronjobs_of.keys() | self._runs_of.keys()

    def calendar(self, probe: Probe, target: Target) -> Cron:
        """Return the due times of a target."""
        return cron(target, probe.period_seconds, probe.minute_seconds)

    def schedule(self, target: Target) -> ScheduleFact | None:
        """Return the CronJob of a target, as what starts its runs."""
        cronjobs = list(self._cronjobs_of.get(target, {}).values())
        if not cronjobs:
            return None
        return ScheduleFact(
            since=max(each.metadata.created_seconds for each in cronjobs),
            last_started=max(epoch_seconds(each.status.last_schedule_time) for each in cronjobs),
            paused=any(each.spec.suspend for each in cronjobs),
            busy=any(each.status.active for each in cronjobs),
        )

    def schedule_uids(self, target: Target) -> tuple[str, ...]:
        """Return the uids of a target's CronJobs."""
        return tuple(self._cronjobs_of.get(target, {}))

    def runs(self, probe: Probe | None, target: Target) -> tuple[RunFact, ...]:
        """Return a target's Jobs as runs: of this PieProbe; without one, the one-off Jobs."""
        found = (self._started[uid] for uid in self._runs_of.get(target, ()))
        if probe is None:
            return tuple(self._run(each) for each in found if not each.job.scheduled)
        return tuple(self._run(each) for each in found if each.probe_uid == probe.uid)

    def _run(self, started: _Started) -> RunFact:
        job, found = started.job, started.job.metadata
        return RunFact(
            found.uid,
            started.due,
            found.created_seconds,
            _cause(job),
            found.annotations.get(ANNOTATION_FOLLOWS, ""),
            pod=started.pod,
            pod_gone=started.pod_gone,
            pod_known_until=started.pod_known_until,
            over_at=job.finished_at,
            deleted_at=started.deleted_at,
            discardable=self._discardable(started),
        )

    def _discardable(self, started: _Started) -> str:
        """Return what may be deleted of a run that is counted: its pod, its Job, or what pie knows of it."""
        if started.deleted_at is not None:
            return _FORGET
        pod = started.pod if not started.pod_gone else None
        what = to_delete(started.job, pod, self._cronjob(started.job))
        return what.value if what is not Disposal.NOTHING else ""

    def _cronjob(self, job: Job) -> CronJob | None:
        owner = job.metadata.controller_owner
        if owner is None or owner.kind != "CronJob":
            return None
        found = self._cronjobs.store.get((job.metadata.namespace, owner.name))
        return found if found is not None and found.metadata.uid == owner.uid else None

    def target_of_pod(self, pod: Pod) -> Target | None:
        """Return the target of a Job's pod."""
        owner = pod.metadata.controller_owner
        started = self._started.get(owner.uid) if owner is not None else None
        return started.target if started is not None else None

    def target_of_event(self, kind: str, uid: str) -> Target | None:
        """Return the target of a Job; a CronJob's due time is judged when it is late."""
        started = self._started.get(uid) if kind == "Job" else None
        return started.target if started is not None else None

    def objects(self, target: Target) -> tuple[object, ...]:
        """Return what identifies a target's CronJobs as they are now, their status left out."""
        return tuple(
            (
                target.namespace in self._few_kept_in,
                each.metadata.uid,
                each.metadata.generation,
                each.metadata.deletion_timestamp,
                each.metadata.annotations.get(ANNOTATION_SPEC_HASH),
            )
            for each in self._cronjobs_of.get(target, {}).values()
        )

    def paused_since(self, target: Target) -> float | None:
        """Return since when a target is paused, as its suspended CronJob says."""
        for each in self._cronjobs_of.get(target, {}).values():
            if each.spec.suspend:
                return parse_seconds(each.metadata.annotations.get(ANNOTATION_SUPPRESSED_SINCE, ""))
        return None

    def as_of(self) -> float:
        """Return up to when the Jobs are known."""
        return self._jobs.heard_at

    def confirm(self) -> None:
        """Have the watch of Jobs confirm soon that it is complete."""
        self._jobs.confirm()

    # What is done.

    async def plan(
        self, probe: Probe | None, target: Target, wanted: KeepObjects, owner: OwnerReference, claim: str
    ) -> Plan:
        """Return what to do with a target's CronJob."""
        owned = {each.metadata.name: each for each in self._cronjobs_of.get(target, {}).values()}
        manifest, name = None, ""
        if wanted.live and probe is not None:
            name = self._names.claim(target, cronjob_names(target))
            manifest = cronjob(
                probe,
                target,
                name=name,
                claim=claim,
                image=self._image,
                suppressed_since=wanted.paused_since if wanted.suppressed else None,
                paused=wanted.paused_since is not None,
                few_kept=target.namespace in self._few_kept_in,
            )
        known = self._cronjobs.store.get((target.namespace, name))
        found = await self._objects.with_holder(target, owned, known, name, ask=wanted.create)
        if not wanted.live and not wanted.keep_claim and not found:
            self._names.release(target)
        drifted = any(self._drifted(each.metadata) for each in found)
        return plan_cronjobs(manifest, found, owner, create=wanted.create, drifted=drifted)

    def _drifted(self, found: Metadata) -> bool:
        """Tell whether somebody else changed a CronJob's spec since pie wrote it."""
        return found.generation > self._generations.get(found.uid, found.generation)

    async def carry_out(self, target: Target, actions: Iterable[Action]) -> None:
        """Create, change or delete a target's CronJob."""
        for action in actions:
            written = await self._objects.act(target, action)
            if written is not None:
                self._generations[written.metadata.uid] = written.metadata.generation

    async def run(self, probe: Probe, target: Target, order: StartRun, claim: str) -> bool:
        """Create the one-off Job of a follow-up run or an early run, named after the target's CronJob."""
        cronjobs = self._cronjobs_of.get(target, {})
        if not cronjobs:
            return True
        name = next(iter(cronjobs.values())).metadata.name
        if order.why == "followup":
            manifest = follow_up_job(
                probe,
                target,
                cronjob=name,
                claim=claim,
                due_seconds=order.due,
                without=order.without,
                follows=order.follows,
                image=self._image,
            )
        else:
            manifest = retry_job(
                probe, target, cronjob=name, claim=claim, at_seconds=order.due, image=self._image
            )
        _log.info(
            "starting a run",
            target=str(target),
            namespace=target.namespace,
            why=order.why,
            without=order.without,
        )
        try:
            await self._client.create(JOBS, manifest, target.namespace, decode=Job, last=True)
        except AlreadyExists:
            _log.debug("the run exists already", target=str(target), namespace=target.namespace)
        return True

    async def discard(self, run: str) -> None:
        """Delete of a run that is counted what can be deleted now; forget one whose Job is deleted."""
        if (started := self._started.get(run)) is None:
            return
        match self._discardable(started):
            case "forget":
                self._forget(started)
            case "pod" if started.pod is not None:
                # While another container runs, the Job does not end, and the next run does not start.
                await self._pods.delete(started.pod.metadata)
            case "job":
                # Nobody writes to a Job that is over; the Job controller still writes to one that is not.
                over = started.job.finished_at is not None
                await self._jobs_written.delete(started.job.metadata, versioned=over)


def _owned(found: CronJob, target: Target) -> bool:
    """Tell whether a PieProbe of the target's name owns a CronJob: others may carry its labels, too."""
    owner = found.metadata.controller_owner
    return owner is not None and (owner.kind, owner.name) == (KIND, target.probe)


def _is_of(job: Job, cronjob: Metadata) -> bool:
    owner, here = job.metadata.controller_owner, job.metadata.namespace == cronjob.namespace
    return here and owner is not None and owner.uid == cronjob.uid


def _cause(job: Job) -> RunCause:
    if ANNOTATION_RETRY in job.metadata.annotations or manual(job):
        return "retry"
    return "followup" if ANNOTATION_FOLLOWS in job.metadata.annotations else "schedule"
