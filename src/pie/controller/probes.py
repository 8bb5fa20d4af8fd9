"""The PieProbes: their specs, what is wrong with them, and which of their probes are paused."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from pie.controller.caches import Caches
from pie.controller.nodes import Nodes
from pie.controller.nodeselection import NodeFinder
from pie.controller.problems import problem
from pie.controller.queue import SETTLE_SECONDS, WorkQueue
from pie.controller.screens import Screens
from pie.core.authorbounds import AuthorBounds, check_spec, check_targets
from pie.core.kinds import kind_of, targets_of
from pie.core.model import IMAGE_ARCHITECTURES, Probe, Target
from pie.core.parse import SpecError, parse_probe
from pie.core.preflight import ClassWarning, Pause
from pie.core.reasons import Reason
from pie.core.wire import PieProbe, StorageClass
from pie.kube.client import Client
from pie.kube.resources import PIE_PROBES, STORAGE_CLASSES

_LOOK_AGAIN_SECONDS: Final = 60.0
"""While a PieProbe has more targets than it may have."""


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What is known of a PieProbe: its spec, which probes are paused, and what probably cannot work.

    `problem` is why it cannot be set up, or why a change cannot: then the rest is as it was before.
    """

    uid: str
    probe: Probe | None = None
    problem: tuple[Reason, str] | None = None
    paused: dict[str, Pause] = field(default_factory=dict)
    warnings: tuple[ClassWarning, ...] = ()


