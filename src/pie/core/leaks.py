"""What claims that end leave behind: why it stays, where it can be deleted, and whose it was."""

from collections.abc import Iterable, Mapping

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Target
from pie.core.naming import claim_prefixes
from pie.core.parse import SpecError, node_selector
from pie.core.reasons import Reason
from pie.core.selector import matches
from pie.core.text import one_line
from pie.core.volumeobjects import PersistentVolume
from pie.core.wire import Node, PieProbe

Nodes = Mapping[tuple[str, str], Node]
"""The nodes there are, as the caches have them: by namespace (none) and name."""

_EPHEMERAL_SUFFIX = "-volume"
"""Kubernetes names an ephemeral claim `<pod>-<volume>`, and pie's pods have one volume of this name."""


def to_stay(volume: PersistentVolume) -> bool:
    """Tell whether a volume is to outlive its claim: then its staying is what the user wants."""
    return volume.spec.persistent_volume_reclaim_policy == "Retain"


def reachable_from(volume: PersistentVolume, nodes: Nodes) -> set[str] | None:
    """Return the names of the nodes from which a volume can be reached; None: from anywhere.

    https://kubernetes.io/docs/concepts/storage/persistent-volumes/#node-affinity
    """
    required = (volume.spec.node_affinity or {}).get("required")
    if not isinstance(required, dict):
        return None
    try:
        terms = node_selector(required, "spec.nodeAffinity.required")
    except SpecError:
        return None  # What cannot be read must not hide a leak.
    found = (node.metadata for node in nodes.values())
    return {node.name for node in found if matches(terms, node.name, node.labels)}


def why_left(volume: PersistentVolume | None, node: str, nodes: Nodes) -> Reason:
    """Return why a claim (its volume None) or its volume, made on a node if that is known, is still there."""
    made_elsewhere = ("", node) not in nodes
    if volume is None:
        return Reason.NODE_GONE if node and made_elsewhere else Reason.TEARDOWN_STUCK
    if made_elsewhere and reachable_from(volume, nodes) == set():
        return Reason.NODE_GONE
    return Reason.VOLUME_LEAKED


def words(claim: str, volume: PersistentVolume | None) -> str:
    """Return what is still there, and what it says, in one line."""
    if volume is None:
        return f"PVC {claim} still exists"
    said = f": {volume.status.message}" if volume.status.message else ""
    phase = volume.status.phase or "unknown"
    return one_line(f"PersistentVolume {volume.metadata.name} still exists (phase {phase}){said}")


def made_for(volume: PersistentVolume, probes: Iterable[PieProbe], nodes: Nodes) -> tuple[Target, str] | None:
    """Return the target a volume was made for, by its claim's name, and the one node that reaches it, or "".

    None: for none of these PieProbes. A mount claim tells no more of its PieProbe's name than the beginning,
    so of several the first is named. What more nodes than one reach, or none, counts as the class's.
    """
    claim, storage_class = volume.spec.claim_ref.name, volume.spec.storage_class_name
    reachable = reachable_from(volume, nodes) or set()
    node = min(reachable) if len(reachable) == 1 else ""
    for probe in (each.metadata.name for each in probes if each.storage_class == storage_class):
        provision = Target(probe, Kind.PROVISION, storage_class)
        prefixes = tuple(f"{name}-" for name in cronjob_names(provision))
        if claim.startswith(prefixes) and claim.endswith(_EPHEMERAL_SUFFIX):
            return provision, node
        if claim.startswith(claim_prefixes(probe)):
            return (Target(probe, Kind.MOUNT, storage_class, node) if node else provision), node
    return None
