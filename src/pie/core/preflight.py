"""Whether a PieProbe can say anything about its class at all: what is paused, why, and until when.

A paused kind of probe starts no runs. It heals by itself when what it waits for changes.
"""

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass

from pie.core.kinds import KINDS
from pie.core.kinds.row import Row
from pie.core.model import Probe
from pie.core.reasons import Reason
from pie.core.wire import StorageClass


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a kind of probe is paused. `keep`: what runs already goes on, only nothing new is made."""

    reason: Reason
    message: str
    keep: bool = False

    @property
    def resumes_by_itself(self) -> bool:
        """Whether pie waits for the cluster to change, not for the user's spec."""
        return self.reason is not Reason.DISABLED


def preflight(
    probe: Probe, storage_class: StorageClass | None, nodes: int, segments: frozenset[tuple[str, ...]]
) -> dict[str, Pause]:
    """Return the kinds of probe that are paused.

    `nodes` is how many match; `segments` are the driver's topology segments among them, see
    `topology_segments`.
    """
    found = {name: _pause(kind, probe, storage_class, nodes, segments) for name, kind in KINDS.items()}
    return {name: pause for name, pause in found.items() if pause is not None}


def _pause(
    kind: Row, probe: Probe, storage_class: StorageClass | None, nodes: int, segments: Sized
) -> Pause | None:
    if not kind.enabled(probe):
        return Pause(Reason.DISABLED, kind.disabled)
    if storage_class is None:
        message = f"there is no StorageClass {probe.storage_class}; probes start when it is created"
        return Pause(Reason.STORAGE_CLASS_NOT_FOUND, message, keep=True)
    if nodes == 0:
        message = "spec.nodeSelector matches no node; no probes run until a node matches"
        return Pause(Reason.NO_MATCHING_NODE, message)
    if storage_class.reclaim_policy == "Retain" and not kind.pvc and not probe.provision_on_retain:
        return Pause(
            Reason.RECLAIM_POLICY_RETAIN,
            f"StorageClass {probe.storage_class} retains volumes, so each {kind.name} run would leave one"
            " behind; set spec.provisionOnRetain to probe anyway",
        )
    if storage_class.volume_binding_mode == "Immediate" and kind.per_node and len(segments) > 1:
        return Pause(
            Reason.IMMEDIATE_BINDING_WITH_TOPOLOGY,
            f"StorageClass {probe.storage_class} binds PVCs immediately, in any of {len(segments)}"
            " topology segments; use volumeBindingMode WaitForFirstConsumer",
        )
    return None


def topology_segments(keys: Iterable[str], nodes: Iterable[Mapping[str, str]]) -> frozenset[tuple[str, ...]]:
    """Return the distinct topology segments among nodes (given by their labels) for a driver's topology keys.

    More than one means that a volume made in one of them does not mount everywhere.
    """
    ordered = tuple(keys)
    if not ordered:
        return frozenset()
    return frozenset(tuple(labels.get(key, "") for key in ordered) for labels in nodes)
