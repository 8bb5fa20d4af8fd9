"""Due times for which there is no run: each is counted all the same.

Runs are judged from their Jobs. Where maintenance kept one from being started, the due time is suppressed;
otherwise Kubernetes started none, since kube-controller-manager is down or far behind: without this, a dead
control plane would be silence. So the schedule of each target is watched.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final

from pie.controller.caches import Caches
from pie.controller.maintenance import Maintenance
from pie.controller.queue import Lane, WorkQueue
from pie.controller.tally import Tally
from pie.core.batch.wire import CronJob
from pie.core.model import Probe, Target
from pie.core.schedule import next_due
from pie.kube.client import Client
from pie.kube.reflector import Reflector

_PATIENCE_MINUTES: Final = 0.5
"""The CronJob controller is some seconds late in a large cluster, and pie itself resumes CronJobs later."""

_ASK_AGAIN_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Watched:
    """A target's spec, its next due time that is not settled, and when there must be a run for it.

    `blocked`: an earlier run stood in its way.
    """

    probe: Probe
    due: float
    late_at: float
    blocked: bool = False


class Missed:
    """Watches the schedule of each target.

    `settled` tells whether a due time is counted, or has a run that will be; `in_the_way`, whether an earlier
    run is not over. (CronJob.status.active may be long out of date.)
    """

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        maintenance: Maintenance,
        settled: Callable[[Target, float], bool],
        in_the_way: Callable[[Target, float], bool],
        tally: Tally,
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._maintenance = maintenance
        self._settled = settled
        self._in_the_way = in_the_way
        self._tally = tally
        self._watched: dict[Target, _Watched] = {}
        queue.handle("missed", self._look, Lane.JUDGES)

    def follow(self, target: Target, probe: Probe) -> None:
        """Watch a target's schedule, by this spec."""
        known = self._watched.get(target)
        if known is None or known.probe.period_seconds != probe.period_seconds:
            self._await(target, probe, self._client.now())
        else:
            known.probe = probe

    def forget(self, target: Target) -> None:
        """Watch a target's schedule no more."""
        self._watched.pop(target, None)

    def open_due(self, target: Target) -> float | None:
        """Return a due time that has passed and is not settled, if there is one."""
        watched = self._watched.get(target)
        if watched is None or watched.due > self._client.now() or not self._meant(target, watched.due):
            return None
        return watched.due

    def _await(self, target: Target, probe: Probe, after: float) -> None:
        due = next_due(target, probe.period_seconds, after, probe.minute_seconds)
        late_at = due + max(probe.threshold_seconds, _PATIENCE_MINUTES * probe.minute_seconds)
        self._watched[target] = _Watched(probe, due, late_at)
        self._queue.add("missed", target, after_seconds=max(0.05, late_at - self._client.now()))

    async def _look(self, thing: Hashable) -> None:
        if not isinstance(thing, Target):
            raise TypeError(f"not a target: {thing!r}")
        if (watched := self._watched.get(thing)) is None:
            return
        now = self._client.now()
        if now < watched.late_at:
            self._queue.add("missed", thing, after_seconds=watched.late_at - now)
        elif self._meant(thing, watched.due) and not self._decide(thing, watched, now):
            self._queue.add("missed", thing, after_seconds=_ASK_AGAIN_SECONDS)
        else:
            # After a long silence, only the newest due time is worth a word.
            self._await(thing, watched.probe, max(watched.due, now - watched.probe.period_seconds))

    def _meant(self, target: Target, due: float) -> bool:
        """Tell whether there should be a run for a due time, and is none as far as we know."""
        cronjobs = self._cronjobs(target)
        there = bool(cronjobs) and all(each.metadata.created_seconds < due for each in cronjobs)
        return there and not self._settled(target, due)

    def _decide(self, target: Target, watched: _Watched, now: float) -> bool:
        """Count a due time that is late, if it is known by now why it has no run."""
        due, suspended = watched.due, any(each.spec.suspend for each in self._cronjobs(target))
        in_time = now < next_due(target, watched.probe.period_seconds, due, watched.probe.minute_seconds)
        if self._in_the_way(target, due):
            watched.blocked = True  # A bad one counts it, and after a good one the CronJob starts the run.
            return False
        reason = self._maintenance.kept_from_starting(target, due)
        patience_seconds = _PATIENCE_MINUTES * watched.probe.minute_seconds
        # A CronJob that is free again, or resumed, starts the run that it missed.
        may_start = in_time and (
            watched.blocked or suspended or now < self._maintenance.resumed_at(target) + patience_seconds
        )
        # The Job, or what kept it from being started, may be there, and the watch behind.
        caches: list[Reflector[Any]] = [self._caches.jobs]
        if reason is None and not may_start:
            caches.append(self._caches.nodes)
        if behind := [each for each in caches if each.heard_at < watched.late_at]:
            for each in behind:
                each.confirm()
            return False
        if reason is not None:
            self._tally.count_suppressed(target, due, reason)
        elif may_start:
            return False
        elif watched.blocked:
            self._tally.count_blocked(target, due)
        else:
            self._tally.count_missed(target, due, self._cronjobs(target))
        return True

    def _cronjobs(self, target: Target) -> list[CronJob]:
        return list(self._caches.cronjobs_of.get(target, {}).values())
