"""What is known of a run beyond its objects: moments that were seen, Warning Events, the attachment.

Objects show their present state only. What has to be noted when it is seen is noted here, by the uid of the
pod (of the Job, while it has none), from the watch event itself, since a later look at the cache may come too
late.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Final

from pie.controller.attachmentstate import AttachmentReader
from pie.controller.caches import Caches
from pie.controller.queue import Lane, WorkQueue
from pie.controller.warnings import WarningEvents
from pie.core.batch.wire import Job
from pie.core.judge import Judgement
from pie.core.timeline import Run, Sightings, sight
from pie.core.wire import Claim, InvolvedObject, Pod
from pie.kube.client import Client
from pie.kube.resources import JOBS, PODS, PVCS

_ASK_AGAIN_SECONDS: Final = 10.0
"""An attachment that a bad run waits for is looked at no more often."""

PATIENCE_SECONDS: Final = 5.0
"""A run that has ended waits so long for what its attachment says, before it is recorded without."""


@dataclass(slots=True)
class _Known:
    """What was seen of one run, and what the API server was asked about it (by the controller's clock)."""

    seen: Sightings = field(default_factory=Sightings)
    run: Run | None = None
    asked_events: bool = False
    asked_attachment_at: float = 0.0
    knows_attachment: bool = False


class Witness:
    """The testimony about runs."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._known: dict[str, _Known] = {}
        self._attachments = AttachmentReader(client)
        self.warnings = WarningEvents(
            client, caches.namespace, self._warned, targets=lambda: len(caches.cronjobs_of)
        )
        queue.handle("events", self._recall_events, Lane.READS)
        queue.handle("attachment", self._look_at_attachment, Lane.READS)
        caches.listen(JOBS, self._job_changed)
        caches.listen(PODS, self._pod_changed)
        caches.listen(PVCS, self._claim_changed)

    def testify(self, run: Run) -> Run:
        """Return the run with what was seen of it and the warnings about its pod and claim, or its Job."""
        known = self._known.setdefault(_uid(run), _Known())
        uids = [_uid(run)]
        if run.pod is not None:
            known.seen = sight(known.seen, run.pod, run.claim, self._client.now())
            if run.claim is not None:
                uids.append(run.claim.metadata.uid)
        known.run = replace(run, seen=known.seen, warnings=self.warnings.about(*uids))
        return known.run

    def investigate(self, run: Run, judgement: Judgement) -> bool:
        """Ask the API server for what is missing to explain a run; what it says has the run judged again.

        True: the run has ended, and is to be recorded only with the answer. A short run may end before
        anybody saw it start, and its attachment goes soon after it.
        """
        if (known := self._known.get(_uid(run))) is None:
            return False
        ended, now = judgement.ended, self._client.now()
        if judgement.bad and not ended and not run.warnings and not known.asked_events:
            known.asked_events = True
            self._queue.add("events", _uid(run))
        waits = judgement.bad and not ended and known.seen.ready is None
        asked = known.knows_attachment or known.asked_attachment_at > now - _ASK_AGAIN_SECONDS
        if (waits or ended or known.seen.ready is not None) and not asked and self._may_attach(run):
            known.asked_attachment_at = now
            self._queue.add("attachment", _uid(run))
        return ended and not known.knows_attachment and now < known.asked_attachment_at + PATIENCE_SECONDS

    def forget(self, pod: Pod | None, job_uid: str = "") -> None:
        """Forget a run that is over."""
        self._known.pop(job_uid, None)
        if pod is not None:
            self._known.pop(pod.metadata.uid, None)

    # What the watches bring.

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        if new is None and old is not None:
            self._known.pop(old.metadata.uid, None)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None:
            known = self._known.setdefault(new.metadata.uid, _Known())
            known.seen = sight(known.seen, new, None, self._client.now())
        elif old is not None:
            owner, its = old.metadata.controller_owner, self._known.get(old.metadata.uid)
            followed = its is not None and its.run is not None  # `Runs` forgets it once it is counted.
            if not followed and (owner is None or owner.uid not in self._caches.jobs_by_uid):
                self.forget(old)

    def _claim_changed(self, _old: Claim | None, new: Claim | None) -> None:
        owner = new.metadata.controller_owner if new is not None else None
        if new is None or owner is None or owner.kind != "Pod" or new.metadata.deletion_timestamp is not None:
            return
        known = self._known.setdefault(owner.uid, _Known())
        known.seen = sight(known.seen, None, new, self._client.now())

    def _warned(self, about: InvolvedObject) -> None:
        if about.kind == "Job":
            self._queue.add("run", about.uid)
        if about.kind in {"Job", "CronJob"}:
            return  # A due time without a Job is judged when it is late.
        name = about.name
        if about.kind == "PersistentVolumeClaim":
            claim = self._caches.claims.store.get((about.namespace, name))
            owner = claim.metadata.controller_owner if claim is not None else None
            if owner is None or owner.kind != "Pod":
                return  # A mount target's: its run is judged again by itself.
            name = owner.name
        pod = self._caches.pods.store.get((about.namespace, name))
        owner = pod.metadata.controller_owner if pod is not None else None
        if owner is not None:
            self._queue.add("run", owner.uid)

    # What the API server is asked.

    async def _recall_events(self, thing: Hashable) -> None:
        """Recall what was said about a pod and its claim, or a Job (by uid), before anybody listened."""
        if (run := self._run(thing)) is None:
            return
        if await self.warnings.recall(_uid(run)) and run.pod is not None and run.claim is not None:
            await self.warnings.recall(run.claim.metadata.uid)
        self._queue.add("run", run.job_uid)

    def _run(self, thing: Hashable) -> Run | None:
        known = self._known.get(str(thing))
        return known.run if known is not None else None

    def _driver(self, run: Run) -> str | None:
        storage_class = self._caches.storage_classes.store.get(("", run.target.storage_class))
        return storage_class.provisioner if storage_class is not None else None

    def _may_attach(self, run: Run) -> bool:
        driver = self._driver(run)
        return driver is not None and self._attachments.possible(run, driver)

    async def _look_at_attachment(self, thing: Hashable) -> None:
        """Look at the attachment that a pod (by uid) waits for, or had."""
        run = self._run(thing)
        driver = self._driver(run) if run is not None else None
        if run is None or run.pod is None or driver is None:
            return
        found = await self._attachments.look(run, driver)
        if (known := self._known.get(str(thing))) is None:
            return
        # While a run waits, what is said may change.
        known.knows_attachment = found is None or run.pod.status.phase != "Pending"
        if found is not None:
            known.seen = found.added_to(known.seen)
        self._queue.add("run", run.job_uid)


def _uid(run: Run) -> str:
    """Return the uid under which a run is known: its pod's, or its Job's while it has no pod."""
    return run.pod.metadata.uid if run.pod is not None else run.job_uid
