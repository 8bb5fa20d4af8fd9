"""Which kinds of probe of a PieProbe are paused, and why.

A paused kind of probe starts no runs. It resumes by itself when what it waits for changes.
"""

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from typing import Final

from pie.core.conditions import Condition, status_condition
from pie.core.iojob import size_bytes
from pie.core.kinds import KINDS
from pie.core.kinds.row import Row
from pie.core.model import Probe
from pie.core.quantity import quantity
from pie.core.reasons import ADVICE, MEANING, Reason
from pie.core.resident.interval import MOST_OPERATIONS_PER_SECOND, fits, interval_seconds
from pie.core.wire import StorageClass

CONDITION: Final = "ClassWarning"
PAUSED: Final = "Paused"
NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
WITH_FS_TYPE: Final = "ReadWriteOnceWithFSType"
"""The default of CSIDriver.spec.fsGroupPolicy."""

_FS_TYPE: Final = ("csi.storage.k8s.io/fstype", "fstype")
_LEAST_MEBIBYTES: Final = {"xfs": 300, "btrfs": 109}
"""The smallest filesystems that mkfs.xfs ("must be larger than 300MB") and mkfs.btrfs can create."""


@dataclass(frozen=True, slots=True)
class ClassWarning:
    """What probably cannot work."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a kind of probe is paused.

    `keep`: existing objects stay, only nothing is created. `stops`: and no run starts, and none is due; runs
    that go on are judged.
    """

    reason: Reason
    message: str
    keep: bool = False
    stops: bool = False

    @property
    def resumes_by_itself(self) -> bool:
        """Whether pie waits for the cluster to change, not for the user's spec."""
        return self.reason is not Reason.DISABLED


def preflight(
    probe: Probe,
    storage_class: StorageClass | None,
    nodes: int,
    segments: frozenset[tuple[str, ...]],
    *,
    attaches: bool = False,
) -> dict[str, Pause]:
    """Return the kinds of probe that are paused.

    `nodes` is how many match; `attaches`: the driver attaches volumes to nodes. `segments` are the driver's
    topology segments among them, see `topology_segments`.
    """
    kinds = {name: kind for name, kind in KINDS.items() if not kind.optional or kind.enabled(probe)}
    found = {name: _pause(kind, probe, storage_class, nodes, segments) for name, kind in kinds.items()}
    if attaches:
        short = {
            name
            for name, row in kinds.items()
            if row.spec(probe).period_seconds < SHORTEST_WITH_ATTACH_SECONDS
        }
        found = {
            name: _TOO_SHORT if name in short and (why is None or why.keep) else why
            for name, why in found.items()
        }
    if probe.paused:
        by_user = Pause(Reason.PAUSED, MEANING[Reason.PAUSED], keep=True, stops=True)
        found = {name: by_user if why is None or why.keep else why for name, why in found.items()}
    return {name: pause for name, pause in found.items() if pause is not None}


SHORTEST_WITH_ATTACH_SECONDS: Final = 60
"""Kubelets report about every ten seconds which volumes are in use: a faster run would not be attached."""

_TOO_SHORT: Final = Pause(
    Reason.PERIOD_TOO_SHORT,
    f"the driver attaches volumes, so spec.probePeriodSeconds must be {SHORTEST_WITH_ATTACH_SECONDS} or more",
)


def _pause(
    kind: Row, probe: Probe, storage_class: StorageClass | None, nodes: int, segments: Sized
) -> Pause | None:
    if not kind.enabled(probe):
        return Pause(Reason.DISABLED, kind.disabled)
    if storage_class is None:
        message = f"there is no StorageClass {probe.storage_class}; probes start when it is created"
        return Pause(Reason.STORAGE_CLASS_NOT_FOUND, message, keep=True, stops=True)
    if nodes == 0:
        message = "spec.nodeSelector matches no node; no probes run until a node matches"
        return Pause(Reason.NO_MATCHING_NODE, message)
    if nodes < kind.nodes:
        message = f"a {kind.name} run needs {kind.nodes} nodes, but only {nodes} can be used"
        return Pause(Reason.NO_MATCHING_NODE, message)
    if storage_class.reclaim_policy == "Retain" and not kind.pvc and not probe.provision_on_retain:
        return Pause(
            Reason.RECLAIM_POLICY_RETAIN,
            f"StorageClass {probe.storage_class} retains volumes, so each {kind.name} run would leave one"
            " behind; set spec.provisionOnRetain to probe anyway",
        )
    if storage_class.provisioner == NO_PROVISIONER and not kind.pvc and not probe.provision_on_retain:
        return Pause(
            Reason.NO_PROVISIONER,
            f"StorageClass {probe.storage_class} has no provisioner ({NO_PROVISIONER}), so each {kind.name}"
            " run would use up a volume that somebody created; set spec.provisionOnRetain to probe anyway",
        )
    if storage_class.volume_binding_mode == "Immediate" and kind.per_node and len(segments) > 1:
        return Pause(
            Reason.IMMEDIATE_BINDING_WITH_TOPOLOGY,
            f"StorageClass {probe.storage_class} binds PVCs immediately, in any of {len(segments)}"
            " topology segments; use volumeBindingMode WaitForFirstConsumer",
        )
    return None


