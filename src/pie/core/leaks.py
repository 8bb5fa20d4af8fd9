"""What is left of PVCs that were deleted: why it is still there, who can delete it, and whose it was."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Final

from pie.core.batch.naming import cronjob_names
from pie.core.kinds import KINDS
from pie.core.model import Target, Term
from pie.core.naming import claim_names, claim_prefixes
from pie.core.parse import SpecError, node_selector
from pie.core.reasons import Reason
from pie.core.selector import FIELD_NAME, matches
from pie.core.text import one_line
from pie.core.volumeobjects import PersistentVolume
from pie.core.wire import Metadata, Node, PieProbe

DETACH_SECONDS: Final = 20 * 60.0
"""How long a volume may stay attached to a node that vanished.

Its pods are evicted after 5 minutes (tolerationSeconds), and only 6 minutes later kube-controller-manager
detaches by force (maxWaitForUnmountDuration); then the driver needs some time. Before that,
nobody can delete the volume.
Reports say up to 25 minutes: kubernetes-sigs/aws-ebs-csi-driver#833, #1665, Azure/AKS#2936.
"""

_ATTACHED_TO = re.compile(r"still attached to node ([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)")
"""How external-provisioner and drivers report a volume that they cannot delete."""

_EPHEMERAL_SUFFIX = "-volume"
"""Kubernetes names the PVC of an ephemeral volume `<pod>-<volume>`; pie's pods have one volume, `volume`."""


class NodesByLabel:
    """All nodes, indexed by label.

    A cluster of thousands of nodes may have thousands of volumes left behind, each of them on one node or in
    one zone. With the index, not every node is compared with every volume. `nodes` are those of the cache, by
    namespace (none) and name. A label is indexed when it is first needed, and again after `forget`.
    """

    def __init__(self, nodes: Mapping[tuple[str, str], Node]) -> None:
        self._nodes = nodes
        self._indexes: dict[str, dict[str, list[Metadata]]] = {}

    def forget(self) -> None:
        """Drop the indexes, because nodes were created or deleted, or have other labels."""
        self._indexes.clear()

    def __contains__(self, name: str) -> bool:
        return ("", name) in self._nodes

    def matching(self, terms: tuple[Term, ...]) -> Iterator[str]:
        """Yield the name of each selected node once."""
        found: set[str] = set()
        for term in terms:
            for node in self._candidates(term):
                if node.name not in found and matches((term,), node.name, node.labels):
                    found.add(node.name)
                    yield node.name

    def _candidates(self, term: Term) -> Iterable[Metadata]:
        for rule in term.expressions:
            if rule.operator == "In":
                index = self._index(rule.key)
                return chain.from_iterable(index.get(value, ()) for value in rule.values)
        for rule in term.fields:
            if (rule.key, rule.operator) == (FIELD_NAME, "In"):
                there = (self._nodes.get(("", name)) for name in rule.values)
                return (node.metadata for node in there if node is not None)
        return (node.metadata for node in self._nodes.values())

    def _index(self, key: str) -> dict[str, list[Metadata]]:
        if (known := self._indexes.get(key)) is not None:
            return known
        index = self._indexes[key] = {}
        for node in self._nodes.values():
            if (value := node.metadata.labels.get(key)) is not None:
                index.setdefault(value, []).append(node.metadata)
        return index


def to_stay(volume: PersistentVolume) -> bool:
    """Tell whether the user wants a volume to stay when its PVC is deleted."""
    return volume.spec.persistent_volume_reclaim_policy == "Retain"


def reachable_from(volume: PersistentVolume, nodes: NodesByLabel) -> Iterator[str] | None:
    """Return the names of the nodes from which a volume can be reached; None: from anywhere.

    https://kubernetes.io/docs/concepts/storage/persistent-volumes/#node-affinity
    """
    required = (volume.spec.node_affinity or {}).get("required")
    if not isinstance(required, dict):
        return None
    try:
        terms = node_selector(required, "spec.nodeAffinity.required")
    except SpecError:
        return None  # A node affinity that pie cannot read must not hide a leak.
    return nodes.matching(terms)


def why_left(volume: PersistentVolume | None, node: str, nodes: NodesByLabel) -> Reason:
    """Return why a volume (None: its PVC) is still there. It was created on `node`; empty: not known."""
    made_elsewhere = node not in nodes
    if volume is None:
        return Reason.NODE_GONE if node and made_elsewhere else Reason.TEARDOWN_STUCK
    if made_elsewhere and (reachable := reachable_from(volume, nodes)) is not None:
        return Reason.NODE_GONE if next(reachable, None) is None else Reason.VOLUME_LEAKED
    return Reason.VOLUME_LEAKED


def may_be_held(volume: PersistentVolume | None, node: str, nodes: NodesByLabel, *, known: bool) -> bool:
    """Tell whether a volume may still be attached to a node that is gone.

    `node` is the node that used it. If it is empty, no node did; or, if not `known`, the node is unknown. A
    volume that no node can reach any more is never detached, so pie does not wait for that.
    """
    if volume is None:
        return False
    said = _ATTACHED_TO.search(volume.status.message)
    holder = said[1] if said is not None else node
    if holder in nodes or (not holder and known):
        return False
    return why_left(volume, holder, nodes) is not Reason.NODE_GONE


def words(claim: str, volume: PersistentVolume | None) -> str:
    """Return what is still there, and what it says, in one line."""
    if volume is None:
        return f"PVC {claim} still exists"
    said = f": {volume.status.message}" if volume.status.message else ""
    phase = volume.status.phase or "unknown"
    return one_line(f"PersistentVolume {volume.metadata.name} still exists (phase {phase}){said}")


def made_for(
    volume: PersistentVolume, probes: Iterable[PieProbe], nodes: NodesByLabel
) -> tuple[Target, str] | None:
    """Return the target that a volume was created for, and the one node that can reach it ("": not one).

    The name of the PVC shows the target; None: it is a target of none of these PieProbes. The PVC of a mount
    target has only the beginning of its PieProbe's name, so the first PieProbe that fits is returned. If the
    node of a mount target is not known, its volume counts for the whole class.
    """
    claim, storage_class = volume.spec.claim_ref.name, volume.spec.storage_class_name
    namespace = volume.spec.claim_ref.namespace
    here = (
        each.metadata.name
        for each in probes
        if each.metadata.namespace == namespace and storage_class in each.storage_classes
    )
    for probe in here:
        of_class = [
            Target(probe, row.name, storage_class, "", namespace)
            for row in KINDS.values()
            if not row.per_node
        ]
        for target in of_class if claim.endswith(_EPHEMERAL_SUFFIX) else ():
            if claim.startswith(tuple(f"{name}-" for name in cronjob_names(target))):
                return target, _only_node(volume, nodes)
        if claim.startswith(claim_prefixes(probe)):
            node = _only_node(volume, nodes)
            kept = [
                Target(probe, row.name, storage_class, node, namespace) for row in KINDS.values() if row.pvc
            ]
            # The one node of the zone that is left need not be the node that had the volume.
            found = (each for each in kept if node and claim in claim_names(each))
            return next(((each, node) for each in found), (of_class[0], ""))
    return None


def _only_node(volume: PersistentVolume, nodes: NodesByLabel) -> str:
    """Return the node from which alone a volume can be reached; empty where there are several, or none."""
    found = list(islice(reachable_from(volume, nodes) or (), 2))
    return found[0] if len(found) == 1 else ""
