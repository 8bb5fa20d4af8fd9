"""Follows nodes, in the eyes of each PieProbe: which are suppressed, and which were in the life of a run."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from pie.controller.caches import Caches
from pie.controller.queue import Lane, WorkQueue
from pie.core.maintenance.excuse import everywhere, nowhere
from pie.core.maintenance.history import NodeHistory, Span, fall_silent, observe, prove
from pie.core.maintenance.now import Suppression
from pie.core.maintenance.overdue import Overdue
from pie.core.model import Kind, Probe, Target
from pie.core.naming import ANNOTATION_SUPPRESSED_SINCE
from pie.core.wire import Node, parse_seconds
from pie.kube.client import Client
from pie.kube.resources import NODES

OnChange = Callable[[Target, Suppression | None, Suppression | None], None]

# A run on a node that is gone ends within an hour (the longest period) and is judged.
_REMEMBER_SECONDS = 7200.0


@dataclass(slots=True)
class _Followed:
    """A PieProbe, the names of its matching nodes, and what they went through.

    `nodes` is the set that `Targets` keeps; `suppressed` are those of them that are suppressed now, and
    `blocked` those where no run can be expected to work. `gone_at` are nodes that were deleted. `whole` is
    why the class is suppressed, if every node is, and `usable_since` when it last was not so any more.
    """

    probe: Probe
    nodes: set[str]
    histories: dict[str, NodeHistory] = field(default_factory=dict)
    suppressed: set[str] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)
    gone_at: dict[str, float] = field(default_factory=dict)
    whole: Suppression | None = None
    usable_since: float = 0.0


class NodeWatch:
    """The histories of nodes. `on_change(target, before, now)` is told what suppresses a target."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue, on_change: OnChange) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._on_change = on_change
        self._followed: dict[str, _Followed] = {}
        queue.handle("maintenance", self._look_again, Lane.JUDGES)

    def start(self) -> None:
        """Begin to follow nodes, after `Targets` does: its sets of matching nodes come first."""
        self._caches.listen(NODES, self._node_changed)

    def follow(self, probe: Probe, nodes: set[str]) -> None:
        """Follow the nodes of a PieProbe, whose spec or nodes are new."""
        followed = self._followed.get(probe.name)
        if followed is None or followed.probe.uid != probe.uid:
            followed = self._followed[probe.name] = _Followed(probe, nodes)
        followed.probe, followed.nodes = probe, nodes
        for name in nodes | followed.histories.keys() - followed.gone_at.keys():
            self._observe(followed, name)
        self._settle(followed)

    def forget(self, probe: str) -> None:
        """Forget a PieProbe that is gone."""
        self._followed.pop(probe, None)

    def probe(self, name: str) -> Probe | None:
        """Return the PieProbe as it is followed."""
        followed = self._followed.get(name)
        return followed.probe if followed is not None else None

    def suppression(self, target: Target) -> Suppression | None:
        """Return why runs of the target are suppressed now, if they are."""
        if (followed := self._followed.get(target.probe)) is None:
            return None
        if target.kind is Kind.PROVISION:
            return followed.whole
        history = followed.histories.get(target.node) if target.node in followed.nodes else None
        return history.current if history is not None else None

    def suppressed_since(self, target: Target) -> float | None:
        """Return since when runs of the target are suppressed without a break, if they are now.

        Also before this controller began: its predecessor noted it on the CronJobs that it suspended.
        """
        if (followed := self._followed.get(target.probe)) is None or self.suppression(target) is None:
            return None
        seen = followed.whole.since if followed.whole is not None else None
        if target.kind is Kind.MOUNT:
            seen = followed.histories[target.node].suppressed_since
        # Where the class is suppressed, every node is.
        noted = (self._noted(each) for each in (target, followed.probe.target(Kind.PROVISION)))
        return min(since for since in (seen, *noted) if since is not None)

    def judged_since(self, target: Target) -> float:
        """Return when a suppression of the target ended last, epoch seconds; 0.0: none that is remembered."""
        if (followed := self._followed.get(target.probe)) is None:
            return 0.0
        if target.kind is Kind.PROVISION:
            return followed.usable_since
        history = followed.histories.get(target.node)
        return max((span.until or 0.0 for span in history.spans), default=0.0) if history else 0.0

    def _noted(self, target: Target) -> float | None:
        """Return since when a target is suppressed, as the CronJob says that is suspended for it."""
        for cronjob in self._caches.cronjobs_of.get(target, {}).values():
            if cronjob.spec.suspend:
                return parse_seconds(cronjob.metadata.annotations.get(ANNOTATION_SUPPRESSED_SINCE, ""))
        return None

    def span(self, target: Target, since: float, until: float, node: str = "") -> Span | None:
        """Return the maintenance that explains what a run of the target did in [since, until].

        `node` is where a provision run was bound.
        """
        if (followed := self._followed.get(target.probe)) is None:
            return None
        history = followed.histories.get(target.node or node)
        if history is not None and (span := history.during(since, until)) is not None:
            return span
        if target.kind is Kind.MOUNT:
            return None
        return everywhere([followed.histories.get(each) for each in followed.nodes], since, until)

    def prove(self, probe: str, node: str, began: float) -> None:
        """Note a good run on a node, which ends its grace."""
        followed = self._followed.get(probe)
        history = followed.histories.get(node) if followed is not None else None
        if followed is None or history is None:
            return
        followed.histories[node] = prove(history, began, self._client.now())
        if history.current is not None:
            self._note(followed, node, history.current)
            self._settle(followed)

    def fall_silent(self, node: str, why: Suppression, until: float) -> None:
        """Note that a node's kubelet was found silent at `until`, before Kubernetes calls it NotReady."""
        for followed in self._followed.values():
            if (history := followed.histories.get(node)) is not None:
                followed.histories[node] = fall_silent(history, why, until)

    def usable(self, probe: str) -> set[str]:
        """Return the matching nodes of a PieProbe that are not suppressed."""
        followed = self._followed.get(probe)
        return followed.nodes - followed.suppressed if followed is not None else set()

    def overdue(self, probe: str) -> tuple[list[Overdue], float | None]:
        """Return the nodes that have been suppressed for longer than maxDuration, and when the next will be.

        That is in so many seconds; None: no other node is suppressed.
        """
        if (followed := self._followed.get(probe)) is None:
            return [], None
        longest, now = followed.probe.suppression.max_duration_seconds, self._client.now()
        found: list[Overdue] = []
        waits: list[float] = []
        for name in followed.suppressed:
            why = followed.histories[name].current
            since = self.suppressed_since(followed.probe.target(Kind.MOUNT, name))
            if why is not None and since is not None and now - since >= longest:
                found.append(Overdue(name, why, since))
            elif since is not None:
                waits.append(since + longest - now)
        return found, min(waits, default=None)

    # Events and time.

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        node = new or old
        name = node.metadata.name if node is not None else ""
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
            known_until = self._caches.nodes.heard_at
            followed.histories[name] = observe(before, node, followed.probe, now, known_until=known_until)
        self._note(followed, name, before.current if before is not None else None)

    def _remember_gone(self, followed: _Followed, name: str, now: float) -> None:
        """Keep the history of a node that is gone: runs that were bound to it are still to be judged."""
        followed.gone_at.setdefault(name, now)
        followed.histories[name] = observe(followed.histories.get(name), None, followed.probe, now)
        for old in [old for old, at in followed.gone_at.items() if at < now - _REMEMBER_SECONDS]:
            del followed.gone_at[old]
            followed.histories.pop(old, None)

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
            self._on_change(followed.probe.target(Kind.MOUNT, name), before, now)

    def _settle(self, followed: _Followed) -> None:
        """Bring up to date whether the whole class is suppressed."""
        before = followed.whole
        if not followed.nodes or len(followed.suppressed) < len(followed.nodes):
            followed.whole = None
        elif before is None or before.blocks != (len(followed.blocked) == len(followed.nodes)):
            found = [why for name in followed.nodes if (why := followed.histories[name].current)]
            followed.whole = nowhere(found)
        if before is not None and followed.whole is None:
            followed.usable_since = self._client.now()
        if followed.probe.provision_enabled:
            self._on_change(followed.probe.target(Kind.PROVISION), before, followed.whole)


def _put(names: set[str], name: str, wanted: bool) -> None:
    (names.add if wanted else names.discard)(name)
