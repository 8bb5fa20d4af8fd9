"""Maintenance is not an outage: what follows from it for targets, their CronJobs and their runs.

`Targets` asks whose CronJobs are to be suspended, `Runs` what excuses a bad run, `Conditions` what is
suppressed now. Which nodes are under maintenance is known by `nodewatch`.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import structlog

from pie.controller.nodewatch import NodeWatch
from pie.controller.observe import Caches
from pie.controller.queue import WorkQueue
from pie.core.excuse import excusable, excuse, lived_until
from pie.core.judge import Judgement
from pie.core.longsuppressed import Overdue
from pie.core.model import Probe, Target, Verdict
from pie.core.reasons import Reason
from pie.core.schedule import next_due, spread_seconds
from pie.core.suppress import Suppression
from pie.core.timeline import Run
from pie.kube.client import Client
from pie.serve.suppressed import SuppressedSeries

_log = structlog.get_logger()

OnDue = Callable[[Target, float, Reason], None]

# After a due time, how long the CronJob controller may take to start the run before it counts as not started.
_DUE_SLACK_MINUTES = 1 / 6
# A CronJob is resumed so soon after its due time; the run that it missed starts at once.
_RESUME_WITHIN_MINUTES = 1 / 3


@dataclass(frozen=True, slots=True)
class _Resumption:
    """When a CronJob is to be resumed (`at`), so that it starts the run of the due time just before."""

    due: float
    at: float


class Maintenance:
    """What rests, what is excused, and what is counted as suppressed; `revision` grows with what rests."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue, series: SuppressedSeries) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._series = series
        self._nodes = NodeWatch(client, caches, queue, self._changed)
        self._resumptions: dict[Target, _Resumption] = {}
        self._dues: dict[Target, float] = {}
        self._on_due: OnDue | None = None
        self.revision = 0
        queue.handle("due", self._due)

    def start(self, on_due: OnDue) -> None:
        """Begin, after `Targets`. `on_due` is told of each due time at which no run was started."""
        self._on_due = on_due
        self._nodes.start()

    # Told and asked by Targets.

    def follow(self, probe: Probe, nodes: set[str]) -> None:
        """Follow the nodes of a PieProbe, whose spec or nodes are new; the set is kept up to date."""
        known = self._nodes.probe(probe.name)
        if known is not None and known.uid != probe.uid:
            self.forget(probe.name)
        self._series.add(probe)
        self._nodes.follow(probe, nodes)

    def forget(self, probe: str) -> None:
        """Forget a PieProbe that is gone."""
        self._nodes.forget(probe)
        self._series.remove(probe)
        for target in [target for target in self._resumptions if target.probe == probe]:
            del self._resumptions[target]

    def suspended(self, target: Target) -> bool:
        """Tell whether the target's CronJob is to be suspended now.

        It is while no run can be expected to work, and then until just after its next due time: an
        unsuspended CronJob runs a missed schedule at once, so nodes that come back together would all do.
        """
        probe, now = self._nodes.probe(target.probe), self._client.now()
        if probe is None:
            return self._is_suspended(target)
        if (why := self.suppression(target)) is not None and why.blocks:
            missed = self._resumptions.pop(target, None)
            if missed is not None and missed.due <= now and self._on_due is not None:
                # Its run was to start with the resumption, which does not come now.
                self._on_due(target, missed.due, why.reason)
            self._expect_due(target, probe, now)
            return True
        if not self._is_suspended(target):
            self._resumptions.pop(target, None)
            return False
        due = next_due(target, probe.period_seconds, now, probe.minute_seconds)
        soon = _Resumption(due, due + spread_seconds(target, _RESUME_WITHIN_MINUTES * probe.minute_seconds))
        resume = self._resumptions.setdefault(target, soon)
        if now < resume.at:
            self._queue.add("target", target, after_seconds=max(0.05, resume.at - now))
        return now < resume.at

    def _is_suspended(self, target: Target) -> bool:
        return any(each.spec.suspend for each in self._caches.cronjobs_of.get(target, {}).values())

    # Asked by Runs and Conditions.

    def suppression(self, target: Target) -> Suppression | None:
        """Return why runs of the target are suppressed now, if they are."""
        return self._nodes.suppression(target)

    def usable(self, probe: str) -> set[str]:
        """Return the matching nodes of a PieProbe that are not suppressed."""
        return self._nodes.usable(probe)

    def excuse(self, run: Run, judgement: Judgement) -> Judgement:
        """Return the judgement of a run, suppressed if maintenance explains it."""
        if (probe := self._nodes.probe(run.target.probe)) is None:
            return judgement
        node = run.pod.spec.node_name if run.pod is not None else ""
        if judgement.ended and judgement.verdict is Verdict.OK:
            self._nodes.prove(probe.name, run.target.node or node, run.created_seconds)
        if not excusable(judgement):
            return judgement
        now = self._client.now()
        span = self._nodes.span(run.target, run.created_seconds, lived_until(run, judgement, now), node)
        return excuse(judgement, run, probe, span, now)

    def count(self, target: Target, reason: Reason, times: int = 1) -> None:
        """Count suppressed runs."""
        self._series.count(target, reason, times)

    def overdue(self, probe: str) -> list[Overdue]:
        """Return the nodes of a PieProbe that have been suppressed for longer than its maxDuration.

        The status is looked at again when the next one will be.
        """
        found, next_in = self._nodes.overdue(probe)
        if next_in is not None:
            self._queue.add("status", probe, after_seconds=max(1.0, next_in))
        return found

    # What happens by itself.

    def _changed(self, target: Target, before: Suppression | None, now: Suppression | None) -> None:
        if _kind(before) == _kind(now):
            return
        self.revision += 1
        if now is not None:
            _log.info("suppressed", target=str(target), reason=now.reason.value, message=now.message)
        else:
            _log.info("no longer suppressed", target=str(target))
        self._series.show(target, now.reason if now is not None else None)
        self._queue.add("target", target)
        self._queue.add("status", target.probe)

    def _expect_due(self, target: Target, probe: Probe, now: float) -> None:
        due = next_due(target, probe.period_seconds, now, probe.minute_seconds)
        count_at = self._dues.setdefault(target, due) + _DUE_SLACK_MINUTES * probe.minute_seconds
        self._queue.add("due", target, after_seconds=max(0.05, count_at - now))

    async def _due(self, thing: Hashable) -> None:
        """Have a suppressed run counted for a due time that passed while the CronJob was suspended."""
        if not isinstance(thing, Target):
            raise TypeError(f"not a target: {thing!r}")
        probe, due, now = self._nodes.probe(thing.probe), self._dues.get(thing), self._client.now()
        if due is None or probe is None:
            self._dues.pop(thing, None)
            return
        if now >= due + _DUE_SLACK_MINUTES * probe.minute_seconds:
            del self._dues[thing]
            span = self._nodes.span(thing, due, due)
            if span is not None and self._on_due is not None:
                self._on_due(thing, due, span.why.reason)
        if (why := self.suppression(thing)) is not None and why.blocks:
            self._expect_due(thing, probe, now)


def _kind(why: Suppression | None) -> tuple[Reason, bool] | None:
    return (why.reason, why.blocks) if why is not None else None
