"""A bad provision run is not the class's verdict yet: it is followed at once by a run elsewhere.

A new application needs *some* node where a fresh volume works. So a one-off Job, owned by the PieProbe, tries
again without the node that the first run was bound to, and its verdict is that of the due time.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum

import structlog

from pie.controller.caches import Caches
from pie.controller.incidentkeeper import IncidentKeeper
from pie.controller.maintenance import Maintenance
from pie.controller.queue import WorkQueue
from pie.core.batch.manifests import follow_up_job
from pie.core.batch.wire import Job
from pie.core.judge import Judgement
from pie.core.model import Probe, Target, Verdict
from pie.core.timeline import Run
from pie.kube.client import Client
from pie.kube.errors import AlreadyExists
from pie.kube.resources import JOBS

_log = structlog.get_logger()

# A follow-up run that does not exist so long after it was asked for is not waited for any more.
PATIENCE_SECONDS = 30.0


class Speaker(Enum):
    """Who speaks for a bad provision run."""

    ITSELF = "itself"
    FOLLOW_UP = "follow-up"
    LATER = "later"
    """Not decided: a follow-up run is about to start, or one for an earlier due time is still under way."""


@dataclass(slots=True)
class _Asked:
    """A follow-up run: for which run, what was said of that one, the due time; asked for at (our clock)."""

    probe: Probe
    follows: Run
    said: Judgement
    cronjob: str
    due: float
    at: float


class FollowUps:
    """The follow-up runs of provision targets; at most one is under way for each."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        maintenance: Maintenance,
        incidents: IncidentKeeper,
        image: str,
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._maintenance = maintenance
        self._incidents = incidents
        self._image = image
        self._asked: dict[Target, _Asked] = {}
        self._failed_at: dict[Target, float] = {}
        self._followed: set[str] = set()
        queue.handle("followup", self._start)

    def forget(self, target: Target) -> None:
        """Forget a target that ended."""
        self._asked.pop(target, None)
        self._failed_at.pop(target, None)

    def see(self, follows: str) -> None:
        """Note that a run, by the uid of its Job, has a follow-up run."""
        self._followed.add(follows)
        self._queue.add("run", follows)

    def forget_run(self, uid: str) -> None:
        """Forget a run that is gone."""
        self._followed.discard(uid)

    def ended(self, target: Target, follows: str, judgement: Judgement) -> None:
        """Note how the follow-up run of a run ended; if all is well there, tell of the first run's node."""
        if judgement.bad:
            self._failed_at[target] = self._client.now()
        asked = self._asked.get(target)
        if judgement.verdict is Verdict.OK and asked is not None and asked.follows.job_uid == follows:
            self._incidents.tell_of_node(target.probe, asked.follows.node, asked.said)

    def speaker(
        self, run: Run, probe: Probe, judgement: Judgement, *, due: float | None, under_way: float | None
    ) -> Speaker:
        """Return who speaks for a bad run of the schedule; have a follow-up run started where one is to.

        `due` is the first due time of the run's life that nothing is counted for: while the first run stays
        unfinished, each has a follow-up run of its own. `under_way` is the due time of the follow-up run that
        is not over, which counts those that it stands in the way of itself.
        """
        asked, now = self._asked.get(run.target), self._client.now()
        if due is None:
            followed = under_way is not None or run.job_uid in self._followed
            return Speaker.FOLLOW_UP if followed else Speaker.ITSELF
        if under_way is not None:
            return Speaker.FOLLOW_UP if under_way >= due else Speaker.LATER
        if due <= self._failed_at.get(run.target, 0.0):
            return Speaker.ITSELF  # It failed elsewhere, too, after this was due.
        if asked is not None and asked.due >= due:
            return Speaker.LATER if now < asked.at + PATIENCE_SECONDS else Speaker.ITSELF
        node, cronjob = run.node, next(iter(self._caches.cronjobs_of.get(run.target, {})), None)
        if not node or cronjob is None or not self._maintenance.usable(probe.name) - {node}:
            return Speaker.ITSELF
        _log.warning(
            "a new volume could not be used in time on one node, trying elsewhere",
            target=str(run.target),
            node=node,
            reason=judgement.reason.value,
            message=judgement.message,
        )
        self._asked[run.target] = _Asked(probe, run, judgement, cronjob, due, now)
        self._queue.add("followup", run.target)
        return Speaker.LATER

    async def _start(self, thing: Hashable) -> None:
        if not isinstance(thing, Target):
            raise TypeError(f"not a target: {thing!r}")
        asked = self._asked.get(thing)
        if asked is None or self._client.now() > asked.at + PATIENCE_SECONDS:
            return  # The first run has spoken for itself.
        manifest = follow_up_job(
            asked.probe,
            thing,
            cronjob=asked.cronjob,
            due_seconds=asked.due,
            without=asked.follows.node,
            follows=asked.follows.job_uid,
            image=self._image,
        )
        try:
            await self._client.create(JOBS, manifest, self._caches.namespace, decode=Job)
        except AlreadyExists:
            _log.debug("the follow-up run exists already", target=str(thing))
