"""Keeps the incidents of each PieProbe: states of its targets go in, one incident for each fault comes out.

They live in the status (written by `statuswriter`), from where the next controller takes them up, and are
reported as Events when they open and close.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, Final

from pie.controller.caches import Caches
from pie.controller.events import EventWriter
from pie.controller.nodes import Nodes
from pie.controller.probes import Probes
from pie.controller.queue import Lane, WorkQueue
from pie.controller.targets import Targets
from pie.controller.teardown import Teardown
from pie.core.incidents.close import conclude
from pie.core.incidents.fold import Finding, Incident, View, fold, where_leaks_are_explained
from pie.core.incidents.stored import MOST_IN_STATUS, from_status, to_status
from pie.core.model import Kind
from pie.core.target.state import TargetState
from pie.core.wire import PieProbe
from pie.kube.client import Client
from pie.kube.resources import PIE_PROBES
from pie.serve.incidentgauge import IncidentGauge

_LOOK_AGAIN_SECONDS: Final = 15.0
"""While something is bad: maintenance begins and ends, nodes go, without a verdict of any run."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """The incidents of one PieProbe. `urgent`: one opened that the status does not show yet."""

    uid: str
    open: tuple[Incident, ...]
    closed: tuple[Incident, ...]
    urgent: bool = False


class IncidentKeeper:
    """The incidents, by PieProbe. `revision` grows with each change."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        probes: Probes,
        targets: Targets,
        nodes: Nodes,
        teardown: Teardown,
        events: EventWriter,
        series: IncidentGauge,
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._probes = probes
        self._targets = targets
        self._nodes = nodes
        self._teardown = teardown
        self._events = events
        self._series = series
        self._kept: dict[str, _Kept] = {}
        self.revision = 0
        queue.handle("incidents", self._look, Lane.JUDGES)

    def start(self) -> None:
        """Begin to lead: take up every PieProbe's incidents."""
        for stored in self._caches.probes.store.values():
            self._queue.add("incidents", stored.metadata.name)
        self._caches.listen(PIE_PROBES, self._probe_changed)

    # What is asked.

    def stored(self, probe: PieProbe) -> list[dict[str, Any]]:
        """Return the incidents as they stand in the status."""
        return to_status(self.known(probe))

    def open(self, probe: PieProbe) -> tuple[Incident, ...]:
        """Return the open incidents."""
        return self._of(probe).open

    def known(self, probe: PieProbe) -> tuple[Incident, ...]:
        """Return the open incidents, and those that closed of late."""
        kept = self._of(probe)
        return (*kept.open, *kept.closed)

    def urgent(self, probe: PieProbe) -> bool:
        """Tell whether an incident opened that the status does not show yet."""
        return self._of(probe).urgent

    def written(self, probe: PieProbe) -> None:
        """Note that the status was written."""
        if probe.metadata.name in self._kept:
            self._kept[probe.metadata.name] = replace(self._of(probe), urgent=False)

    def _of(self, probe: PieProbe) -> _Kept:
        """Return what is known of a PieProbe; until it was looked at, what its status says."""
        kept = self._kept.get(probe.metadata.name)
        if kept is not None and kept.uid == probe.metadata.uid:
            return kept
        told = from_status(probe.status)
        return _Kept(
            probe.metadata.uid,
            tuple(each for each in told if each.closed_at is None),
            tuple(each for each in told if each.closed_at is not None),
        )

    # The work.

    def _probe_changed(self, old: PieProbe | None, new: PieProbe | None) -> None:
        if new is None and old is not None:
            self._queue.add("incidents", old.metadata.name)

    async def _look(self, thing: Hashable) -> None:
        name = str(thing)
        stored = self._caches.probe(name)
        if stored is None:
            self._kept.pop(name, None)
            self._teardown.forget(name)
            self._series.remove(name)
            return
        before = self._kept[name] = self._of(stored)
        if not (self._probes.known(name) and self._nodes.follows(name)):
            # Which targets there are is not known yet, as right after a start: nothing opens or closes.
            self._series.show(name, stored.storage_class, (*before.open, *before.closed))
            if before.open:
                self._queue.add("incidents", name, after_seconds=_LOOK_AGAIN_SECONDS)
            return
        view = self._view(name)
        self._teardown.explain(name, where_leaks_are_explained(view))
        found = fold(before.open, view, self._client.now())
        closed = tuple(conclude(each, view) for each in found.closed)
        kept = self._kept[name] = _Kept(
            before.uid,
            found.open,
            (*closed, *before.closed)[:MOST_IN_STATUS],
            before.urgent or bool(found.opened),
        )
        self._series.show(name, stored.storage_class, (*kept.open, *kept.closed))
        for incident in (*found.opened, *closed):
            self._events.report(stored, incident)
        if found.open != before.open or closed:
            self.revision += 1
            self._queue.add("status", name)
        if kept.open or view.findings:
            self._queue.add("incidents", name, after_seconds=_LOOK_AGAIN_SECONDS)

    def _view(self, probe: str) -> View:
        """Return what is bad now, among the targets that are not suppressed, and how the others are.

        A target that had no turn yet is one that was not heard.
        """
        states = {state.target: state for state in self._targets.of(probe)}
        live = self._probes.live_targets(probe)
        states |= {target: TargetState(target) for target in live if target not in states}
        suppressed = {each: why.reason for each in states if (why := self._nodes.suppression(each))}
        bad = {target: state for target, state in states.items() if state.bad is not None}
        # A volume that lost what was written to it has lost it, whatever is done to its node.
        findings = [
            _finding(state)
            for target, state in bad.items()
            if target not in suppressed or (state.bad is not None and state.bad.certain)
        ]
        left, settled = self._teardown.left_behind(probe)
        well = {
            target: state.heard
            for target, state in states.items()
            if state.heard is not None and state.bad is None
        }
        telling = states.keys() - suppressed.keys()
        return View(
            findings=(*findings, *left),
            zones={
                target.node: self._caches.zone(target.node) for target in telling if target.kind is Kind.MOUNT
            },
            unheard=frozenset(target for target in telling if states[target].heard is None),
            settled=settled,
            well=well,
            suppressed={target: why for target, why in suppressed.items() if target not in well},
        )


def _finding(state: TargetState) -> Finding:
    bad = state.bad
    if bad is None:
        raise ValueError(f"{state.target} is not bad")
    return Finding(state.target, bad.stage, bad.reason, bad.evidence, bad.node, bad.first_bad, bad.bad_runs)
