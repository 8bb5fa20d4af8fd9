"""The runs being followed: one for each Job whose owner chain leads to a PieProbe."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pie.controller.caches import Caches
from pie.core.apitypes import Cause
from pie.core.batch.cron import due_seconds, manual
from pie.core.batch.wire import CronJob, Job
from pie.core.manifests import KIND
from pie.core.model import Target
from pie.core.naming import ANNOTATION_FOLLOWS, ANNOTATION_RETRY, target_of
from pie.core.wire import Pod


@dataclass(slots=True)
class Tracked:
    """A run being followed. `seen_until`: to when its pod is known by asking, not by the watch.

    `job_deleted_at`: when its Job was seen to be deleted, if it was; the run is followed until it is judged.
    `pod_known_until`: until then its pod, which is gone by now, was as last seen.
    `retry`: no due time asked for it.
    """

    target: Target
    uid: str
    due: float
    created: float
    pod: Pod | None = None
    pod_gone: bool = False
    pod_known_until: float = 0.0
    job_finished_at: float | None = None
    job_deleted_at: float | None = None
    seen_until: float = 0.0
    follows: str = ""
    retry: bool = False
    check_at: float | None = None
    on_time_counted: bool = False
    succeeded_counted: bool = False
    recorded: bool = False

    @property
    def cause(self) -> Cause:
        """What asked for the run."""
        return "retry" if self.retry else "followup" if self.follows else "schedule"


class Tracking:
    """The table, by the uid of the Job and by target."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self._tracked: dict[str, Tracked] = {}
        self._of_target: dict[Target, set[str]] = {}

    def get(self, uid: str) -> Tracked | None:
        """Return the run of a Job; None if it is not followed."""
        return self._tracked.get(uid)

    def of(self, target: Target) -> Iterator[Tracked]:
        """Yield the runs of a target."""
        return (self._tracked[uid] for uid in self._of_target.get(target, ()))

    def of_probe(self, probe: str) -> list[Tracked]:
        """Return the runs of all targets that a PieProbe has or had."""
        return [tracked for tracked in self._tracked.values() if tracked.target.probe == probe]

    def unread(self, target: Target) -> Iterator[Tracked]:
        """Yield the runs of a target that are not read yet."""
        return (each for each in self.of(target) if not each.recorded)

    def has(self, target: Target, due: float) -> bool:
        """Tell whether a run for a due time is followed that is not read yet."""
        return any(not each.retry and math.floor(each.due) == math.floor(due) for each in self.unread(target))

    def in_the_way(self, target: Target, due: float) -> bool:
        """Tell whether a run of an earlier due time is not read yet."""
        return any(not each.retry and each.due < due for each in self.unread(target))

    def follow_up(self, target: Target) -> Tracked | None:
        """Return the follow-up run of a target that is under way."""
        runs = (each for each in self.unread(target) if each.follows)
        return max(runs, key=lambda each: each.due, default=None)

    def add(self, job: Job) -> Tracked | None:
        """Take up a Job whose owner chain leads to a PieProbe; None for any other."""
        if (target := self._chain(job)) is None:
            return None
        uid = job.metadata.uid
        due = due_seconds(job, self._cronjob(job))
        tracked = Tracked(target, uid, due, job.metadata.created_seconds)
        tracked.follows = job.metadata.annotations.get(ANNOTATION_FOLLOWS, "")
        tracked.retry = tracked.on_time_counted = ANNOTATION_RETRY in job.metadata.annotations or manual(job)
        tracked.pod = self._caches.pod_of_job.get(uid)
        tracked.job_finished_at = job.finished_at
        self._tracked[uid] = tracked
        self._of_target.setdefault(target, set()).add(uid)
        return tracked

    def remove(self, uid: str) -> Tracked | None:
        """Forget the run of a Job that is gone, and return it."""
        if (tracked := self._tracked.pop(uid, None)) is None:
            return None
        uids = self._of_target[tracked.target]
        uids.discard(uid)
        if not uids:
            del self._of_target[tracked.target]
        return tracked

    def _cronjob(self, job: Job) -> CronJob | None:
        """Return the CronJob that owns a Job; None: none does, or it is gone."""
        owner = job.metadata.controller_owner
        if owner is None or owner.kind != "CronJob":
            return None
        cronjob = self._caches.cronjobs.store.get((self._caches.namespace, owner.name))
        return cronjob if cronjob is not None and cronjob.metadata.uid == owner.uid else None

    def _chain(self, job: Job) -> Target | None:
        owner = job.metadata.controller_owner
        made_for = job.metadata
        if owner is not None and owner.kind == "CronJob":
            if (cronjob := self._cronjob(job)) is None:
                return None
            made_for, owner = cronjob.metadata, cronjob.metadata.controller_owner
        if owner is None or owner.kind != KIND:
            return None
        probe = self._caches.probe(owner.name)
        if probe is None or probe.metadata.uid != owner.uid:
            return None
        return target_of(made_for)
