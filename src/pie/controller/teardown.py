"""Follows PVCs that are being deleted, of runs and of targets, until they and their volumes are gone.

A volume has no labels of pie, so pie reads it by name when its PVC is gone. What exists longer than a run's
deadline is left behind, and pie reports it. A volume with the reclaim policy Retain stays.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import product
from typing import Final

import structlog

from pie.controller.caches import Caches, uid_of
from pie.controller.leakscan import find_leaks
from pie.controller.nodes import Nodes
from pie.controller.probes import Probes
from pie.controller.queue import SETTLE_SECONDS, Lane, WorkQueue
from pie.core.incidents.fold import BAD_RUNS_IN_A_ROW
from pie.core.incidents.incident import EVERY_NODE, Finding
from pie.core.kinds import KINDS
from pie.core.leaks import DETACH_SECONDS, may_be_held, to_stay, why_left, words
from pie.core.maintenance.history import observe
from pie.core.manifests import KIND
from pie.core.model import Probe, Probed, ProbeId, Stage, Target
from pie.core.naming import ANNOTATION_SELECTED_NODE, LABEL_NODE, LABEL_PROBE, label_value, labels, target_of
from pie.core.reasons import Reason
from pie.core.volumeobjects import PersistentVolume
from pie.core.wire import Claim, Metadata, Pod
from pie.kube.client import Client
from pie.kube.resources import PODS, PVCS, PVS
from pie.serve.runseries import RunSeries

_log = structlog.get_logger()

_FIRST_LOOK_SECONDS: Final = 2.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_NODE_GONE_WAIT_SECONDS: Final = 600.0
"""Only a person can delete such a volume, and clusters whose nodes are replaced often have many."""

_LOOKS_PER_SECOND: Final = 8.0
"""At most, for all volumes together: each is read by name, and the API server is busy in an outage."""

_USUAL_DEADLINE_SECONDS: Final = 60.0
_LONGEST_PATIENCE: Final = 120.0


@dataclass(slots=True)
class _Remains:
    """A PVC that is being deleted, or that belongs to a run.

    `began` is when its deletion began, by the controller's clock. `whole`: pie saw its deletion from the
    beginning. `excused_at` is when another fault, or maintenance, last explained why it still exists. `node`
    is where the volume was created. `lost_since` is since when the volume may be attached to a deleted node.
    `left` is why it counts as left behind, and `evidence` what its volume says. `urgent`: it is left behind
    for so long that this is an incident.
    """

    target: Target
    claim: str
    node: str = ""
    volume: str = ""
    began: float | None = None
    excused_at: float = 0.0
    lost_since: float | None = None
    whole: bool = True
    claim_gone: bool = False
    left: Reason | None = None
    urgent: bool = False
    evidence: str = ""


class Teardown:
    """The table of what has to be deleted, by the uid of the PVC."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        probes: Probes,
        nodes: Nodes,
        run_series: RunSeries,
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._probes = probes
        self._nodes = nodes
        self._run_series = run_series
        self._explained: dict[Probed, frozenset[str]] = {}
        self._remains: dict[str, _Remains] = {}
        self._of_probe: defaultdict[Probed, dict[str, _Remains]] = defaultdict(dict)
        self._left: defaultdict[Probed, Counter[Reason]] = defaultdict(Counter)
        self._pods_going: dict[str, float] = {}
        self._stock_taken = False
        queue.handle("teardown", self._look, Lane.READS)
        queue.handle("leftovers", self._take_stock, Lane.READS)

    def start(self) -> None:
        """Begin to lead: read the existing PVCs, and look once for volumes whose PVC is gone."""
        for claim in self._caches.claims.store.values():
            self._claim_changed(None, claim)
        self._caches.listen(PVCS, self._claim_changed)
        self._caches.listen(PODS, self._pod_changed)
        self._queue.add("leftovers", "")

    def left_behind(self, probed: Probed) -> tuple[tuple[Finding, ...], bool]:
        """Return what a PieProbe left behind and can still be deleted, and whether this list is complete.

        After a restart it is complete only when the deadlines of all PVCs are over.
        """
        of_probe = self._of_probe.get(probed, {}).values()
        settled = self._stock_taken and all(each.whole or each.left is not None for each in of_probe)
        findings = tuple(
            Finding(
                target=each.target,
                stage=Stage.TEARDOWN,
                reason=each.left,
                evidence=each.evidence,
                node=each.node,
                first_bad=each.began or 0.0,
                bad_runs=BAD_RUNS_IN_A_ROW if each.urgent else 1,
            )
            for each in of_probe
            if each.left is not None and each.left is not Reason.NODE_GONE
        )
        return findings, settled

    def explain(self, probed: Probed, nodes: frozenset[str]) -> None:
        """Note on which nodes the incidents of a PieProbe explain volumes that are left behind."""
        self._explained[probed] = nodes

    def forget(self, probe: ProbeId) -> None:
        """Forget what explains the volumes of a PieProbe that is gone."""
        for each in [each for each in self._explained if each.probe == probe]:
            del self._explained[each]

    def _is_explained(self, remains: _Remains) -> bool:
        """Tell whether another fault of the node explains why the volume is not deleted."""
        found = self._explained.get(remains.target.probed, frozenset())
        return not found.isdisjoint({EVERY_NODE, remains.node})

    # What the watches bring.

    def _claim_changed(self, old: Claim | None, new: Claim | None) -> None:
        if old is not None and new is not None and old.metadata.uid != new.metadata.uid:
            self._claim_changed(old, None)  # The watch missed that it was deleted and created again.
            old = None
        claim = new or old
        if claim is None or (remains := self._follow(claim, gone=new is None)) is None:
            return
        remains.node = claim.metadata.annotations.get(ANNOTATION_SELECTED_NODE, remains.node)
        remains.volume = claim.spec.volume_name or remains.volume
        if new is None:
            remains.claim_gone = True
            self._begin(claim.metadata.uid, remains)
            self._look_in(claim.metadata.uid, _FIRST_LOOK_SECONDS)

    def _follow(self, claim: Claim, *, gone: bool) -> _Remains | None:
        """Return what is known of a PVC; a run's is followed always, a target's when it is being deleted."""
        found, owner = claim.metadata, claim.metadata.controller_owner
        if (known := self._remains.get(found.uid)) is not None:
            return known
        if owner is not None and owner.kind == "Pod":
            if (target := self._target(found)) is None:
                return None
            remains = self._add(found.uid, _Remains(target, found.name))
            # pie may see a PVC before its pod, so it looks again only at the deadline.
            ending = (found.namespace, owner.name) not in self._caches.pods.store
        else:
            target, ending = target_of(found), gone or found.being_deleted
            ours = owner is not None and owner.kind == KIND
            if target is None or not (ours and ending) or self._caches.probe(target.probe_id) is None:
                return None
            remains = self._add(found.uid, _Remains(target, found.name, target.node))
        if ending:
            remains.whole = False
            self._begin(found.uid, remains)
        return remains

    def _add(self, uid: str, remains: _Remains) -> _Remains:
        self._remains[uid] = self._of_probe[remains.target.probed][uid] = remains
        return remains

    def _drop(self, uid: str) -> None:
        remains = self._remains.pop(uid)
        self._note_left(remains, None)
        of_probe = self._of_probe[remains.target.probed]
        del of_probe[uid]
        if not of_probe:
            del self._of_probe[remains.target.probed], self._left[remains.target.probed]

    def _note_left(self, remains: _Remains, left: Reason | None) -> None:
        counts = self._left[remains.target.probed]
        if remains.left is not None:
            counts[remains.left] -= 1
        if left is not None:
            counts[left] += 1
        remains.left = left

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if (pod := new or old) is None:
            return
        going = new is None or new.metadata.being_deleted
        claim = self._caches.claim_of_pod.get(uid_of(pod.metadata))
        if claim is None:
            self._time_pod(pod.metadata, going=going, gone=new is None)
        elif (remains := self._remains.get(claim.metadata.uid)) is not None:
            remains.node = remains.node or pod.spec.node_name
            if going:
                self._begin(claim.metadata.uid, remains)
            else:
                if not remains.whole:
                    self._wake(remains.target.probe_id)
                remains.began, remains.whole = None, True

    def _time_pod(self, pod: Metadata, *, going: bool, gone: bool) -> None:
        """Measure how long the deletion of a mount run's pod takes; its PVC stays."""
        if LABEL_NODE not in pod.labels:
            return
        if going and not gone:
            self._pods_going.setdefault(pod.uid, self._client.now())
        began = self._pods_going.pop(pod.uid, None) if gone else None
        if began is not None and (target := self._target(pod)) is not None:
            self._run_series.stages(target, {Stage.TEARDOWN: self._client.now() - began})

    def _begin(self, uid: str, remains: _Remains) -> None:
        if remains.began is None:
            remains.began = self._client.now()
            probe = self._probe(remains.target)
            wait_seconds = probe.deadline_seconds if probe is not None else _FIRST_LOOK_SECONDS
            self._look_in(uid, wait_seconds)

    def _look_in(self, uid: str, wait_seconds: float) -> None:
        """Look at a PVC and its volume later; the more there are, the later."""
        spaced_seconds = len(self._remains) / _LOOKS_PER_SECOND
        self._queue.add("teardown", uid, after_seconds=max(wait_seconds, spaced_seconds))

    def _target(self, found: Metadata) -> Target | None:
        """Return the target whose labels an object has."""
        node = found.labels.get(LABEL_NODE, "")
        kinds = [row.name for row in KINDS.values() if row.per_node == bool(node)]
        of, name = found.namespace, found.labels.get(LABEL_PROBE, "")
        for probe in self._caches.probes.store.values():
            if probe.metadata.namespace != of or label_value(probe.metadata.name) != name:
                continue
            for kind, storage_class in product(kinds, probe.storage_classes):
                target = Target(probe.metadata.name, kind, storage_class, node, of)
                if labels(target).items() <= found.labels.items():
                    return target
        return None

    def _probe(self, target: Target) -> Probe | None:
        return self._probes.spec(target.probe_id)

    def _patience(self, probe: Probe | None) -> float:
        """Return how long a leak may last before it is an incident of its own.

        A driver that cannot delete volumes often cannot create them either. Within this time the next run
        shows that, and then there is an incident already. After its end there is this time once more.
        """
        if probe is None:
            return _USUAL_DEADLINE_SECONDS
        return probe.deadline_seconds + probe.threshold_seconds + min(probe.period_seconds, _LONGEST_PATIENCE)

    # Looking at the volumes.

    async def _look(self, uid: str) -> None:
        """Look whether a PVC and its volume are gone, and judge what is still there."""
        remains = self._remains.get(uid)
        if remains is None or remains.began is None:
            return
        if self._caches.probe(remains.target.probe_id) is None:
            self._drop(uid)
            return
        volume = await self._volume(uid, remains) if remains.claim_gone else None
        now = self._client.now()
        age_seconds = now - (remains.began or now)
        if remains.claim_gone and volume is None:
            self._gone(uid, remains, age_seconds)
            return
        wait_seconds = min(_LONGEST_WAIT_SECONDS, max(1.0, age_seconds / 2))
        if self._in_maintenance(remains, now) or self._being_detached(remains, volume, now):
            # Nobody can unmount or delete it now. Its time begins when that ends.
            remains.excused_at, remains.whole = now, False
            remains.began = now if remains.left is None else remains.began
            wait_seconds = _LONGEST_WAIT_SECONDS
        else:
            self._judge(remains, volume, now, age_seconds)
            if remains.left is Reason.NODE_GONE:
                wait_seconds = _NODE_GONE_WAIT_SECONDS
        self._look_in(uid, wait_seconds)

    def _judge(
        self, remains: _Remains, volume: PersistentVolume | None, now: float, age_seconds: float
    ) -> None:
        """Note why something is left behind, and when this becomes an incident."""
        probe = self._probe(remains.target)
        deadline_seconds = probe.deadline_seconds if probe is not None else _USUAL_DEADLINE_SECONDS
        if self._is_explained(remains):
            remains.excused_at = now
        if remains.left is None and age_seconds < deadline_seconds:
            return
        left = why_left(volume, remains.node, self._caches.nodes_by_label)
        if left is not remains.left:
            self._note_left(remains, left)
            remains.evidence = words(remains.claim, volume)
            _log.warning(
                "left behind", probe=str(remains.target.probe_id), reason=left, evidence=remains.evidence
            )
            self._show(remains.target)
        since = max(now - age_seconds, remains.excused_at)
        if not remains.urgent and now >= since + self._patience(probe):
            remains.urgent = True
            self._wake(remains.target.probe_id)

    async def _volume(self, uid: str, remains: _Remains) -> PersistentVolume | None:
        """Return the PVC's volume if it exists and has to be deleted."""
        if not remains.volume:
            return None
        volume = await self._client.get_or_none(PVS, remains.volume, decode=PersistentVolume)
        # The volume may belong to another PVC by now.
        return volume if volume and volume.spec.claim_ref.uid == uid and not to_stay(volume) else None

    def _gone(self, uid: str, remains: _Remains, age_seconds: float) -> None:
        was_left = remains.left is not None
        self._drop(uid)
        if remains.whole and not was_left:
            self._run_series.stages(remains.target, {Stage.TEARDOWN: age_seconds})
        else:
            self._show(remains.target)

    def _being_detached(self, remains: _Remains, volume: PersistentVolume | None, now: float) -> bool:
        """Tell whether Kubernetes still has to detach a volume from a deleted node."""
        # If pie found it at its start, it may not know where it was used, nor when its deletion began.
        nodes, known = self._caches.nodes_by_label, remains.whole
        if not may_be_held(volume, remains.node, nodes, known=known):
            remains.lost_since = None
            return False
        remains.lost_since = now if remains.lost_since is None else remains.lost_since
        return now < remains.lost_since + DETACH_SECONDS

    def _in_maintenance(self, remains: _Remains, now: float) -> bool:
        probe, node = self._probe(remains.target), self._caches.nodes.store.get(("", remains.node))
        if probe is None or node is None:
            return False
        if self._nodes.matches(remains.target.probed, remains.node):
            return self._nodes.suppressed(remains.target.probed, remains.node)
        # A node that does not match any more is not followed, but may be under maintenance.
        return observe(None, node, probe, now).current is not None

    def _show(self, target: Target) -> None:
        """Show how much a PieProbe left behind, and look at its incidents."""
        self._run_series.left_behind(target, self._left.get(target.probed, {}))
        self._wake(target.probe_id)

    def _wake(self, probe: ProbeId) -> None:
        self._queue.add("probe", probe, after_seconds=SETTLE_SECONDS)

    async def _take_stock(self, _: str) -> None:
        async for volume, target, node in find_leaks(self._client, self._caches):
            claim = volume.spec.claim_ref
            if claim.uid not in self._remains:
                remains = _Remains(
                    target, claim.name, node, volume.metadata.name, whole=False, claim_gone=True
                )
                self._begin(claim.uid, self._add(claim.uid, remains))
        self._stock_taken = True
        for probe in self._caches.probes.store.values():
            self._wake(probe.id)
