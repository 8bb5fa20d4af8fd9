"""Due times at which Kubernetes started no run at all: without this, a dead control plane would be silence.

Runs are judged from their Jobs. When kube-controller-manager is down or far behind there are none, so the
schedule itself is watched: some time after each due time there must be a Job for it.
"""

from collections.abc import Callable, Hashable
from typing import Final

from pie.controller.maintenance import Maintenance
from pie.controller.observe import Caches
from pie.controller.queue import WorkQueue
from pie.core.model import Probe, Target
from pie.core.schedule import next_due
from pie.kube.client import Client

_PATIENCE_SECONDS: Final = 30.0
"""The CronJob controller is some seconds late in a large cluster, and pie itself resumes CronJobs later."""

_ASK_AGAIN_SECONDS: Final = 5.0


class Missed:
    """Watches the schedule of each target.

    `last_due` tells the due time of a target's newest run, `on_missed` is told of a due time without one.
    """

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        maintenance: Maintenance,
        last_due: Callable[[Target], float],
        on_missed: Callable[[Target, float], None],
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._maintenance = maintenance
        self._last_due = last_due
        self._on_missed = on_missed
        self._probes: dict[Target, Probe] = {}
        self._due: dict[Target, float] = {}
        queue.handle("missed", self._look)

    def follow(self, target: Target, probe: Probe | None) -> None:
        """Watch a target's schedule, by this spec; None: no more."""
        if probe is None:
            self._probes.pop(target, None)
            self._due.pop(target, None)
            return
        known = self._probes.get(target)
        self._probes[target] = probe
        if known is None or known.period_seconds != probe.period_seconds:
            self._await(target, probe, self._client.now())

    def _await(self, target: Target, probe: Probe, after: float) -> None:
        due = self._due[target] = next_due(target, probe.period_seconds, after, probe.minute_seconds)
        wait_seconds = self._late_at(probe, due) - self._client.now()
        self._queue.add("missed", target, after_seconds=max(0.05, wait_seconds))

    @staticmethod
    def _late_at(probe: Probe, due: float) -> float:
        return due + max(probe.threshold_seconds, _PATIENCE_SECONDS)

    async def _look(self, thing: Hashable) -> None:
        if not isinstance(thing, Target):
            raise TypeError(f"not a target: {thing!r}")
        probe, due = self._probes.get(thing), self._due.get(thing)
        if probe is None or due is None:
            return
        late_at, now = self._late_at(probe, due), self._client.now()
        if now < late_at:
            self._queue.add("missed", thing, after_seconds=late_at - now)
            return
        if self._expected(thing, due) and self._caches.jobs.heard_at < late_at:
            # The Job may be there, and the watch behind.
            self._caches.jobs.confirm()
            self._queue.add("missed", thing, after_seconds=_ASK_AGAIN_SECONDS)
            return
        if self._expected(thing, due):
            self._on_missed(thing, due)
        # After a long silence, only the newest due time is worth a word.
        self._await(thing, probe, max(due, now - probe.period_seconds))

    def _expected(self, target: Target, due: float) -> bool:
        """Tell whether a run should have been started for a due time, and was not, as far as we know."""
        cronjobs = self._caches.cronjobs_of.get(target, {}).values()
        active = any(
            each.spec.suspend or each.status.active or each.metadata.created_seconds >= due
            for each in cronjobs
        )
        suppressed = self._maintenance.suppression(target) is not None
        return bool(cronjobs) and not active and not suppressed and self._last_due(target) < due
