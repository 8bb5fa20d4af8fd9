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
from pie.core.classes import Chosen, again_at, by_selector, chosen, labels_of
from pie.core.kinds import kind_of, targets_of
from pie.core.model import IMAGE_ARCHITECTURES, Probe, Probed, ProbeId, Target
from pie.core.parse import SpecError, parse_probe
from pie.core.preflight import ClassWarning, Pause
from pie.core.reasons import Reason
from pie.core.wire import PieProbe, StorageClass
from pie.kube.client import Client
from pie.kube.resources import PIE_PROBES, STORAGE_CLASSES

_LOOK_AGAIN_SECONDS: Final = 60.0
"""While a PieProbe has more targets than it may have."""

_RECREATED_WITHIN_SECONDS: Final = 2.0
"""A class that is deleted and created again within this time pauses nothing."""


@dataclass(frozen=True, slots=True)
class ClassState:
    """What is known of a class of a PieProbe: the spec, what is paused, and what probably cannot work.

    `gone_since`: the StorageClass does not exist since then, epoch seconds.
    """

    probe: Probe
    paused: dict[str, Pause] = field(default_factory=dict)
    warnings: tuple[ClassWarning, ...] = ()
    gone_since: float | None = None


@dataclass(frozen=True, slots=True)
class ProbeState:
    """What is known of a PieProbe: its spec, and its classes by name.

    `problem` is why it cannot be set up, or why a change cannot: then the rest is as it was before.
    """

    uid: str
    spec: Probe | None = None
    problem: tuple[Reason, str] | None = None
    classes: dict[str, ClassState] = field(default_factory=dict)

    def spec_of(self, target: Target) -> Probe | None:
        """Return the spec for the class of a target, also if the PieProbe has no such class any more."""
        if (found := self.classes.get(target.storage_class)) is not None:
            return found.probe
        return replace(self.spec, storage_class=target.storage_class) if self.spec is not None else None

    def pause(self, target: Target) -> Pause | None:
        """Return why a target is paused; None: it is not."""
        found = self.classes.get(target.storage_class)
        return found.paused.get(target.kind) if found is not None else None


