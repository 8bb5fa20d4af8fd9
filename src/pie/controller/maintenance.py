"""Maintenance is not an outage: what follows from it for targets, their CronJobs and their runs.

`Targets` asks whose CronJobs are to be suspended, `Runs` what excuses a bad run, `StatusWriter` what is
suppressed now. Which nodes are under maintenance is known by `nodewatch`.
"""

import structlog

from pie.controller.caches import Caches
from pie.controller.nodewatch import NodeWatch
from pie.controller.queue import WorkQueue
from pie.core.judge import Judgement
from pie.core.maintenance.excuse import excusable, excuse, lived_until
from pie.core.maintenance.now import Suppression
from pie.core.maintenance.overdue import Overdue
from pie.core.model import Probe, Target, Verdict
from pie.core.reasons import Reason
from pie.core.schedule import next_due, spread_seconds
from pie.core.timeline import Run
from pie.kube.client import Client
from pie.serve.suppressed import SuppressedSeries

_log = structlog.get_logger()

# A CronJob is resumed so soon after its due time; the run that it missed starts at once.
_RESUME_WITHIN_MINUTES = 1 / 3


class Maintenance:
    """What is suppressed, and what is excused; `revision` grows with what is suppressed."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue, series: SuppressedSeries) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._series = series
        self._nodes = NodeWatch(client, caches, queue, self._changed)
        self._resume_at: dict[Target, float] = {}
        self._resumed_at: dict[Target, float] = {}
        self.revision = 0

    def start(self) -> None:
        """Begin, after `Targets`."""
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

    def forget_target(self, target: Target) -> None:
        """Forget a target that ended."""
        self._resume_at.pop(target, None)
        self._resumed_at.pop(target, None)

    def suspended_since(self, target: Target) -> float | None:
        """Return since when the target is suppressed, if its CronJob is to be suspended now.

        It is while no run can be expected to work, and then until just after its next due time: an
        unsuspended CronJob runs a missed schedule at once, so nodes that come back together would all do.
        """
        probe, now = self._nodes.probe(target.probe), self._client.now()
        since = self._nodes.suppressed_since(target) or now
        why = self.suppression(target)
        if why is not None and why.blocks:
            self._resume_at.pop(target, None)
            return since
        if not self._is_suspended(target):
            self._resume_at.pop(target, None)
            return None
        if probe is None:
            return since
        due = next_due(target, probe.period_seconds, now, probe.minute_seconds)
        soon = due + spread_seconds(target, _RESUME_WITHIN_MINUTES * probe.minute_seconds)
        resume_at = self._resume_at.setdefault(target, soon)
        if now >= resume_at:
            self._resumed_at[target] = now
            return None
        self._queue.add("target", target, after_seconds=max(0.05, resume_at - now))
        return since

    def _is_suspended(self, target: Target) -> bool:
        return any(each.spec.suspend for each in self._caches.cronjobs_of.get(target, {}).values())

    # Asked by Runs, Missed and StatusWriter.

    def suppression(self, target: Target) -> Suppression | None:
        """Return why runs of the target are suppressed now, if they are."""
        return self._nodes.suppression(target)

    def judged_since(self, target: Target) -> float:
        """Return when a suppression of the target ended last, epoch seconds; 0.0: none that is remembered."""
        return self._nodes.judged_since(target)

    def follows(self, probe: str) -> bool:
        """Tell whether the nodes of a PieProbe are known, and so what is suppressed."""
        return self._nodes.probe(probe) is not None

    def resumed_at(self, target: Target) -> float:
        """Return when the target's CronJob was resumed last, epoch seconds; 0.0: not by this controller."""
        return self._resumed_at.get(target, 0.0)

    def kept_from_starting(self, target: Target, due: float) -> Reason | None:
        """Return why no run was started for a due time, up to now; None: maintenance does not explain it."""
        span = self._nodes.span(target, due, self._client.now())
        return span.why.reason if span is not None else None

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

    def fall_silent(self, node: str, why: Suppression, until: float) -> None:
        """Note that a node's kubelet was found silent at `until`: it excuses runs on the node up to then."""
        self._nodes.fall_silent(node, why, until)

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


def _kind(why: Suppression | None) -> tuple[Reason, bool] | None:
    return (why.reason, why.blocks) if why is not None else None
