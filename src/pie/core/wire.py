"""Kubernetes objects as pie reads them: only the fields that pie uses, by their API names.

One slim Struct per kind. Thousands of these live in memory, so a field is added only when
something decides by it. Unknown fields are skipped by the decoder without being built.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from pie.core.decode import without_nulls
from pie.core.intree import driver_of
from pie.core.model import ProbeId
from pie.core.text import PlainText, one_line, plain_texts


class Object(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False, omit_defaults=True):
    """The base of all wire Structs: camelCase on the wire, immutable, not tracked by the garbage collector.

    Every field has a default, which also stands for null; only the `metadata` of an object is required. A
    text that the API server checks (a name, a label) is `str`; a text that anybody may write is `PlainText`.
    """


_T = TypeVar("_T")


@lru_cache(maxsize=1024)
def _shared(parts: tuple[_T, ...]) -> tuple[_T, ...]:
    """Return one and the same object for equal parts, because thousands of objects have equal ones."""
    return parts


class OwnerReference(Object, frozen=True):
    """metadata.ownerReferences[]."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Metadata(Object, frozen=True):
    """metadata: identity and marks of an object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int = 0

    @property
    def being_deleted(self) -> bool:
        """Whether somebody deleted the object; it may exist until its finalizers are removed."""
        return self.deletion_timestamp is not None

    @property
    def deleted_seconds(self) -> float | None:
        """When somebody deleted the object, epoch seconds; None: nobody did.

        The deletion timestamp is the end of the grace period
        (k8s.io/apiserver pkg/registry/rest/delete.go, BeforeDelete).
        """
        if self.deletion_timestamp is None:
            return None
        return epoch_seconds(self.deletion_timestamp) - self.deletion_grace_period_seconds

    @property
    def created_seconds(self) -> float:
        """When the API server created the object, epoch seconds on its clock."""
        return epoch_seconds(self.creation_timestamp)

    @property
    def controller_owner(self) -> OwnerReference | None:
        """The owner that controls the object, if any."""
        return next((owner for owner in self.owner_references if owner.controller), None)


def epoch_seconds(stamp: datetime | None) -> float:
    """Return the epoch seconds of a Kubernetes time; 0.0: there is none."""
    return stamp.timestamp() if stamp is not None else 0.0


def rfc3339(seconds: float) -> str:
    """Return epoch seconds as a Kubernetes time, which has whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_seconds(stamp: str) -> float | None:
    """Return the epoch seconds of a Kubernetes time; None for anything else."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None


class ManagedFields(Object, frozen=True):
    """metadata.managedFields[]: who wrote which fields last, and when, by the API server's clock."""

    subresource: str = ""
    time: datetime | None = None
    fields_v1: dict[str, Any] = msgspec.field(default_factory=dict, name="fieldsV1")


class StampedMetadata(Metadata, frozen=True):
    """metadata of an object of which pie reads when it was written."""

    managed_fields: tuple[ManagedFields, ...] = ()


class Condition(Object, frozen=True):
    """status.conditions[] of pods, nodes and jobs."""

    type: str = ""
    status: str = ""
    reason: PlainText = ""
    message: PlainText = ""
    last_transition_time: datetime | None = None


