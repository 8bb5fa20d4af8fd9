"""Which nodes are under maintenance, in the eyes of each PieProbe, and what follows for its targets and runs.

Per PieProbe a history of each matching node, followed by events and by time. `Targets` asks whose CronJobs
are to be suspended, `Runs` what excuses a bad run, `Conditions` what is suppressed now.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import structlog

from pie.controller.observe import Caches
from pie.controller.queue import WorkQueue
from pie.core.excuse import everywhere, excusable, excuse, lived_until, nowhere
from pie.core.judge import Judgement
from pie.core.longsuppressed import Overdue
from pie.core.model import Kind, Probe, Target, Verdict
from pie.core.nodehistory import NodeHistory, Span, observe, prove
from pie.core.objects import Node
from pie.core.reasons import Reason
from pie.core.schedule import next_due, spread_seconds
from pie.core.suppress import Suppression
from pie.core.timeline import Run
from pie.kube.client import Client
from pie.kube.resources import NODES
from pie.serve.suppressed import SuppressedSeries

_log = structlog.get_logger()

OnDue = Callable[[Target, float, Reason], None]

# After a due time, how long the CronJob controller may take to start the run before it counts as not started.
_DUE_SLACK_SECONDS = 10.0
# A CronJob is resumed so soon after its due time; the run that it missed starts at once.
_RESUME_WITHIN_SECONDS = 20.0
# A run on a node that is gone ends within an hour (the longest period) and is judged.
_REMEMBER_SECONDS = 7200.0


@dataclass(frozen=True, slots=True)
class _Resumption:
    """When a CronJob is to be resumed (`at`), so that it starts the run of the due time just before."""

    due: float
    at: float


@dataclass(slots=True)
class _Followed:
    """A PieProbe, the names of its matching nodes, and what they went through.

    `nodes` is the set that `Targets` keeps; `suppressed` are those of them that are suppressed now, and
    `blocked` those where no run can be expected to work. `gone_at` are nodes that were deleted.
    """

    probe: Probe
    nodes: set[str]
    histories: dict[str, NodeHistory] = field(default_factory=dict)
    suppressed: set[str] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)
    gone_at: dict[str, float] = field(default_factory=dict)
    whole: Suppression | None = None


class Maintenance:
    """The histories of nodes, and what they mean for targets and runs."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue, series: SuppressedSeries) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._series = series
        self._followed: dict[str, _Followed] = {}
        self._resume_at: dict[Target, _Resumption] = {}
        self._due_at: dict[Target, float] = {}
        self._on_due: OnDue | None = None
        queue.handle("maintenance", self._look_again)
        queue.handle("due", self._due)

    def start(self, on_due: OnDue) -> None:
        """Begin to follow nodes, after `Targets` does: its sets of matching nodes come first.

        `on_due` is told of each due time at which a target was suppressed.
        """
        self._on_due = on_due
        self._caches.listen(NODES, self._node_changed)

    # Told by Targets.

    def follow(self, probe: Probe, nodes: set[str]) -> None:
        """Follow the nodes of a PieProbe, whose spec or nodes are new."""
        followed = self._followed.get(probe.name)
        if followed is None or followed.probe.uid != probe.uid:
            self.forget(probe.name)
            followed = self._followed[probe.name] = _Followed(probe, nodes)
        followed.probe, followed.nodes = probe, nodes
        self._series.add(probe)
        for name in nodes | followed.histories.keys() - followed.gone_at.keys():
            self._observe(followed, name)
        self._settle(followed)

    def forget(self, probe: str) -> None:
        """Forget a PieProbe that is gone."""
        self._followed.pop(probe, None)
        self._series.remove(probe)
        for target in [target for target in self._resume_at if target.probe == probe]:
            del self._resume_at[target]

    def suspended(self, target: Target) -> bool:
        """Tell whether the target's CronJob is to be suspended now.

        It is while no run can be expected to work, and then until just after its next due time: an
        unsuspended CronJob runs a missed schedule at once, so nodes that come back together would all do.
        """
        followed, now = self._followed.get(target.probe), self._client.now()
        if followed is None:
            return self._is_suspended(target)
        period_seconds = followed.probe.period_seconds
        if (why := self.suppression(target)) is not None and why.blocks:
            missed = self._resume_at.pop(target, None)
            if missed is not None and missed.due <= now and self._on_due is not None:
                # Its run was to start with the resumption, which does not come now.
                self._on_due(target, missed.due, why.reason)
            self._expect_due(target, period_seconds, now)
            return True
        if not self._is_suspended(target):
            self._resume_at.pop(target, None)
            return False
        due = next_due(target, period_seconds, now)
        soon = _Resumption(due, due + spread_seconds(target, _RESUME_WITHIN_SECONDS))
        resume = self._resume_at.setdefault(target, soon)
        if now < resume.at:
            self._queue.add("target", target, after_seconds=max(0.05, resume.at - now))
        return now < resume.at

    def _is_suspended(self, target: Target) -> bool:
        return any(each.spec.suspend for each in self._caches.cronjobs_of.get(target, {}).values())

    # Asked by Runs and Conditions.

    def suppression(self, target: Target) -> Suppression | None:
        """Return why runs of the target are suppressed now, if they are."""
        followed = self._followed.get(target.probe)
        if followed is None:
            return None
        if target.kind is Kind.PROVISION:
            return followed.whole
        history = followed.histories.get(target.node) if target.node in followed.nodes else None
        return history.current if history is not None else None

    def excuse(self, run: Run, judgement: Judgement) -> Judgement:
        """Return the judgement of a run, suppressed if maintenance explains it."""
        followed = self._followed.get(run.target.probe)
        if followed is None:
            return judgement
        node = run.pod.spec.node_name if run.pod is not None else ""
        if judgement.ended and judgement.verdict is Verdict.OK:
            self._prove(followed, run.target.node or node, run.created_seconds)
        if not excusable(judgement):
            return judgement
        now = self._client.now()
        until = lived_until(run, judgement, now)
        span = self._span(followed, run.target, run.created_seconds, until, node)
        return excuse(judgement, run, followed.probe, span, now)

    def count(self, target: Target, reason: Reason, times: int = 1) -> None:
        """Count suppressed runs."""
        self._series.count(target, reason, times)

    def usable(self, probe: str) -> set[str]:
        """Return the matching nodes of a PieProbe that are not suppressed."""
        followed = self._followed.get(probe)
        return followed.nodes - followed.suppressed if followed is not None else set()

    def overdue(self, probe: str) -> list[Overdue]:
        """Return the nodes of a PieProbe that have been suppressed for longer than its maxDuration.

        The status is looked at again when the next one will be.
        """
        if (followed := self._followed.get(probe)) is None:
            return []
        longest, now = followed.probe.suppression.max_duration_seconds, self._client.now()
        found, next_in = [], longest
        for name in followed.suppressed:
            history = followed.histories[name]
            if (why := history.current) is None or (since := history.suppressed_since) is None:
                continue
            if now - since >= longest:
                found.append(Overdue(name, why))
            else:
                next_in = min(next_in, since + longest - now)
        if len(found) < len(followed.suppressed):
            self._queue.add("status", probe, after_seconds=max(1.0, next_in))
        return found

    # Following nodes.

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        node = new or old
        if node is None:
            return
        name = node.metadata.name
        for followed in self._followed.values():
            if name in followed.nodes or name in followed.histories:
                self._observe(followed, name)
                self._settle(followed)

    async def _look_again(self, thing: Hashable) -> None:
        """Look at a node (probe, name) because a grace ends by time alone."""
        probe, name = thing if isinstance(thing, tuple) else ("", "")
        if (followed := self._followed.get(probe)) is not None and name in followed.nodes:
            self._observe(followed, name)
            self._settle(followed)

    def _observe(self, followed: _Followed, name: str) -> None:
        now = self._client.now()
        before = followed.histories.get(name)
        node = self._caches.nodes.store.get(("", name))
        if node is None:
            self._remember_gone(followed, name, now)
        elif name not in followed.nodes:
            followed.histories.pop(name, None)
        else:
            followed.gone_at.pop(name, None)
            followed.histories[name] = observe(before, node, followed.probe, now)
        self._note(followed, name, before.current if before is not None else None)

    def _remember_gone(self, followed: _Followed, name: str, now: float) -> None:
        followed.gone_at.setdefault(name, now)
        self._resume_at.pop(followed.probe.target(Kind.MOUNT, name), None)
        followed.histories[name] = observe(followed.histories.get(name), None, followed.probe, now)
        for old in [old for old, at in followed.gone_at.items() if at < now - _REMEMBER_SECONDS]:
            del followed.gone_at[old]
            followed.histories.pop(old, None)

    def _prove(self, followed: _Followed, name: str, began: float) -> None:
        """Note a good run on a node, which ends its grace."""
        if (history := followed.histories.get(name)) is None:
            return
        followed.histories[name] = prove(history, began, self._client.now())
        if history.current is not None:
            self._note(followed, name, history.current)
            self._settle(followed)

    def _note(self, followed: _Followed, name: str, before: Suppression | None) -> None:
        """Do what follows from a node's new history."""
        history = followed.histories.get(name)
        now = history.current if history is not None and name in followed.nodes else None
        _put(followed.suppressed, name, now is not None)
        _put(followed.blocked, name, now is not None and now.blocks)
        if now is not None and now.ends_at is not None:
            wait_seconds = max(0.05, now.ends_at - self._client.now())
            self._queue.add("maintenance", (followed.probe.name, name), after_seconds=wait_seconds)
        if followed.probe.mount_enabled:
            target = followed.probe.target(Kind.MOUNT, name)
            self._changed(target, before, now)

    def _settle(self, followed: _Followed) -> None:
        """Bring up to date whether the whole class is suppressed."""
        before = followed.whole
        everything = bool(followed.nodes) and len(followed.suppressed) == len(followed.nodes)
        if not everything:
            followed.whole = None
        elif before is None or before.blocks != (len(followed.blocked) == len(followed.nodes)):
            found = [why for name in followed.nodes if (why := followed.histories[name].current)]
            followed.whole = nowhere(found)
        if followed.probe.provision_enabled:
            self._changed(followed.probe.target(Kind.PROVISION), before, followed.whole)

    def _changed(self, target: Target, before: Suppression | None, now: Suppression | None) -> None:
        if _kind(before) == _kind(now):
            return
        if now is not None:
            _log.info("suppressed", target=str(target), reason=now.reason.value, message=now.message)
        else:
            _log.info("no longer suppressed", target=str(target))
        self._series.show(target, now.reason if now is not None else None)
        self._queue.add("target", target)
        self._queue.add("status", target.probe)

    # Runs that are not even started.

    def _expect_due(self, target: Target, period_seconds: int, now: float) -> None:
        due = self._due_at.setdefault(target, next_due(target, period_seconds, now))
        self._queue.add("due", target, after_seconds=max(0.05, due + _DUE_SLACK_SECONDS - now))

    async def _due(self, thing: Hashable) -> None:
        """Have a suppressed run counted for a due time that passed while the CronJob was suspended."""
        if not isinstance(thing, Target):
            raise TypeError(f"not a target: {thing!r}")
        now = self._client.now()
        due = self._due_at.get(thing)
        followed = self._followed.get(thing.probe)
        if due is None or followed is None:
            self._due_at.pop(thing, None)
            return
        period_seconds = followed.probe.period_seconds
        if now >= due + _DUE_SLACK_SECONDS:
            del self._due_at[thing]
            span = self._span(followed, thing, due, due, "")
            if span is not None and self._on_due is not None:
                self._on_due(thing, due, span.why.reason)
        if (why := self.suppression(thing)) is not None and why.blocks:
            self._expect_due(thing, period_seconds, now)

    def _span(
        self, followed: _Followed, target: Target, since: float, until: float, node: str
    ) -> Span | None:
        """Return the maintenance that explains what a target's run did in [since, until]."""
        name = target.node or node
        history = followed.histories.get(name)
        if name and history is not None and (span := history.during(since, until)) is not None:
            return span
        if target.kind is Kind.MOUNT:
            return None
        return everywhere([followed.histories.get(each) for each in followed.nodes], since, until)


def _kind(why: Suppression | None) -> tuple[Reason, bool] | None:
    return (why.reason, why.blocks) if why is not None else None


def _put(names: set[str], name: str, wanted: bool) -> None:
    (names.add if wanted else names.discard)(name)