class Probes:
    """The table of PieProbes, by name.

    `revision` grows with what is known of PieProbes, their statuses included.
    """

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        nodes: Nodes,
        screens: Screens,
        minute_seconds: float,
        bounds: AuthorBounds,
        architectures: tuple[str, ...] = IMAGE_ARCHITECTURES,
    ) -> None:
        self._caches = caches
        self._queue = queue
        self._nodes = nodes
        self._screens = screens
        self._minute_seconds = minute_seconds
        self._architectures = architectures
        self._bounds = bounds
        self._finder = NodeFinder(client, caches)
        self._states: dict[str, ProbeState] = {}
        self.revision = 0
        queue.handle("spec", self._refresh)
        queue.handle("topology", self._look_at_topology)

    def start(self) -> None:
        """Begin to lead: read every PieProbe, then follow events."""
        for probe in self._caches.probes.store.values():
            self._queue.add("spec", probe.metadata.name)
        self._caches.listen(PIE_PROBES, self._probe_changed)
        self._caches.listen(STORAGE_CLASSES, self._class_changed)

    # What other parts read.

    def names(self) -> list[str]:
        """Return the names of the PieProbes that were read."""
        return sorted(self._states)

    def get(self, name: str) -> ProbeState | None:
        """Return what is known of a PieProbe; None: it was not read, or is gone."""
        return self._states.get(name)

    def spec(self, name: str) -> Probe | None:
        """Return the spec of a PieProbe; None: it is not known, or was never valid."""
        state = self._states.get(name)
        return state.probe if state is not None else None

    def known(self, name: str) -> bool:
        """Tell whether pie has read the PieProbe that exists now, or knows that there is none.

        Only this function distinguishes "not read yet" from "there is none".
        """
        stored, state = _present(self._caches.probe(name)), self._states.get(name)
        if stored is None:
            return state is None
        return state is not None and state.uid == stored.metadata.uid

    def has(self, target: Target) -> bool:
        """Tell whether a target is one of its PieProbe's, paused or not."""
        probe = self.spec(target.probe)
        if probe is None or target.storage_class != probe.storage_class or not kind_of(target).enabled(probe):
            return False
        return not target.node or self._nodes.matches(target.probe, target.node)

    def live(self, target: Target) -> bool:
        """Tell whether runs of a target count: it is one of its PieProbe's and is not paused by pie."""
        state = self._states.get(target.probe)
        pause = state.paused.get(target.kind) if state is not None else None
        return self.has(target) and (pause is None or pause.keep)

    def targets(self, name: str) -> Iterator[Target]:
        """Yield the targets that a PieProbe has now, including those that pie pauses."""
        if (probe := self.spec(name)) is not None:
            for node in ("", *self._nodes.matching(name)):
                yield from targets_of(probe, node)

    def live_targets(self, name: str) -> list[Target]:
        """Return the targets of a PieProbe whose runs count."""
        return [target for target in self.targets(name) if self.live(target)]

    # What the watches bring.

    def _probe_changed(self, old: PieProbe | None, new: PieProbe | None) -> None:
        self.revision += 1
        if old and new and old.metadata.uid == new.metadata.uid and old.spec == new.spec:
            gone = (old.metadata.deletion_timestamp, new.metadata.deletion_timestamp)
            if gone[0] == gone[1]:
                return
        for probe in (old, new):
            if probe is not None:
                self._queue.add("spec", probe.metadata.name)

    def _class_changed(self, old: StorageClass | None, new: StorageClass | None) -> None:
        names = {thing.metadata.name for thing in (old, new) if thing is not None}
        for name, state in self._states.items():
            if state.probe is not None and state.probe.storage_class in names:
                self._queue.add("spec", name)

    # Read a PieProbe: parse it, find its nodes, and what is paused.

    async def _refresh(self, name: str) -> None:
        before = self._states.get(name)
        stored = _present(self._caches.probe(name))
        if before is not None and (stored is None or before.uid != stored.metadata.uid):
            # A PieProbe that was deleted and created again begins with nothing.
            self._end(name)
            before = None
        if stored is None:
            self._queue.add("probe", name)
            return
        failed = None
        try:
            probe = parse_probe(stored, self._minute_seconds, self._architectures)
            check_spec(probe, self._bounds)
            selection = await self._finder.find(probe)
            check_targets(probe, len(selection.nodes), self._bounds)
            if self._is_another(name, stored):
                return  # Its event has put it on the queue again.
            self._nodes.follow(probe)
            self._screens.runs.add(name, probe.storage_class)
            found = selection.paused, selection.warnings
            state = ProbeState(stored.metadata.uid, probe, None, *found)
        except Exception as error:  # noqa: BLE001  the status has to report every error
            # Runs go on as before: pie does not stop probing because of a typo.
            state = replace(before or ProbeState(stored.metadata.uid), problem=problem(error))
            if self._bounds.targets is not None:  # fewer nodes may match later
                self._queue.add("spec", name, after_seconds=_LOOK_AGAIN_SECONDS)
            failed = error
        self._states[name] = state
        self.revision += 1
        self._queue.add("targets", name)
        self._queue.add("probe", name, after_seconds=SETTLE_SECONDS)
        if failed is not None and not isinstance(failed, SpecError):
            raise failed

    def _is_another(self, name: str, stored: PieProbe) -> bool:
        now = _present(self._caches.probe(name))
        return now is None or now.metadata.uid != stored.metadata.uid

    def _end(self, name: str) -> None:
        self._states.pop(name, None)
        self._nodes.forget(name)
        self._screens.runs.remove(name)
        self._screens.history.forget_probe(name)
        self.revision += 1
        self._queue.add("targets", name)

    async def _look_at_topology(self, name: str) -> None:
        """Read a PieProbe again if nodes and driver, as they are now, change what is paused."""
        state = self._states.get(name)
        if state is None or state.probe is None:
            return
        if self._bounds.targets is not None:
            self._queue.add("spec", name)
        if not self._finder.by_topology(state.probe) and not state.paused:
            return
        selection = await self._finder.find(state.probe)
        if selection.paused != state.paused:
            self._queue.add("spec", name)


def _present(stored: PieProbe | None) -> PieProbe | None:
    """Return a PieProbe unless it is being deleted."""
    return stored if stored is not None and not stored.metadata.being_deleted else None
