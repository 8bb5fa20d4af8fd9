"""Follows what runs leave behind until it is gone: the pod, its ephemeral claim, and the claim's volume.

A volume carries none of pie's labels, so it is asked for by name once its claim is gone. What stays longer
than a run's deadline is left behind, and said so.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

import structlog

from pie.controller.maintenance import Maintenance
from pie.controller.observe import Caches
from pie.controller.queue import WorkQueue
from pie.core.attachment import PersistentVolume
from pie.core.incidents import BAD_RUNS_IN_A_ROW, Finding
from pie.core.model import Kind, Probe, Stage, Target
from pie.core.naming import ANNOTATION_SELECTED_NODE, labels
from pie.core.objects import Claim, OwnerReference, Pod
from pie.core.parse import SpecError, parse_probe
from pie.core.reasons import Reason
from pie.core.result import one_line
from pie.kube.client import Client
from pie.kube.resources import PODS, PVCS, PVS
from pie.serve.series import RunSeries

_log = structlog.get_logger()

_FIRST_LOOK_SECONDS: Final = 2.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_USUAL_DEADLINE_SECONDS: Final = 60.0
_LONGEST_PATIENCE: Final = 120.0
_PAGE: Final = 500
_EPHEMERAL_SUFFIX: Final = "-volume"
"""Kubernetes names an ephemeral claim `<pod>-<volume>`, and pie's pods have one volume of this name."""


@dataclass(slots=True)
class _Remains:
    """What a provision run's pod leaves behind. `began`: when the pod began to go, by the controller's clock.

    `whole`: the teardown was seen from its beginning. `excused_at`: when something else was last wrong that
    explains why it stays. `node` is where the volume was made. `left` is why it
    counts as left behind, `evidence` what its volume says, `urgent`: for so long that it is an incident.
    """

    target: Target
    claim: str
    node: str = ""
    volume: str = ""
    began: float | None = None
    excused_at: float = 0.0
    whole: bool = True
    claim_gone: bool = False
    left: Reason | None = None
    urgent: bool = False
    evidence: str = ""