class Probes:
    """The table of PieProbes.

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
        self._client = client
        self._caches = caches
        self._queue = queue
        self._nodes = nodes
        self._screens = screens
        self._minute_seconds = minute_seconds
        self._architectures = architectures
        self._bounds = bounds
        self.finder = NodeFinder(client, caches)
        self._states: dict[ProbeId, ProbeState] = {}
        self.revision = 0
        queue.handle("spec", self._refresh)
        queue.handle("topology", self._look_at_topology)

    def start(self) -> None:
        """Begin to lead: read every PieProbe, then follow events."""
        for probe in self._caches.probes.store.values():
            self._queue.add("spec", probe.id)
        self._caches.listen(PIE_PROBES, self._probe_changed)
        self._caches.listen(STORAGE_CLASSES, self._class_changed)

    # What other parts read.

    def ids(self) -> list[ProbeId]:
        """Return the PieProbes that were read."""
        return sorted(self._states)

    def get(self, of: ProbeId) -> ProbeState | None:
        """Return what is known of a PieProbe; None: it was not read, or is gone."""
        return self._states.get(of)

    def spec(self, of: ProbeId) -> Probe | None:
        """Return the spec of a PieProbe, for its first class; None: it is not known, or was never valid."""
        if (state := self._states.get(of)) is None:
            return None
        return next((each.probe for each in state.classes.values()), state.spec)

    def known(self, of: ProbeId) -> bool:
        """Tell whether pie has read the PieProbe that exists now, or knows that there is none.

        Only this function distinguishes "not read yet" from "there is none".
        """
        stored, state = _present(self._caches.probe(of)), self._states.get(of)
        if stored is None:
            return state is None
        return state is not None and state.uid == stored.metadata.uid

    def has(self, target: Target) -> bool:
        """Tell whether a target is one of its PieProbe's, paused or not."""
        state = self._states.get(target.probe_id)
        found = state.classes.get(target.storage_class) if state is not None else None
        if found is None or not kind_of(target).enabled(found.probe):
            return False
        return not target.node or self._nodes.matches(target.probed, target.node)

    def live(self, target: Target) -> bool:
        """Tell whether runs of a target count: it is one of its PieProbe's and is not paused by pie."""
        state = self._states.get(target.probe_id)
        pause = state.pause(target) if state is not None else None
        return self.has(target) and (pause is None or pause.keep)

    def targets(self, of: ProbeId) -> Iterator[Target]:
        """Yield the targets that a PieProbe has now, including those that pie pauses."""
        state = self._states.get(of)
        for probe in (each.probe for each in state.classes.values()) if state is not None else ():
            for node in ("", *self._nodes.matching(probe.probed)):
                yield from targets_of(probe, node)

    def live_targets(self, of: ProbeId) -> list[Target]:
        """Return the targets of a PieProbe whose runs count."""
        return [target for target in self.targets(of) if self.live(target)]

    # What the watches bring.

    def _probe_changed(self, old: PieProbe | None, new: PieProbe | None) -> None:
        self.revision += 1
        if old and new and old.metadata.uid == new.metadata.uid and old.spec == new.spec:
            gone = (old.metadata.deletion_timestamp, new.metadata.deletion_timestamp)
            if gone[0] == gone[1]:
                return
        for probe in (old, new):
            if probe is not None:
                self._queue.add("spec", probe.id)

    def _class_changed(self, old: StorageClass | None, new: StorageClass | None) -> None:
        names = {thing.metadata.name for thing in (old, new) if thing is not None}
        # Charts delete and recreate classes.
        wait_seconds = _RECREATED_WITHIN_SECONDS if new is None else 0.0
        for of, state in self._states.items():
            stored = self._caches.probe(of)
            if names & state.classes.keys() or (stored is not None and by_selector(stored)):
                self._queue.add("spec", of, after_seconds=wait_seconds)

    # Read a PieProbe: parse it, find its nodes, and what is paused.

    async def _refresh(self, of: ProbeId) -> None:
        before = self._states.get(of)
        stored = _present(self._caches.probe(of))
        if before is not None and (stored is None or before.uid != stored.metadata.uid):
            # A PieProbe that was deleted and created again begins with nothing.
            self._end(of)
            before = None
        if stored is None:
            self._queue.add("probe", of)
            return
        failed = None
        try:
            state = await self._read(stored, before)
            if self._is_another(of, stored):
                return  # Its event has put it on the queue again.
            self._follow(of, state)
        except Exception as error:  # noqa: BLE001  the status has to report every error
            # Runs go on as before: pie does not stop probing because of a typo.
            state = replace(before or ProbeState(stored.metadata.uid), problem=problem(error))
            if self._bounds.targets is not None:  # fewer nodes may match later
                self._queue.add("spec", of, after_seconds=_LOOK_AGAIN_SECONDS)
            failed = error
        self._states[of] = state
        self.revision += 1
        self._queue.add("targets", of)
        self._queue.add("probe", of, after_seconds=SETTLE_SECONDS)
        if failed is not None and not isinstance(failed, SpecError):
            raise failed

    async def _read(self, stored: PieProbe, before: ProbeState | None) -> ProbeState:
        """Return what is known of a PieProbe; raises SpecError."""
        now, labels = self._client.now(), labels_of(self._caches.storage_classes.store.values())
        known = [Chosen(name, each.gone_since) for name, each in before.classes.items()] if before else None
        found = chosen(stored, labels, now, known)
        spec = parse_probe(stored, self._minute_seconds, self._architectures, storage_class="")
        check_spec(spec, self._bounds)
        selections = {each: await self.finder.find(replace(spec, storage_class=each.name)) for each in found}
        check_targets(spec, [len(each.nodes) for each in selections.values()], self._bounds)
        classes = {
            each.name: ClassState(
                replace(spec, storage_class=each.name), selection.paused, selection.warnings, each.gone_since
            )
            for each, selection in selections.items()
        }
        if (at := again_at(stored, found)) is not None:
            self._queue.add("spec", stored.id, after_seconds=at - now)
        none = (Reason.STORAGE_CLASS_NOT_FOUND, "no StorageClass has the labels that the spec selects")
        return ProbeState(stored.metadata.uid, spec, None if classes else none, classes)

    def _follow(self, of: ProbeId, state: ProbeState) -> None:
        """Follow the classes of a PieProbe, and forget those that it has no more."""
        before = self._states.get(of)
        for taken_out in before.classes.keys() - state.classes.keys() if before is not None else ():
            self._forget(Probed(of, taken_out))
        for each in state.classes.values():
            self._nodes.follow(each.probe)
            self._screens.runs.add(each.probe.probed)

    def _forget(self, probed: Probed) -> None:
        self._nodes.forget(probed)
        self._screens.runs.remove(probed)

    def _is_another(self, of: ProbeId, stored: PieProbe) -> bool:
        now = _present(self._caches.probe(of))
        return now is None or now.metadata.uid != stored.metadata.uid

    def _end(self, of: ProbeId) -> None:
        ended = self._states.pop(of, None)
        for each in ended.classes if ended is not None else ():
            self._forget(Probed(of, each))
        self._screens.history.forget_probe(of)
        self.revision += 1
        self._queue.add("targets", of)

    async def _look_at_topology(self, of: ProbeId) -> None:
        """Read a PieProbe again if nodes and driver, as they are now, change what is paused."""
        state = self._states.get(of)
        if state is None:
            return
        if self._bounds.targets is not None:
            self._queue.add("spec", of)
        for each in state.classes.values():
            if not self.finder.by_topology(each.probe) and not each.paused:
                continue
            selection = await self.finder.find(each.probe)
            if selection.paused != each.paused:
                self._queue.add("spec", of)


def _present(stored: PieProbe | None) -> PieProbe | None:
    """Return a PieProbe unless it is being deleted."""
    return stored if stored is not None and not stored.metadata.being_deleted else None
