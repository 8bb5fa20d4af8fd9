"""A one-shot check of a StorageClass: its nodes, its objects, and its report.

Everything that a check creates has its label and belongs to its Lease. So `kubectl delete lease pie-check-…`
deletes all of it, whatever happened to the program that created it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from msgspec import Struct

from pie.core import meshes
from pie.core.judge import Judgement
from pie.core.kinds import ALWAYS, KINDS, kind_of
from pie.core.maintenance.now import NodeNow, suppression
from pie.core.manifests import POD_ANNOTATIONS, Manifest, claim, pod_spec
from pie.core.model import (
    BAD,
    FIRST,
    NOT_GOOD,
    AtStep,
    Canary,
    Image,
    Probe,
    Stage,
    SuppressionRules,
    Target,
    Verdict,
)
from pie.core.naming import ANNOTATION_TARGET, label_value
from pie.core.reasons import ADVICE, AREA, MEANING, Reason
from pie.core.result import IoStats
from pie.core.suitable import unsuitable
from pie.core.timeline import Run, timeline
from pie.core.volumeobjects import PersistentVolume
from pie.core.wire import Claim, Metadata, Node, StorageClass

LABEL_CHECK = "pie.topolvm.io/check"
DRIVER_NOT_REGISTERED = "DriverNotRegistered"
_ONCE = Canary(period_seconds=3600)
"""A check runs a canary once, so its period has no meaning."""
_MOST_TERMS = 100
"""A provision run names at most this many nodes, so that the affinity of its pod stays readable."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to check. `nodes`: names, or a label selector; empty: all nodes that have the class's driver.

    `timeout_seconds` is how long a run may take to start, and then for its I/O. `parallel` is how many
    targets are checked at once. With `each_node`, a volume is provisioned on each node, and not on any one.
    Without an `image`, it is that of the pie in `pie_namespace`. `image_pull_secrets` are names of Secrets.
    """

    storage_class: str
    namespace: str
    nodes: str = ""
    kinds: frozenset[str] = field(default_factory=lambda: ALWAYS)
    each_node: bool = False
    image: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    pie_namespace: str = ""
    timeout_seconds: float = 60.0
    parallel: int = 10
    keep_on_failure: bool = False
    pvc_capacity: str = "100Mi"


class Skipped(Struct, frozen=True):
    """A node that was not checked; `reason`: of a suppression, NodeUnsuitable, DRIVER_NOT_REGISTERED."""

    node: str
    reason: str
    message: str


class Left(Struct, frozen=True):
    """An object of the check that still exists; `message` says why, and what to do."""

    kind: str
    name: str
    message: str


class Checked(Struct, frozen=True):
    """The result of one target. `stages` are the durations; those of the second run of a mount check count.

    `node` is the node of a provision run, empty if it had none. `next` is what to do, and `area` whose
    problem it is; both are empty when ok.
    """

    kind: str
    node: str
    verdict: Verdict
    reason: Reason
    stage: Stage | None = None
    message: str = ""
    next: str = ""
    seconds: float = 0.0
    stages: dict[Stage, float] = {}
    io: IoStats | None = None
    area: str = ""

    @property
    def bad(self) -> bool:
        """Whether it counts as a failure of the storage."""
        return self.verdict in BAD


class CheckReport(Struct, frozen=True):
    """The result of a check. `error` is what ended it early, `notes` is what was not done as ordered.

    `kept` are the pods and PVCs of bad targets, if the order was to keep them.
    """

    check: str
    storage_class: str
    provisioner: str
    namespace: str
    image: str
    started: float
    seconds: float
    ok: bool
    error: str
    targets: tuple[Checked, ...]
    skipped: tuple[Skipped, ...]
    left: tuple[Left, ...]
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def passed(targets: Collection[Checked], left: Collection[Left]) -> bool:
    """Tell whether a target was good, none was bad, and everything was deleted.

    A feature that the class does not offer is not bad.
    """
    asked = [each for each in targets if each.reason is not Reason.NOT_OFFERED]
    proved = any(each.verdict is Verdict.OK for each in asked)
    return proved and not left and not any(each.verdict in NOT_GOOD for each in asked)


def checked(
    target: Target, node: str, judgement: Judgement, *, seconds: float, stages: dict[Stage, float]
) -> Checked:
    """Return the result of a target from the judgement of its last run."""
    good = judgement.verdict is Verdict.OK
    return Checked(
        kind=target.kind,
        node=node,
        verdict=judgement.verdict,
        reason=judgement.reason,
        stage=judgement.stage,
        message=judgement.message or ("" if good else MEANING[judgement.reason]),
        next="" if good else ADVICE[judgement.reason],
        area=AREA.get(judgement.reason, ""),
        seconds=round(seconds, 3),
        stages={stage: round(took, 3) for stage, took in stages.items()},
        io=judgement.result.io if judgement.result is not None else None,
    )


def probe_of(order: Order, check: str, nodes: Iterable[str]) -> Probe:
    """Return the probe of a check: its nodes by name, and no grace, so that new nodes are checked, too.

    The architectures of the image are not known.
    """
    rules = [{"key": "metadata.name", "operator": "In", "values": [name]} for name in nodes]
    return Probe(
        namespace=order.namespace,
        name=check,
        uid="",
        generation=0,
        storage_class=order.storage_class,
        node_selector=(),
        node_selector_json={"nodeSelectorTerms": [{"matchFields": [rule]} for rule in rules[:_MOST_TERMS]]},
        threshold_seconds=order.timeout_seconds,
        deadline_seconds=order.timeout_seconds,
        pvc_capacity=order.pvc_capacity,
        suppression=SuppressionRules(reboot_grace_seconds=0.0, new_node_grace_seconds=0.0),
        architectures=(),
        canaries={name: _ONCE for name in order.kinds if KINDS[name].canary},
    )


def choose(
    nodes: Iterable[Node],
    probe: Probe,
    now: float,
    *,
    driver: str = "",
    with_driver: frozenset[str] = frozenset(),
    storage_class: StorageClass | None = None,
) -> tuple[list[Node], list[Skipped]]:
    """Return which nodes to check, and which not and why.

    `with_driver` are the nodes on which the driver is registered; the others are skipped. If it is empty, the
    class has no CSI driver, and no node is skipped for this reason.
    """
    chosen: list[Node] = []
    skipped: list[Skipped] = []
    for node in sorted(nodes, key=lambda each: each.metadata.name):
        name = node.metadata.name
        if unfit := unsuitable(node, probe, storage_class):
            skipped.append(Skipped(name, Reason.NODE_UNSUITABLE, unfit))
        elif (why := suppression(NodeNow(node, now, driver=driver), probe)) is not None:
            skipped.append(Skipped(name, why.reason, why.message))
        elif with_driver and name not in with_driver:
            message = (
                f"the driver {driver} is not registered on the node (CSINode); name the node to check it"
            )
            skipped.append(Skipped(name, DRIVER_NOT_REGISTERED, message))
        else:
            chosen.append(node)
    return chosen, skipped


def stage_of(run: Run) -> Stage:
    """Return how far a run has come."""
    times = timeline(run)
    if times.started is not None:
        return Stage.IO
    if run.seen.ready is not None:
        return Stage.START
    if times.scheduled is not None:
        return Stage.ATTACH if run.seen.attaching and not run.seen.attached else Stage.MOUNT
    if run.seen.waiting is not None:  # the scheduler binds the pod only after the volume exists
        return Stage.PROVISION
    return Stage.SCHEDULE if run.pod is not None else Stage.QUEUE


def belongs(metadata: Metadata, owners: Collection[str]) -> bool:
    """Tell whether one of these owners (uids) owns an object: anybody can write a label."""
    return any(owner.uid and owner.uid in owners for owner in metadata.owner_references)


def created_for(volume: PersistentVolume, claim: Claim) -> bool:
    """Tell whether a volume is bound to this PVC and was created for it: then it is not older."""
    younger = volume.metadata.created_seconds >= claim.metadata.created_seconds
    return volume.spec.claim_ref.uid == claim.metadata.uid and younger


def provisioned_name(claim: Claim) -> str:
    """Return the name of the PersistentVolume that a provisioner creates for a PVC.

    It is the default of csi-provisioner (`--volume-name-prefix=pvc`) and of the provisioners in Kubernetes; a
    driver with another prefix names its volumes otherwise.
    """
    return f"pvc-{claim.metadata.uid}"


def runs_of(target: Target) -> int:
    """Return how many pods a target has, one after the other.

    On a kept volume, a second run has to find what the first wrote. Each step of a run has a pod.
    """
    kind = kind_of(target)
    return 2 if kind.pvc else len(kind.steps)


def lease(check: str, namespace: str, holder: str) -> Manifest:
    """Return the Lease that owns all objects of a check; `holder` says who started the check."""
    metadata = {"name": check, "namespace": namespace, "labels": {LABEL_CHECK: check}}
    spec = {"holderIdentity": holder}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


@dataclass(frozen=True, slots=True)
class Maker:
    """Builds the manifests of a check; `lease_uid` is the uid of its Lease."""

    check: str
    namespace: str
    image: Image
    lease_uid: str

    def claim(self, probe: Probe, target: Target, name: str) -> Manifest:
        """Return the PVC that a target keeps."""
        return {**claim(probe, target, name=name), "metadata": self._metadata(target, name)}

    def pod(self, probe: Probe, target: Target, name: str, claim_name: str, step: AtStep = FIRST) -> Manifest:
        """Return the pod of a step of a run; `claim_name` is the name of the PVC that the target keeps."""
        spec = pod_spec(probe, target, claim=claim_name, image=self.image, step=step)
        if "ephemeral" in spec["volumes"][0]:
            template = spec["volumes"][0]["ephemeral"]["volumeClaimTemplate"]
            template["metadata"] = {"labels": self._labels(target)}
        metadata = self._metadata(target, name)
        metadata["labels"] |= meshes.LABELS
        metadata["annotations"] |= POD_ANNOTATIONS
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def _labels(self, target: Target) -> dict[str, str]:
        # Not the labels of a PieProbe: a controller in this namespace would adopt these pods.
        node = {"node": label_value(target.node)} if target.node else {}
        return {LABEL_CHECK: self.check, "storage-class": label_value(target.storage_class), **node}

    def _metadata(self, target: Target, name: str) -> Manifest:
        owner = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "name": self.check,
            "uid": self.lease_uid,
        }
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": self._labels(target),
            "annotations": {ANNOTATION_TARGET: str(target)},
            "ownerReferences": [owner],
        }