class Teardown:
    """The table of what is going, by the uid of the pod that had it.

    `on_change` is told the PieProbe. `explained` tells whether something else is wrong with a PieProbe's
    storage that also keeps volumes made on a node from going.
    """

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        maintenance: Maintenance,
        run_series: RunSeries,
        on_change: Callable[[str], None],
        explained: Callable[[str, str], bool],
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._maintenance = maintenance
        self._run_series = run_series
        self._on_change = on_change
        self._explained = explained
        self._remains: dict[str, _Remains] = {}
        self._going: dict[str, float] = {}
        self._stock_taken = False
        queue.handle("teardown", self._look)
        queue.handle("leftovers", self._take_stock)

    def start(self) -> None:
        """Begin to lead: take up the claims there are, and look once for volumes whose claim is gone."""
        for claim in self._caches.claims.store.values():
            self._claim_changed(None, claim)
        self._caches.listen(PVCS, self._claim_changed)
        self._caches.listen(PODS, self._pod_changed)
        self._queue.add("leftovers", "")

    def left_behind(self, probe: str) -> tuple[tuple[Finding, ...], bool]:
        """Return what a PieProbe's runs left behind and somebody could take away, for the incidents.

        And whether that is all: after a restart, what was left before is known only after its deadline.
        """
        of_probe = [each for each in self._remains.values() if each.target.probe == probe]
        settled = self._stock_taken and all(each.whole or each.left is not None for each in of_probe)
        return self._findings(of_probe), settled

    @staticmethod
    def _findings(remains: list[_Remains]) -> tuple[Finding, ...]:
        return tuple(
            Finding(
                target=each.target,
                stage=Stage.TEARDOWN,
                reason=each.left,
                evidence=each.evidence,
                node=each.node,
                first_bad=each.began or 0.0,
                bad_runs=BAD_RUNS_IN_A_ROW if each.urgent else 1,
            )
            for each in remains
            if each.left is not None and each.left is not Reason.NODE_GONE
        )

    # What the watches bring.

    def _claim_changed(self, old: Claim | None, new: Claim | None) -> None:
        claim = new or old
        owner = claim.metadata.controller_owner if claim is not None else None
        if claim is None or owner is None or owner.kind != "Pod":
            return
        remains = self._remains.get(owner.uid) or self._follow(claim, owner)
        if remains is None:
            return
        remains.node = claim.metadata.annotations.get(ANNOTATION_SELECTED_NODE, remains.node)
        remains.volume = claim.spec.volume_name or remains.volume
        if new is None:
            remains.claim_gone = True
            self._begin(owner.uid, remains)
            self._queue.add("teardown", owner.uid, after_seconds=_FIRST_LOOK_SECONDS)

    def _follow(self, claim: Claim, owner: OwnerReference) -> _Remains | None:
        if (target := self._target(claim.metadata.labels)) is None:
            return None
        remains = self._remains[owner.uid] = _Remains(target, claim.metadata.name)
        if (claim.metadata.namespace, owner.name) not in self._caches.pods.store:
            # Claims may be seen before their pods, so this is looked at again at the deadline only.
            remains.whole = False
            self._begin(owner.uid, remains)
        return remains

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        if pod is None:
            return
        uid = pod.metadata.uid
        remains = self._remains.get(uid)
        if new is not None and new.metadata.deletion_timestamp is None:
            if remains is not None and not remains.claim_gone:
                remains.began, remains.whole = None, True
            return
        if remains is not None:
            self._begin(uid, remains)
        elif new is not None:
            self._going.setdefault(uid, self._client.now())
        elif (began := self._going.pop(uid, None)) is not None:
            target = self._target(pod.metadata.labels)
            if target is not None:
                self._run_series.stages(target, {Stage.TEARDOWN: self._client.now() - began})

    def _begin(self, uid: str, remains: _Remains) -> None:
        if remains.began is None:
            remains.began = self._client.now()
            self._queue.add("teardown", uid, after_seconds=self._deadline(remains.target))

    def _target(self, marks: dict[str, str]) -> Target | None:
        """Return the target whose labels an object has."""
        for probe in self._caches.probes.store.values():
            storage_class = str(probe.spec.get("monitoringStorageClass", ""))
            for kind, node in ((Kind.PROVISION, ""), (Kind.MOUNT, marks.get("node", ""))):
                target = Target(probe.metadata.name, kind, storage_class, node)
                if bool(node) == ("node" in marks) and labels(target).items() <= marks.items():
                    return target
        return None

    def _deadline(self, target: Target) -> float:
        probe = self._probe(target)
        return probe.deadline_seconds if probe is not None else _USUAL_DEADLINE_SECONDS

    def _patience(self, target: Target) -> float:
        """How long a leak may last before it is an incident of its own.

        Who cannot delete volumes often cannot make them either. By then the next run has told, and then
        that is the incident; when it is over, there is as much time again to delete them.
        """
        probe = self._probe(target)
        if probe is None:
            return _USUAL_DEADLINE_SECONDS
        return probe.deadline_seconds + probe.threshold_seconds + min(probe.period_seconds, _LONGEST_PATIENCE)

    def _probe(self, target: Target) -> Probe | None:
        stored = self._caches.probe(target.probe)
        try:
            return parse_probe(stored) if stored is not None else None
        except SpecError:
            return None

    # Looking after the volumes.

    async def _look(self, thing: Hashable) -> None:
        """Look whether what a pod (by uid) left is gone, and judge it if its time is over."""
        uid = str(thing)
        remains = self._remains.get(uid)
        if remains is None or remains.began is None:
            return
        if self._caches.probe(remains.target.probe) is None:
            del self._remains[uid]
            return
        volume = await self._volume(remains) if remains.claim_gone else None
        age_seconds = self._client.now() - remains.began
        if remains.claim_gone and volume is None:
            self._gone(uid, remains, age_seconds)
            return
        if self._in_maintenance(remains):
            # Nobody there can unmount or delete: its time begins when the maintenance ends.
            remains.began, remains.whole = self._client.now(), False
            age_seconds = 0.0
        overdue = age_seconds >= self._deadline(remains.target)
        left = self._why_left(remains, volume) if overdue else None
        if left is not remains.left:
            remains.left, remains.evidence = left, self._words(remains, volume)
            _log.warning("left behind", probe=remains.target.probe, reason=left, evidence=remains.evidence)
            self._show(remains.target)
        if self._explained(remains.target.probe, remains.node):
            remains.excused_at = self._client.now()
        since = max(remains.began, remains.excused_at)
        if overdue and not remains.urgent and self._client.now() >= since + self._patience(remains.target):
            remains.urgent = True
            self._on_change(remains.target.probe)
        self._queue.add("teardown", uid, after_seconds=min(_LONGEST_WAIT_SECONDS, max(1.0, age_seconds / 2)))

    async def _volume(self, remains: _Remains) -> PersistentVolume | None:
        """Return the claim's volume if it is there and is to go."""
        storage_class = self._caches.storage_classes.store.get(("", remains.target.storage_class))
        if not remains.volume or (storage_class is not None and storage_class.reclaim_policy == "Retain"):
            return None
        volume = await self._client.get_or_none(PVS, remains.volume, decode=PersistentVolume)
        # A volume that serves another claim is that one's.
        return volume if volume is not None and volume.spec.claim_ref.name == remains.claim else None

    def _gone(self, uid: str, remains: _Remains, age_seconds: float) -> None:
        del self._remains[uid]
        if remains.whole and remains.left is None:
            self._run_series.stages(remains.target, {Stage.TEARDOWN: age_seconds})
        if remains.left is not None or not remains.whole:
            self._show(remains.target)

    def _in_maintenance(self, remains: _Remains) -> bool:
        on_node = Target(remains.target.probe, Kind.MOUNT, remains.target.storage_class, remains.node)
        return self._maintenance.suppression(on_node) is not None

    def _why_left(self, remains: _Remains, volume: PersistentVolume | None) -> Reason:
        node_local = volume is None or volume.spec.node_affinity is not None
        if remains.node and ("", remains.node) not in self._caches.nodes.store and node_local:
            return Reason.NODE_GONE
        return Reason.TEARDOWN_STUCK if volume is None else Reason.VOLUME_LEAKED

    @staticmethod
    def _words(remains: _Remains, volume: PersistentVolume | None) -> str:
        if volume is None:
            return f"claim {remains.claim} is still there"
        said = f": {volume.status.message}" if volume.status.message else ""
        return one_line(f"volume {remains.volume} is {volume.status.phase or 'there'}{said}")

    def _show(self, target: Target) -> None:
        """Show how much of a PieProbe's is left behind, and have its incidents looked at."""
        counts = Counter(
            each.left for each in self._remains.values() if each.target == target and each.left is not None
        )
        self._run_series.left_behind(target, counts)
        self._on_change(target.probe)

    async def _take_stock(self, _thing: Hashable) -> None:
        """Find the volumes of pie's claims that went while nobody looked: one list, page by page."""
        token = ""
        while True:
            page = await self._client.list_page(PVS, decode=PersistentVolume, limit=_PAGE, continue_=token)
            for volume in page.items:
                self._take_up(volume)
            if not (token := page.continue_):
                self._stock_taken = True
                return

    def _take_up(self, volume: PersistentVolume) -> None:
        claim = volume.spec.claim_ref
        here = claim.namespace == self._caches.namespace and claim.name.endswith(_EPHEMERAL_SUFFIX)
        if not here or (claim.namespace, claim.name) in self._caches.claims.store:
            return
        for target, cronjobs in self._caches.cronjobs_of.items():
            if target.kind is Kind.PROVISION and any(claim.name.startswith(f"{name}-") for name in cronjobs):
                remains = _Remains(target, claim.name, volume=volume.metadata.name, whole=False)
                remains.claim_gone = True
                self._remains[claim.uid] = remains
                self._begin(claim.uid, remains)
                return
