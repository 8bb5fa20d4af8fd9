"""Follows nodes as each PieProbe sees them: which match, which are suppressed, what they went through."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from pie.controller.caches import Caches
from pie.controller.queue import SETTLE_SECONDS, Lane, WorkQueue
from pie.core import selector
from pie.core.driver import Fact
from pie.core.kinds import targets_of
from pie.core.maintenance.excuse import nowhere
from pie.core.maintenance.history import NodeHistory, fall_silent, observe, prove
from pie.core.maintenance.now import Suppression
from pie.core.maintenance.overdue import Overdue
from pie.core.model import Kind, Probe, Target
from pie.core.reasons import Reason
from pie.core.wire import Node
from pie.kube.client import Client
from pie.kube.resources import NODES
from pie.serve.untested import UntestedSeries

_log = structlog.get_logger()

# A run on a node that is gone ends within an hour (the longest period) and is judged.
_REMEMBER_SECONDS = 7200.0

_PASSES_SECONDS = 5.0
"""Maintenance that ends again so soon closes no incident."""


@dataclass(slots=True)
class _Followed:
    """A PieProbe, the names of its matching nodes, and what they went through.

    `driver` is the name of its StorageClass's driver, empty while there is no such class.
    `suppressed` are the matching nodes that are suppressed now, and `blocked` those where no run can be
    expected to work. `gone_at` are nodes that were deleted. `whole` is why the class is suppressed, if every
    node is, and `usable_since` when it last was not so any more.
    """

    probe: Probe
    driver: str = ""
    nodes: set[str] = field(default_factory=set)
    histories: dict[str, NodeHistory] = field(default_factory=dict)
    suppressed: set[str] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)
    gone_at: dict[str, float] = field(default_factory=dict)
    whole: Suppression | None = None
    usable_since: float = 0.0


class Nodes:
    """The matching nodes of each PieProbe and their histories.

    `revision` grows with what matches and what is suppressed; heartbeats of nodes change nothing.
    """

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue, series: UntestedSeries) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._series = series
        self._followed: dict[str, _Followed] = {}
        self.revision = 0
        queue.handle("node", self._look_again, Lane.JUDGES)

    def start(self) -> None:
        """Begin to follow nodes."""
        self._caches.listen(NODES, self._node_changed)

    def follow(self, probe: Probe) -> None:
        """Follow the nodes of a PieProbe, whose spec may be new."""
        followed = self._followed.get(probe.name)
        if followed is None or followed.probe.uid != probe.uid:
            self.forget(probe.name)
            followed = self._followed[probe.name] = _Followed(probe)
        self._series.add(probe)
        storage_class = self._caches.storage_classes.store.get(("", probe.storage_class))
        followed.probe = probe
        followed.driver = storage_class.provisioner if storage_class is not None else ""
        followed.nodes = {
            node.metadata.name for node in self._caches.nodes.store.values() if _matches(probe, node)
        }
        for name in followed.nodes | followed.histories.keys() - followed.gone_at.keys():
            self._observe(followed, name)
        self._settle(followed)

    def forget(self, probe: str) -> None:
        """Forget a PieProbe that is gone."""
        self._followed.pop(probe, None)
        self._series.remove(probe)

    # What is asked.

    def follows(self, probe: str) -> bool:
        """Tell whether the nodes of a PieProbe are known."""
        return probe in self._followed

    def matching(self, probe: str) -> Iterable[str]:
        """Return the names of the nodes that match a PieProbe."""
        followed = self._followed.get(probe)
        return followed.nodes if followed is not None else ()

    def matches(self, probe: str, node: str) -> bool:
        """Tell whether a node matches a PieProbe."""
        followed = self._followed.get(probe)
        return followed is not None and node in followed.nodes

    def usable(self, probe: str) -> set[str]:
        """Return the matching nodes of a PieProbe that are not suppressed."""
        followed = self._followed.get(probe)
        return followed.nodes - followed.suppressed if followed is not None else set()

    def suppression(self, target: Target) -> Suppression | None:
        """Return why runs of the target are suppressed now, if they are."""
        if (followed := self._followed.get(target.probe)) is None:
            return None
        if not target.node:
            return followed.whole
        history = followed.histories.get(target.node) if target.node in followed.nodes else None
        return history.current if history is not None else None

    def suppressed_since(self, target: Target, noted: Iterable[float | None] = ()) -> float | None:
        """Return since when runs of the target are suppressed without a break, if they are now.

        `noted` is what an earlier controller noted on the objects of the target, and of the provision target:
        where the class is suppressed, every node is.
        """
        if (followed := self._followed.get(target.probe)) is None or self.suppression(target) is None:
            return None
        seen = followed.whole.since if followed.whole is not None else None
        if target.node:
            seen = followed.histories[target.node].suppressed_since
        return min((since for since in (seen, *noted) if since is not None), default=None)

    def judged_since(self, target: Target) -> float:
        """Return when a suppression of the target ended last, epoch seconds; 0.0: none that is remembered."""
        if (followed := self._followed.get(target.probe)) is None:
            return 0.0
        if not target.node:
            return followed.usable_since
        history = followed.histories.get(target.node)
        return max((span.until or 0.0 for span in history.spans), default=0.0) if history else 0.0

    def histories(self, target: Target) -> Mapping[str, NodeHistory]:
        """Return the history of a target's node; of a provision target, those of all nodes."""
        if (followed := self._followed.get(target.probe)) is None:
            return {}
        if not target.node:
            return dict(followed.histories)
        history = followed.histories.get(target.node)
        return {target.node: history} if history is not None else {}

    def overdue(
        self, probe: str, noted: Mapping[str, Iterable[float | None]]
    ) -> tuple[list[Overdue], float | None]:
        """Return the nodes that have been suppressed for longer than maxDuration, and when the next will be.

        That is in so many seconds; None: no other node is suppressed. `noted`: see `suppressed_since`.
        """
        if (followed := self._followed.get(probe)) is None:
            return [], None
        longest, now = followed.probe.suppression.max_duration_seconds, self._client.now()
        found: list[Overdue] = []
        waits: list[float] = []
        for name in followed.suppressed:
            why = followed.histories[name].current
            target = followed.probe.target(Kind.MOUNT, name)
            since = self.suppressed_since(target, noted.get(name, ()))
            if why is not None and since is not None and now - since >= longest:
                found.append(Overdue(name, why, since))
            elif since is not None:
                waits.append(since + longest - now)
        return found, min(waits, default=None)

    def suppressed_nodes(self, probe: str) -> list[str]:
        """Return the matching nodes of a PieProbe that are suppressed now."""
        followed = self._followed.get(probe)
        return sorted(followed.suppressed) if followed is not None else []

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

    def note_silence(self, node: str, why: Suppression, until: float) -> None:
        """Note that a node's kubelet was found silent at `until`, before Kubernetes calls it NotReady."""
        for followed in self._followed.values():
            if (history := followed.histories.get(node)) is not None:
                followed.histories[node] = fall_silent(history, why, until)

    # Events and time.

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        node = new or old
        name = node.metadata.name if node is not None else ""
        relabelled = old is None or new is None or old.metadata.labels != new.metadata.labels
        for followed in self._followed.values():
            wanted, known = new is not None and _matches(followed.probe, new), name in followed.nodes
            if relabelled and (wanted or known):
                self._matched(followed, name, wanted=wanted, known=known)
            if wanted or known or name in followed.histories:
                self._observe(followed, name)
                self._settle(followed)

    def _matched(self, followed: _Followed, name: str, *, wanted: bool, known: bool) -> None:
        """Note that a node begins or ceases to match, or has other labels."""
        probe = followed.probe
        self.revision += 1
        self._queue.add("topology", probe.name)
        self._queue.add("probe", probe.name, after_seconds=SETTLE_SECONDS)
        if wanted == known:
            return
        (followed.nodes.add if wanted else followed.nodes.discard)(name)
        for target in targets_of(probe, name):
            self._queue.add("target", target)
        if len(followed.nodes) <= 1:
            # The first and the last node decide what is paused.
            self._queue.add("spec", probe.name)

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
            driver = Fact(followed.driver)
            followed.histories[name] = observe(
                before, node, followed.probe, now, known_until=known_until, driver=driver
            )
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
            self._queue.add("node", (followed.probe.name, name), after_seconds=wait_seconds)
        for target in targets_of(followed.probe, name):
            self._show(target, before, now)

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
        for target in targets_of(followed.probe):
            self._show(target, before, followed.whole)

    def _show(self, target: Target, before: Suppression | None, now: Suppression | None) -> None:
        """Show what suppresses a target, and have it looked at, where that changed."""
        if _kind(before) == _kind(now):
            return
        self.revision += 1
        if now is not None:
            _log.info("suppressed", target=str(target), reason=now.reason.value, message=now.message)
        else:
            _log.info("no longer suppressed", target=str(target))
        self._series.show(target, now.reason if now is not None else None)
        self._queue.add("target", target)
        self._queue.add("probe", target.probe, after_seconds=_PASSES_SECONDS)


def _matches(probe: Probe, node: Node) -> bool:
    return selector.matches(probe.node_selector, node.metadata.name, node.metadata.labels)


def _kind(why: Suppression | None) -> tuple[Reason, bool] | None:
    return (why.reason, why.blocks) if why is not None else None


def _put(names: set[str], name: str, wanted: bool) -> None:
    (names.add if wanted else names.discard)(name)