def condition(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    """Return the condition of this type, or None."""
    return next((found for found in conditions if found.type == kind), None)


class Taint(Object, frozen=True):
    """Node spec.taints[]."""

    key: PlainText = ""
    effect: PlainText = ""
    value: PlainText = ""
    time_added: datetime | None = None


class NodeSpec(Object, frozen=True):
    """Node spec."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeInfo(Object, frozen=True):
    """Node status.nodeInfo."""

    boot_id: str = msgspec.field(default="", name="bootID")
    operating_system: PlainText = ""
    architecture: PlainText = ""


class NodeStatus(Object, frozen=True):
    """Node status."""

    conditions: tuple[Condition, ...] = ()
    node_info: NodeInfo = NodeInfo()


class Node(Object, frozen=True):
    """A v1 Node."""

    metadata: Metadata
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class TopologyExpression(Object, frozen=True):
    """StorageClass allowedTopologies[].matchLabelExpressions[]."""

    key: str = ""
    values: tuple[str, ...] = ()


class TopologyTerm(Object, frozen=True):
    """StorageClass allowedTopologies[]: all of its expressions must match."""

    match_label_expressions: tuple[TopologyExpression, ...] = ()


class StorageClass(Object, frozen=True):
    """A storage.k8s.io/v1 StorageClass."""

    metadata: Metadata
    provisioner: PlainText = ""
    parameters: dict[str, PlainText] = {}
    reclaim_policy: str = "Delete"
    volume_binding_mode: str = "Immediate"
    allow_volume_expansion: bool = False
    allowed_topologies: tuple[TopologyTerm, ...] = ()

    @property
    def driver(self) -> str:
        """The CSI driver of the class, also if the class has the name of an in-tree provisioner."""
        return driver_of(self.provisioner)


class VolumeSnapshotClass(Object, frozen=True):
    """A snapshot.storage.k8s.io/v1 VolumeSnapshotClass."""

    metadata: Metadata
    driver: PlainText = ""
    deletion_policy: PlainText = ""


class VolumeSnapshotError(Object, frozen=True):
    """VolumeSnapshot status.error."""

    message: PlainText = ""


class VolumeSnapshotStatus(Object, frozen=True):
    """VolumeSnapshot status."""

    ready_to_use: bool = False
    error: VolumeSnapshotError = VolumeSnapshotError()


class VolumeSnapshot(Object, frozen=True):
    """A snapshot.storage.k8s.io/v1 VolumeSnapshot."""

    metadata: Metadata
    status: VolumeSnapshotStatus = VolumeSnapshotStatus()


class CSINodeDriver(Object, frozen=True):
    """CSINode spec.drivers[]."""

    name: str = ""
    topology_keys: tuple[str, ...] | None = None


class CSINodeSpec(Object, frozen=True):
    """CSINode spec."""

    drivers: tuple[CSINodeDriver, ...] = ()

    def __post_init__(self) -> None:
        """Share the drivers with other nodes."""
        msgspec.structs.force_setattr(self, "drivers", _shared(self.drivers))


class HealthCondition(Object, frozen=True):
    """A problem of a volume, or of the storage, that a CSI driver reports."""

    status: PlainText = ""
    reason: PlainText = ""
    message: PlainText = ""


class Health(Object, frozen=True):
    """PVC status.healthStatus, Pod status.volumeHealth[], CSINode status.storageHealth[].

    `name` is the name of the pod's volume, or of the driver. Without conditions nothing is wrong.
    """

    name: str = ""
    health_conditions: tuple[HealthCondition, ...] = ()


class CSINodeStatus(Object, frozen=True):
    """CSINode status."""

    storage_health: tuple[Health, ...] = ()


class CSINode(Object, frozen=True):
    """A storage.k8s.io/v1 CSINode."""

    metadata: Metadata
    spec: CSINodeSpec = CSINodeSpec()
    status: CSINodeStatus = CSINodeStatus()

    def __post_init__(self) -> None:
        """Leave out the metadata that pie does not use."""
        found = self.metadata
        slim = Metadata(name=found.name, uid=found.uid, resource_version=found.resource_version)
        msgspec.structs.force_setattr(self, "metadata", slim)


class StateRunning(Object, frozen=True):
    """Container state.running."""

    started_at: datetime | None = None


class StateTerminated(Object, frozen=True):
    """Container state.terminated; `message` is the container's termination message, not cleaned."""

    exit_code: int = 0
    reason: PlainText = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class StateWaiting(Object, frozen=True):
    """Container state.waiting."""

    reason: PlainText = ""
    message: PlainText = ""


class ContainerState(Object, frozen=True):
    """Container state: one of its members is set."""

    waiting: StateWaiting | None = None
    running: StateRunning | None = None
    terminated: StateTerminated | None = None


class ContainerStatus(Object, frozen=True):
    """Pod status.containerStatuses[] and status.initContainerStatuses[]."""

    name: str = ""
    state: ContainerState = ContainerState()
    ready: bool = False


class Toleration(Object, frozen=True):
    """Pod spec.tolerations[]."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class PodSpec(Object, frozen=True):
    """Pod spec."""

    node_name: str = ""
    node_selector: dict[str, str] = {}
    active_deadline_seconds: float | None = None
    tolerations: tuple[Toleration, ...] = ()

    def __post_init__(self) -> None:
        """Share the tolerations with other pods."""
        msgspec.structs.force_setattr(self, "tolerations", _shared(self.tolerations))


class PodStatus(Object, frozen=True):
    """Pod status."""

    phase: str = "Pending"
    reason: PlainText = ""
    message: PlainText = ""
    start_time: datetime | None = None
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    volume_health: tuple[Health, ...] = ()

    def container(self, name: str) -> ContainerState:
        """Return the state of the container of this name; it is empty until the kubelet reports one.

        The place in the list says nothing: kubelets sort it by name, and webhooks add containers.
        """
        named = (each.state for each in self.container_statuses if each.name == name)
        return next(named, ContainerState())

    def ready(self, name: str) -> bool:
        """Tell whether the container of this name is ready."""
        return any(each.ready for each in self.container_statuses if each.name == name)


class OwnedPodStatus(Object, frozen=True):
    """Which parts of a pod's status an entry of managedFields owns: here only one part is read."""

    container_statuses: dict[str, Any] | None = msgspec.field(default=None, name="f:containerStatuses")


class OwnedPodFields(Object, frozen=True):
    """Which fields of a pod an entry of managedFields owns."""

    status: OwnedPodStatus = msgspec.field(default=OwnedPodStatus(), name="f:status")


class PodManagedFields(Object, frozen=True):
    """metadata.managedFields[] of a pod."""

    time: datetime | None = None
    fields_v1: OwnedPodFields = msgspec.field(default=OwnedPodFields(), name="fieldsV1")


class PodMetadata(Metadata, frozen=True):
    """metadata of a pod. Of the managed fields only those of the newest report on its containers are kept."""

    managed_fields: tuple[PodManagedFields, ...] = ()

    def __post_init__(self) -> None:
        """Leave out what pie does not use."""
        entries = self.managed_fields
        if entries:
            own = [each for each in entries if each.fields_v1.status.container_statuses is not None]
            newest = sorted(own, key=lambda each: epoch_seconds(each.time))[-1:]
            msgspec.structs.force_setattr(self, "managed_fields", tuple(newest))

    @property
    def containers_reported_seconds(self) -> float | None:
        """When the API server wrote the last report on the containers, epoch seconds; None: not known."""
        return next((epoch_seconds(each.time) or None for each in self.managed_fields), None)


class Pod(Object, frozen=True):
    """A v1 Pod."""

    metadata: PodMetadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class ObjectReference(Object, frozen=True):
    """A reference by name and uid, as in CronJob status.active[] or PersistentVolume spec.claimRef."""

    namespace: str = ""
    name: str = ""
    uid: str = ""


class ClaimSpec(Object, frozen=True):
    """PersistentVolumeClaim spec."""

    storage_class_name: str = ""
    volume_name: str = ""


class StorageSize(Object, frozen=True):
    """PersistentVolumeClaim status.capacity and status.allocatedResourceStatuses."""

    storage: PlainText = ""


class ClaimStatus(Object, frozen=True):
    """PersistentVolumeClaim status; `allocated_resource_statuses` says how far an expansion has come."""

    phase: str = ""
    capacity: StorageSize = StorageSize()
    allocated_resource_statuses: StorageSize = StorageSize()
    conditions: tuple[Condition, ...] = ()
    health_status: Health | None = None


class Claim(Object, frozen=True):
    """A v1 PersistentVolumeClaim."""

    metadata: Metadata
    spec: ClaimSpec = ClaimSpec()
    status: ClaimStatus = ClaimStatus()


class InvolvedObject(Object, frozen=True):
    """Event involvedObject: what the Event is about."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class EventSeries(Object, frozen=True):
    """Event series: of one that is repeated."""

    last_observed_time: datetime | None = None


class Event(Object, frozen=True):
    """A v1 Event. Events of events.k8s.io/v1 are the same objects."""

    metadata: Metadata
    involved_object: InvolvedObject = InvolvedObject()
    reason: PlainText = ""
    message: PlainText = ""
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: EventSeries | None = None

    def last_seen_seconds(self, now: float) -> float:
        """When it was seen last, epoch seconds by the API server's clock, not after `now`; 0.0: unknown.

        The clock of its reporter may be wrong. So only the time between its first and its last report counts,
        added to the time at which the API server created the Event, if that is known.
        """
        repeated = self.series.last_observed_time if self.series is not None else None
        last = max(map(epoch_seconds, (self.last_timestamp, self.event_time, repeated)))
        first = epoch_seconds(self.first_timestamp or self.event_time)
        created = self.metadata.created_seconds
        if created and (first or not last):
            return min(now, created + max(0.0, last - first))
        return min(now, last)


MOST_CLASSES = 16
"""So many StorageClasses may a PieProbe have."""


class PieProbe(Object, frozen=True):
    """A PieProbe as stored, without nulls. Its spec is outside input and is parsed in `pie.core.parse`."""

    metadata: Metadata
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}

    def __post_init__(self) -> None:
        """Leave out nulls, and clean the texts of the status: others can write them, too."""
        msgspec.structs.force_setattr(self, "spec", without_nulls(self.spec))
        msgspec.structs.force_setattr(self, "status", plain_texts(without_nulls(self.status)))

    @property
    def id(self) -> ProbeId:
        """Its namespace and its name."""
        return ProbeId(self.metadata.namespace, self.metadata.name)

    @property
    def storage_classes(self) -> tuple[str, ...]:
        """The names of the StorageClasses that it probes, also if the spec is invalid.

        Those that a selector selects are in the status, once the controller knows them.
        """
        if "monitoringStorageClass" in self.spec:
            named: Any = [self.spec["monitoringStorageClass"]]
        elif (named := self.spec.get("monitoringStorageClasses")) is None:
            named = [entry.get("name") for entry in self.stored_classes]
        found = named if isinstance(named, list) else []
        return tuple(dict.fromkeys(one_line(str(each)) for each in found[:MOST_CLASSES]))

    @property
    def stored_classes(self) -> tuple[dict[str, Any], ...]:
        """What the status says of each class, where the PieProbe has several."""
        listed = self.status.get("storageClasses")
        found = listed[:MOST_CLASSES] if isinstance(listed, list) else []
        return tuple(each for each in found if isinstance(each, dict))

    def status_of_class(self, name: str) -> dict[str, Any]:
        """Return what the status says of a class; of the only one, all of the status."""
        listed = self.stored_classes
        return next((each for each in listed if each.get("name") == name), {} if listed else self.status)

    @property
    def storage_class(self) -> str:
        """The name of its StorageClass, or those of several."""
        return ", ".join(self.storage_classes)
