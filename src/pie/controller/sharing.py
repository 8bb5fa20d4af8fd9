"""How many nodes with resident probes share the storage of a StorageClass."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pie.controller.caches import Caches
from pie.controller.nodes import Nodes
from pie.controller.nodeselection import NodeFinder
from pie.controller.probes import Probes
from pie.core.kinds import kind_of
from pie.core.model import Probe, Target
from pie.core.preflight import topology_segments
from pie.core.resident.interval import interval_seconds

_FRESH_SECONDS: Final = 10.0
"""It is counted for a class at most so often, not for each of its targets."""


class Sharing:
    """Counts them: all PieProbes of the class together. Nodes with storage of their own do not count."""

    def __init__(
        self, caches: Caches, *, probes: Probes, nodes: Nodes, finder: NodeFinder, now: Callable[[], float]
    ) -> None:
        self._caches = caches
        self._probes = probes
        self._nodes = nodes
        self._finder = finder
        self._now = now
        self._counted: dict[str, tuple[int, float]] = {}

    def spec_for(self, probe: Probe, target: Target) -> Probe:
        """Return the spec with the interval of a resident probe."""
        if not kind_of(target).resident:
            return probe
        return replace(probe, resident_interval_seconds=interval_seconds(self.nodes(target.storage_class)))

    def nodes(self, storage_class: str) -> int:
        """Return how many nodes share the storage of a class; 0: each has its own."""
        now = self._now()
        count, counted_at = self._counted.get(storage_class, (0, -_FRESH_SECONDS))
        if not counted_at <= now < counted_at + _FRESH_SECONDS:
            count = self._count(storage_class)
            self._forget_gone_classes()
            self._counted[storage_class] = count, now
        return count

    def _count(self, storage_class: str) -> int:
        found: list[str] = []
        for of in self._probes.ids():
            state = self._probes.get(of)
            each = state.classes.get(storage_class) if state is not None else None
            if each is not None and each.probe.resident and not each.probe.paused:
                found += self._nodes.matching(each.probe.probed)
        return 0 if self._have_their_own(storage_class, set(found)) else len(found)

    def _have_their_own(self, storage_class: str, names: set[str]) -> bool:
        """Tell whether each node is a topology segment of the class's driver by itself."""
        known = self._caches.storage_class(storage_class)
        keys = self._finder.topology_keys(known.driver, names) if known is not None else ()
        nodes = [self._caches.nodes.store.get(("", name)) for name in names]
        labels = [node.metadata.labels for node in nodes if node is not None]
        return len(topology_segments(keys, labels)) == len(names)

    def _forget_gone_classes(self) -> None:
        gone = [name for name in self._counted if self._caches.storage_class(name) is None]
        for name in gone:
            del self._counted[name]
