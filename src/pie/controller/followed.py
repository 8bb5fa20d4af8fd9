"""The nodes of one PieProbe, and their histories."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pie.core import selector
from pie.core.driver import DriverFact
from pie.core.kinds import targets_of
from pie.core.maintenance.admitted import admitted
from pie.core.maintenance.excuse import nowhere
from pie.core.maintenance.history import NodeHistory, observe
from pie.core.maintenance.now import Suppression
from pie.core.maintenance.overdue import Overdue
from pie.core.model import Probe, Target
from pie.core.reasons import Reason
from pie.core.suitable import unsuitable
from pie.core.wire import Node, Pod, StorageClass

# A run on a deleted node ends within an hour, the longest period, and is judged then.
_REMEMBER_SECONDS = 7200.0


@dataclass(slots=True)
class Followed:
    """A PieProbe, the names of its nodes, and their histories.

    `nodes` match and can run probes. `left_out` match, too, but cannot run probes; it says why. `suppressed`
    are the nodes that are suppressed now; on the `blocked` ones no run can work. `gone_at` has the deleted
    nodes. `whole` is why the whole class is suppressed, if all nodes are; `usable_since` is when this ended
    last. `added` are the tolerations that admission added to the newest pod; None: pie saw no pod yet.
    """

    probe: Probe
    storage_class: StorageClass | None = None
    nodes: set[str] = field(default_factory=set)
    left_out: dict[str, str] = field(default_factory=dict)
    histories: dict[str, NodeHistory] = field(default_factory=dict)
    suppressed: set[str] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)
    gone_at: dict[str, float] = field(default_factory=dict)
    whole: Suppression | None = None
    usable_since: float = 0.0
    added: tuple[dict[str, Any], ...] | None = None

    @property
    def asked(self) -> Probe:
        """The spec, with the tolerations that admission added to its pods."""
        if not self.added:
            return self.probe
        return replace(self.probe, tolerations=(*self.probe.tolerations, *self.added))

    @property
    def scout(self) -> Target | None:
        """A target that runs although every node is tainted: its pod shows what admission adds to pods.

        None: pie saw a pod already, or a node has no such taint.
        """
        if self.added is not None or not self.nodes or len(self.blocked) < len(self.nodes):
            return None
        tainted = (name for name in self.nodes if _is_tainted(self.histories[name].current))
        first = min(tainted, default=None)
        targets = (*targets_of(self.probe), *targets_of(self.probe, first)) if first is not None else ()
        return next(iter(targets), None)

    @property
    def usable(self) -> set[str]:
        """The nodes where provision pods can run: no maintenance, and no start-up taint of a driver."""
        return {name for name in self.nodes - self.suppressed if not self.histories[name].driver.keeps_off}

    @property
    def driver(self) -> str:
        """The name of the driver of the StorageClass; empty while there is no such class."""
        return self.storage_class.driver if self.storage_class is not None else ""

    # What the watches bring.

    def sort(self, name: str, node: Node | None) -> bool:
        """Note whether a node matches and can run probes; return whether it is in `nodes` now."""
        matches = node is not None and selector.matches(self.probe.node_selector, name, node.metadata.labels)
        why = unsuitable(node, self.probe, self.storage_class) if matches and node is not None else ""
        self.left_out.pop(name, None)
        if why:
            self.left_out[name] = why
        wanted = matches and not why
        (self.nodes.add if wanted else self.nodes.discard)(name)
        return wanted

    def observe(
        self, name: str, node: Node | None, driver: DriverFact, now: float, *, known_until: float
    ) -> None:
        """Note how a node is now; None: it is gone."""
        before = self.histories.get(name)
        if node is None:
            self._remember_gone(name, now)
        elif name not in self.nodes:
            self.histories.pop(name, None)
        else:
            self.gone_at.pop(name, None)
            self.histories[name] = observe(
                before, node, self.asked, now, known_until=known_until, driver=driver
            )

    def note_pod(self, pod: Pod) -> bool:
        """Note what admission added to a new pod; return whether that changes what is known."""
        before, self.added = self.added, admitted(pod.spec.tolerations, self.probe, self.driver)
        return self.added != before

    def _remember_gone(self, name: str, now: float) -> None:
        """Keep the history of a deleted node: runs on it may have to be judged later."""
        self.gone_at.setdefault(name, now)
        self.histories[name] = observe(self.histories.get(name), None, self.probe, now)
        for old in [old for old, at in self.gone_at.items() if at < now - _REMEMBER_SECONDS]:
            del self.gone_at[old]
            self.histories.pop(old, None)

    def note(self, name: str) -> Suppression | None:
        """Update whether a node is suppressed, and return why; None: it is not."""
        history = self.histories.get(name)
        why = history.current if history is not None and name in self.nodes else None
        _put(self.suppressed, name, why is not None)
        _put(self.blocked, name, why is not None and why.blocks)
        return why

    def settle(self, now: float) -> None:
        """Update whether the whole class is suppressed."""
        before = self.whole
        if not self.nodes or len(self.suppressed) < len(self.nodes):
            self.whole = None
        elif before is None or before.blocks != (len(self.blocked) == len(self.nodes)):
            self.whole = nowhere([why for name in self.nodes if (why := self.histories[name].current)])
        if before is not None and self.whole is None:
            self.usable_since = now

    # What other parts read.

    def suppression(self, target: Target) -> Suppression | None:
        """Return why runs of the target are suppressed now, if they are."""
        history = self.histories.get(target.node) if target.node in self.nodes else None
        why = history.current if history is not None else None
        if not target.node:
            why = self.whole
        return replace(why, blocks=False) if why is not None and target == self.scout else why

    def suppressed_since(self, target: Target, noted: Iterable[float | None] = ()) -> float | None:
        """Return since when runs of the target are suppressed without a break, if they are now."""
        if self.suppression(target) is None:
            return None
        if target.node:
            return self._node_suppressed_since(target.node, noted)
        return _first(self.whole.since if self.whole is not None else None, noted)

    def _node_suppressed_since(self, name: str, noted: Iterable[float | None]) -> float | None:
        return _first(self.histories[name].suppressed_since, noted)

    def judged_since(self, target: Target) -> float:
        """Return when a suppression of the target ended last; 0.0: none that is remembered."""
        if not target.node:
            return self.usable_since
        history = self.histories.get(target.node)
        return max((span.until or 0.0 for span in history.spans), default=0.0) if history else 0.0

    def of(self, target: Target) -> Mapping[str, NodeHistory]:
        """Return the history of a target's node; of a target without a node, those of all nodes."""
        if not target.node:
            return dict(self.histories)
        history = self.histories.get(target.node)
        return {target.node: history} if history is not None else {}

    def overdue(
        self, noted: Mapping[str, Iterable[float | None]], now: float
    ) -> tuple[list[Overdue], float | None]:
        """Return the nodes suppressed for longer than maxDuration, and in how many seconds the next is."""
        longest = self.probe.suppression.max_duration_seconds
        found: list[Overdue] = []
        waits: list[float] = []
        for name in self.suppressed:
            why = self.histories[name].current
            since = self._node_suppressed_since(name, noted.get(name, ()))
            if why is not None and since is not None and now - since >= longest:
                found.append(Overdue(name, why, since))
            elif since is not None:
                waits.append(since + longest - now)
        return found, min(waits, default=None)


def _first(seen: float | None, noted: Iterable[float | None]) -> float | None:
    return min((since for since in (seen, *noted) if since is not None), default=None)


def _is_tainted(why: Suppression | None) -> bool:
    return why is not None and why.reason is Reason.NODE_TAINTED


def _put(names: set[str], name: str, wanted: bool) -> None:
    (names.add if wanted else names.discard)(name)
