"""A bad target is probed again before its next due time, so that an incident opens and closes sooner.

The runs are one-off Jobs owned by the PieProbe. They are few (each wait is twice the one before, and none
comes close to the next due time), never started on a target that hangs or has a run under way, and not
counted in the series that count due times. A mount probe's lock on
its volume keeps two runs apart in any case.
"""

from collections.abc import Callable, Hashable, Mapping

import structlog

from pie.controller.caches import Caches
from pie.controller.maintenance import Maintenance
from pie.controller.queue import WorkQueue
from pie.core.batch.manifests import retry_job
from pie.core.batch.wire import Job
from pie.core.model import Kind, Probe, Target
from pie.core.schedule import CLEAR_OF_DUE_SECONDS, next_due, retry_wait_seconds
from pie.kube.client import Client
from pie.kube.errors import AlreadyExists
from pie.kube.resources import JOBS

_log = structlog.get_logger()


class Retries:
    """Starts the runs. `probes` are the targets whose runs count, and by which spec.

    `wants` tells whether a target is bad, not hung, and has no run under way.
    """

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        maintenance: Maintenance,
        image: str,
        probes: Mapping[Target, Probe],
        wants: Callable[[Target], bool],
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._maintenance = maintenance
        self._image = image
        self._wants = wants
        self._probes = probes
        self._waited: dict[Target, float] = {}
        queue.handle("retry", self._start)

    def forget(self, target: Target) -> None:
        """Forget a target that ended."""
        self._waited.pop(target, None)

    def ended(self, target: Target, *, on_schedule: bool) -> None:
        """Have a target early run, if the run that ended left it bad."""
        probe = self._probes.get(target)
        if probe is None or not self._wants(target):
            self._waited.pop(target, None)
            return
        before = 0.0 if on_schedule else self._waited.get(target, 0.0)
        wait = retry_wait_seconds(target, probe.period_seconds, self._client.now(), before)
        if wait is None:
            self._waited.pop(target, None)
            return
        self._waited[target] = wait
        self._queue.add("retry", target, after_seconds=wait)

    async def _start(self, thing: Hashable) -> None:
        if not isinstance(thing, Target):
            raise TypeError(f"not a target: {thing!r}")
        probe = self._probes.get(thing)
        if probe is None or not self._wants(thing) or self._maintenance.suppression(thing) is not None:
            return
        now = self._client.now()
        # A provision run asks for a new volume, a mount run for its own.
        claim = (
            "" if thing.kind is Kind.PROVISION else next(iter(self._caches.claims_of.get(thing, {})), None)
        )
        cronjob = next(iter(self._caches.cronjobs_of.get(thing, {}).values()), None)
        if claim is None or cronjob is None or cronjob.spec.suspend or cronjob.status.active:
            return
        if now > next_due(thing, probe.period_seconds, now, probe.minute_seconds) - CLEAR_OF_DUE_SECONDS:
            return
        manifest = retry_job(
            probe, thing, cronjob=cronjob.metadata.name, claim=claim, at_seconds=now, image=self._image
        )
        _log.info("probing a bad target again", target=str(thing))
        try:
            await self._client.create(JOBS, manifest, self._caches.namespace, decode=Job)
        except AlreadyExists:
            _log.debug("probed again already", target=str(thing))
