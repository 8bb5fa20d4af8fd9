"""Every target's objects, kept as they should be: gather, plan, write.

Incremental: a node's event costs work for that node's targets only. The set of nodes that match is kept per
PieProbe and followed by events; objects are compared target by target.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pie.controller.actions import Actions
from pie.controller.caches import Caches
from pie.controller.maintenance import Maintenance
from pie.controller.nodeselection import NodeFinder, NodeSelection
from pie.controller.queue import WorkQueue
from pie.controller.runs import Runs
from pie.controller.settings import Settings
from pie.controller.targetobjects import TargetObjects, owner_reference, seed
from pie.core import manifests, naming, selector
from pie.core.batch import manifests as batch_manifests
from pie.core.batch.naming import cronjob_names
from pie.core.batch.wire import CronJob
from pie.core.model import Kind, Probe, Target
from pie.core.parse import SpecError, parse_probe
from pie.core.plan import Desired, plan
from pie.core.preflight import Pause
from pie.core.reasons import Reason
from pie.core.wire import Claim, Metadata, Node, PieProbe, StorageClass
from pie.kube.client import Client
from pie.kube.resources import CRONJOBS, NODES, PIE_PROBES, PVCS, STORAGE_CLASSES

_LOOK_AGAIN_SECONDS: Final = 60.0
"""While none of a PieProbe's nodes that were asked lists the driver."""


@dataclass(slots=True)
class ProbeState:
    """What is known of a PieProbe: its spec or what is wrong with it, what is paused, which nodes match."""

    uid: str
    probe: Probe | None = None
    error: SpecError | None = None
    paused: dict[Kind, Pause] = field(default_factory=dict)
    nodes: set[str] = field(default_factory=set)

    def targets(self) -> Iterator[Target]:
        """Yield the targets the PieProbe has now."""
        if self.probe is None:
            return
        yield self.probe.target(Kind.PROVISION)
        for node in self.nodes:
            yield self.probe.target(Kind.MOUNT, node)

    def live(self, target: Target) -> bool:
        """Tell whether runs of the target count: it is one of this PieProbe's and is not paused."""
        if self.probe is None or target.storage_class != self.probe.storage_class:
            return False
        pause = self.paused.get(target.kind)
        matches = target.kind is Kind.PROVISION or target.node in self.nodes
        return matches and (pause is None or pause.keep)


