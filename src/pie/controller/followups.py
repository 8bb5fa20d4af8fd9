"""A bad provision run is not the class's verdict yet: it is followed at once by a run elsewhere.

A new application needs *some* node where a fresh volume works. So a one-off Job, owned by the PieProbe, tries
again without the node that the first run was bound to, and its verdict is that of the due time.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import structlog

from pie.controller.maintenance import Maintenance
from pie.controller.observe import Caches
from pie.controller.queue import WorkQueue
from pie.core.judge import Judgement
from pie.core.manifests import follow_up_job
from pie.core.model import Kind, Probe, Target
from pie.core.naming import ANNOTATION_FOLLOWS, ANNOTATION_SELECTED_NODE
from pie.core.objects import Job
from pie.core.schedule import next_due
from pie.core.timeline import Run
from pie.kube.client import Client
from pie.kube.errors import AlreadyExists
from pie.kube.resources import JOBS

_log = structlog.get_logger()

# A follow-up run that does not exist so long after it was asked for is not waited for any more.
PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class _Asked:
    """A follow-up run: for which run and due time, without which node; asked for at (controller's clock)."""

    probe: Probe
    follows: str
    cronjob: str
    without: str
    due: float
    at: float
    seen: bool = False


class FollowUps:
    """The follow-up runs of provision targets; at most one is under way for each."""

    def __init__(
        self, client: Client, caches: Caches, queue: WorkQueue, *, maintenance: Maintenance, image: str
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._maintenance = maintenance
        self._image = image
        self._asked: dict[Target, _Asked] = {}
        queue.handle("followup", self._start)

    def forget(self, target: Target) -> None:
        """Forget a target that ended."""
        self._asked.pop(target, None)

    def see(self, target: Target, job: Job, due: float) -> None:
        """Note a Job that may be a follow-up run."""
        asked = self._asked.get(target)
        if asked is not None and ANNOTATION_FOLLOWS in job.metadata.annotations and asked.due <= due:
            asked.seen = True

    def under_way(self, target: Target) -> bool:
        """Tell whether the target's follow-up run exists; then the first run has no verdict of its own."""
        asked = self._asked.get(target)
        return asked is not None and asked.seen

    def takes_over(self, job: Job, run: Run, probe: Probe, judgement: Judgement, *, busy: bool) -> bool:
        """Tell whether a follow-up run speaks for a bad one; ask for one where there is none yet.

        While the first run stays unfinished, each due time has a follow-up run of its own, unless one is
        still under way (`busy`): that one counts them.
        """
        if run.target.kind is not Kind.PROVISION or ANNOTATION_FOLLOWS in job.metadata.annotations:
            return False
        node, owner, now = _bound_to(run), job.metadata.controller_owner, self._client.now()
        if not node or owner is None or not self._maintenance.usable(probe.name) - {node}:
            return False
        due = _newest_due(run, probe, now)
        asked = self._asked.get(run.target)
        if asked is None and busy:
            return True  # One that an earlier controller asked for.
        if asked is None or (asked.due < due and not busy):
            _log.warning(
                "a new volume could not be used in time on one node, trying elsewhere",
                target=str(run.target),
                node=node,
                reason=judgement.reason.value,
                message=judgement.message,
            )
            asked = _Asked(probe, run.job_uid, owner.name, node, due, now)
            self._asked[run.target] = asked
            self._queue.add("followup", run.target)
        return asked.seen or now < asked.at + PATIENCE_SECONDS

    async def _start(self, thing: Hashable) -> None:
        if not isinstance(thing, Target):
            raise TypeError(f"not a target: {thing!r}")
        asked = self._asked.get(thing)
        if asked is None or asked.seen:
            return
        manifest = follow_up_job(
            asked.probe,
            thing,
            cronjob=asked.cronjob,
            due_seconds=asked.due,
            without=asked.without,
            follows=asked.follows,
            image=self._image,
        )
        try:
            await self._client.create(JOBS, manifest, self._caches.namespace, decode=Job)
        except AlreadyExists:
            _log.debug("the follow-up run exists already", target=str(thing))
        asked.seen = True
        self._queue.add("run", asked.follows)


def _bound_to(run: Run) -> str:
    """Return the node that a run's volume is, or was to be, made for; empty where none was chosen."""
    if run.pod is not None and run.pod.spec.node_name:
        return run.pod.spec.node_name
    return run.claim.metadata.annotations.get(ANNOTATION_SELECTED_NODE, "") if run.claim is not None else ""


def _newest_due(run: Run, probe: Probe, now: float) -> float:
    newest = run.due_seconds
    due = next_due(run.target, probe.period_seconds, now - probe.period_seconds, probe.minute_seconds)
    while due <= now:
        newest = max(newest, due)
        due = next_due(run.target, probe.period_seconds, due, probe.minute_seconds)
    return newest