def paused_by_user(probe: Probe) -> Condition:
    """Return the condition that says whether the user paused a PieProbe."""
    if not probe.paused:
        return status_condition(PAUSED, "False", Reason.OK, "spec.paused is not set")
    reason = Reason.PAUSED
    return status_condition(PAUSED, "True", reason, f"{MEANING[reason]} {ADVICE[reason]}")


def warnings(
    probe: Probe, storage_class: StorageClass | None, fs_group_policy: str = ""
) -> tuple[ClassWarning, ...]:
    """Return what probably cannot work, before the first run shows it.

    `fs_group_policy` is that of the class's CSIDriver; empty: there is none, or it is not known.
    """
    if storage_class is None:
        return ()
    found = (_capacity(probe, storage_class) or _file(probe), _fs_group(storage_class, fs_group_policy))
    return tuple(warning for warning in found if warning is not None)


def _capacity(probe: Probe, storage_class: StorageClass) -> ClassWarning | None:
    filesystem, capacity = fs_type(storage_class), quantity(probe.pvc_capacity)
    least_mebibytes = _LEAST_MEBIBYTES.get(filesystem.lower())
    if capacity is None or least_mebibytes is None or capacity >= least_mebibytes * 2**20:
        return None
    return ClassWarning(
        Reason.CAPACITY_TOO_SMALL,
        f"spec.pvcCapacity is {probe.pvc_capacity}, but StorageClass {storage_class.metadata.name} has"
        f" filesystems of type {filesystem}, which need {least_mebibytes}Mi: volumes of exactly this size"
        " cannot be formatted",
    )


def _file(probe: Probe) -> ClassWarning | None:
    """Warn of volumes that have no room for the file of the mount runs."""
    capacity, size = quantity(probe.pvc_capacity), probe.io.size
    if not probe.mount_enabled or capacity is None or capacity > size_bytes(size):
        return None
    return ClassWarning(
        Reason.CAPACITY_TOO_SMALL,
        f"spec.pvcCapacity is {probe.pvc_capacity}, but mount runs use a file of {size} (spec.io.size):"
        " a volume of exactly this size has no room for it",
    )


def _fs_group(storage_class: StorageClass, policy: str) -> ClassWarning | None:
    if policy != WITH_FS_TYPE or fs_type(storage_class):
        return None
    return ClassWarning(
        Reason.FS_GROUP_IGNORED,
        f"StorageClass {storage_class.metadata.name} names no fsType, and driver {storage_class.driver}"
        f" applies fsGroup only to volumes that have one (fsGroupPolicy {policy}): unless its provisioner has"
        " a default fsType, pods that do not run as root may not write",
    )


def resident_interval(probe: Probe, sharing: int) -> tuple[ClassWarning, ...]:
    """Warn if a stall is reported late, because so many nodes share the storage of the class."""
    threshold_seconds = probe.resident_threshold_seconds
    if not probe.resident or fits(sharing, threshold_seconds):
        return ()
    message = (
        f"{sharing} nodes have resident probes on StorageClass {probe.storage_class}, and together they do at"
        f" most {MOST_OPERATIONS_PER_SECOND} operations a second: each does I/O every"
        f" {interval_seconds(sharing):g} s, which is longer than spec.residentThreshold"
        f" ({threshold_seconds:g} s), so a stall is reported later"
    )
    return (ClassWarning(Reason.RESIDENT_INTERVAL_LONG, message),)


def fs_type(storage_class: StorageClass) -> str:
    """Return the filesystem type of a class; empty: it names none."""
    named = {key.lower(): value for key, value in storage_class.parameters.items()}
    return next((named[key] for key in _FS_TYPE if named.get(key)), "")


def class_warning(found: Iterable[ClassWarning]) -> Condition:
    """Return the condition with these warnings."""
    warnings = tuple(found)
    if not warnings:
        message = "nothing is known of the class that keeps probes from working"
        return status_condition(CONDITION, "False", Reason.OK, message)
    words = " ".join(f"{each.message}. {ADVICE[each.reason]}" for each in warnings)
    return status_condition(CONDITION, "True", warnings[0].reason, words)


def topology_segments(keys: Iterable[str], nodes: Iterable[Mapping[str, str]]) -> frozenset[tuple[str, ...]]:
    """Return the distinct topology segments among nodes (given by their labels) for a driver's topology keys.

    If there are several, a volume that was created in one of them cannot be mounted everywhere.
    """
    ordered = tuple(keys)
    if not ordered:
        return frozenset()
    return frozenset(tuple(labels.get(key, "") for key in ordered) for labels in nodes)