class Targets:
    """The reconciler. It tells `runs` which targets' runs count, and by which spec.

    `revision` grows with what is known of PieProbes, their statuses included, and with the labels of their
    nodes; heartbeats of nodes change nothing.
    """

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        settings: Settings,
        *,
        runs: Runs,
        maintenance: Maintenance,
    ) -> None:
        self._caches = caches
        self._queue = queue
        self._actions = Actions(client, caches.namespace, queue)
        self._objects = TargetObjects(client, caches)
        self._image = settings.container_image
        self._minute_seconds = settings.minute_seconds
        self._runs = runs
        self._maintenance = maintenance
        self._node_finder = NodeFinder(client, caches)
        self.probes: dict[str, ProbeState] = {}
        self.revision = 0
        self._cronjob_names = naming.Names()
        self._claim_names = naming.Names()
        queue.handle("probe", self._refresh)
        queue.handle("target", self._reconcile)
        queue.handle("topology", self._look_at_topology)

    def start(self) -> None:
        """Begin to lead: take stock of what exists, then follow events."""
        for cronjob in self._caches.cronjobs.store.values():
            self._seed(cronjob)
        for claim in self._caches.claims.store.values():
            seed(self._claim_names, claim.metadata, naming.claim_names)
        for probe in self._caches.probes.store.values():
            self._queue.add("probe", probe.metadata.name)
        self._caches.listen(NODES, self._node_changed)
        self._caches.listen(PIE_PROBES, self._probe_changed)
        self._caches.listen(STORAGE_CLASSES, self._class_changed)
        self._caches.listen(CRONJOBS, self._cronjob_changed)
        self._caches.listen(PVCS, self._claim_changed)

    def live_targets(self, probe: str) -> list[Target]:
        """Return the targets of a PieProbe whose runs count."""
        state = self.probes.get(probe)
        return [target for target in state.targets() if state.live(target)] if state else []

    def refused(self, probe: str) -> tuple[Reason, str] | None:
        """Return why targets of a PieProbe lack their objects, where the API server refuses to make them."""
        return self._actions.refused(probe)

    # Events: each only notes what has to be looked at.

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        node = new or old
        if node is None or (old and new and old.metadata.labels == new.metadata.labels):
            return
        for state in self.probes.values():
            if state.probe is not None:
                self._follow_node(state, state.probe, node.metadata, gone=new is None)

    def _follow_node(self, state: ProbeState, probe: Probe, node: Metadata, *, gone: bool) -> None:
        wanted = not gone and selector.matches(probe.node_selector, node.name, node.labels)
        known = node.name in state.nodes
        self.revision += wanted or known
        if (wanted or known) and self._node_finder.by_topology(probe):
            self._queue.add("topology", probe.name)
        if wanted == known:
            return
        (state.nodes.add if wanted else state.nodes.discard)(node.name)
        target = probe.target(Kind.MOUNT, node.name)
        self._mark(state, target)
        self._queue.add("target", target)
        self._queue.add("status", probe.name)
        # The first and the last node decide what is paused. (So does the topology, looked at by itself.)
        if len(state.nodes) <= 1 or state.paused:
            self._queue.add("probe", probe.name)

    def _probe_changed(self, old: PieProbe | None, new: PieProbe | None) -> None:
        self.revision += 1
        if old and new and old.metadata.uid == new.metadata.uid and old.spec == new.spec:
            return
        for probe in (old, new):
            if probe is not None:
                self._queue.add("probe", probe.metadata.name)

    def _class_changed(self, old: StorageClass | None, new: StorageClass | None) -> None:
        names = {thing.metadata.name for thing in (old, new) if thing is not None}
        for name, state in self.probes.items():
            if state.probe is not None and state.probe.storage_class in names:
                self._queue.add("probe", name)

    def _cronjob_changed(self, old: CronJob | None, new: CronJob | None) -> None:
        cronjob = new or old
        if cronjob is None or (target := naming.target_of(cronjob.metadata)) is None:
            return
        if new is None:
            self._actions.generations.pop(cronjob.metadata.uid, None)
        elif old is None:
            self._seed(new)
        if old is None or new is None or _rewritten(old.metadata, new.metadata):
            self._queue.add("target", target)

    def _claim_changed(self, old: Claim | None, new: Claim | None) -> None:
        claim = new or old
        if claim is None or (target := naming.target_of(claim.metadata)) is None:
            return
        # A new one that has an owner is pie's own, or a pod's.
        appeared = old is None and claim.metadata.controller_owner is None
        if (
            new is None
            or appeared
            or (old and old.metadata.owner_references != new.metadata.owner_references)
        ):
            self._queue.add("target", target)

    def _seed(self, cronjob: CronJob) -> None:
        seed(self._cronjob_names, cronjob.metadata, cronjob_names)
        self._actions.generations.setdefault(cronjob.metadata.uid, cronjob.metadata.generation)

    # A PieProbe: parse it, find its nodes, and what is paused.

    async def _refresh(self, thing: Hashable) -> None:
        name = str(thing)
        before = self.probes.get(name)
        stored = self._caches.probe(name)
        if stored is not None and stored.metadata.deletion_timestamp is not None:
            stored = None
        if stored is None or (before is not None and before.uid != stored.metadata.uid):
            # Perhaps made again under its name since: that one inherits nothing.
            self.probes.pop(name, None)
            self.revision += 1
            self._settle(before, None)
            self._runs.probe_gone(name)
            before = None
        if stored is None:
            return
        state = ProbeState(stored.metadata.uid)
        try:
            state.probe = parse_probe(stored, self._minute_seconds)
        except SpecError as error:
            # What runs goes on as it was: a typo is no reason to stop watching the storage.
            state = replace(before, error=error) if before else state
            state.error = error
        else:
            selection = await self._select_nodes(state.probe)
            state.nodes, state.paused = selection.nodes, selection.paused
            self._maintenance.follow(state.probe, state.nodes)
        self.probes[name] = state
        self.revision += 1
        if before is None:
            self._look_at_objects(name)
        self._settle(before, state)
        self._queue.add("status", name)

    async def _select_nodes(self, probe: Probe) -> NodeSelection:
        """Select the nodes of a PieProbe; where its driver is not on its nodes yet, again in a minute."""
        selection = await self._node_finder.find(probe)
        if not selection.complete:
            self._queue.add("topology", probe.name, after_seconds=_LOOK_AGAIN_SECONDS)
        return selection

    async def _look_at_topology(self, thing: Hashable) -> None:
        """Take a PieProbe up again if nodes and driver, as they are now, change what is paused."""
        state = self.probes.get(str(thing))
        if state is not None and state.probe is not None:
            selection = await self._select_nodes(state.probe)
            if selection.paused != state.paused:
                self._queue.add("probe", state.probe.name)

    def _settle(self, before: ProbeState | None, after: ProbeState | None) -> None:
        targets = {target for state in (before, after) if state for target in state.targets()}
        for target in targets:
            self._mark(after, target)
            self._queue.add("target", target)

    def _look_at_objects(self, probe: str) -> None:
        """Have each target looked at that has objects of a PieProbe that is read the first time."""
        for target in (*self._caches.cronjobs_of, *self._caches.claims_of):
            if target.probe == probe:
                self._queue.add("target", target)

    def _mark(self, state: ProbeState | None, target: Target) -> None:
        self._runs.target_changed(target, state.probe if state is not None and state.live(target) else None)

    # A target: gather, plan, write.

    async def _reconcile(self, thing: Hashable) -> None:
        if not isinstance(thing, Target):
            raise TypeError(f"not a target: {thing!r}")
        state = self.probes.get(thing.probe)
        desired = self._desired(state, thing)
        if desired is None:
            return
        owner = owner_reference(thing, state.uid) if state is not None else None
        observed = await self._objects.observe(thing, desired, owner, self._actions.generations)
        await self._actions.carry_out(thing, plan(desired, observed))
        if desired == Desired() and not observed.cronjobs and not observed.claims:
            self._cronjob_names.release(thing)
            self._claim_names.release(thing)

    def _desired(self, state: ProbeState | None, target: Target) -> Desired | None:
        """Return what the target should have; None where nothing may be touched."""
        if state is None:
            return Desired()
        if (probe := state.probe) is None:
            return None
        matches = target.kind is Kind.PROVISION or target.node in state.nodes
        pause = state.paused.get(target.kind)
        if probe.storage_class != target.storage_class or not matches:
            return Desired()
        if pause is not None and not pause.keep:
            # A claim of a paused probe stays: its volume may be needed again as soon as the cause is gone.
            return Desired(keep_claim=pause.resumes_by_itself)
        mount = target.kind is Kind.MOUNT
        claim = self._claim_names.claim(target, naming.claim_names(target)) if mount else ""
        name = self._cronjob_names.claim(target, cronjob_names(target))
        return Desired(
            batch_manifests.cronjob(
                probe,
                target,
                name=name,
                claim=claim,
                image=self._image,
                suppressed_since=self._maintenance.suspended_since(target),
            ),
            manifests.claim(probe, target, name=claim) if mount else None,
            create=pause is None,
        )


def _rewritten(old: Metadata, new: Metadata) -> bool:
    """Tell whether more than the status changed."""
    return _written(old) != _written(new)


def _written(found: Metadata) -> tuple[Any, ...]:
    return found.uid, found.generation, found.deletion_timestamp, found.annotations, found.owner_references
