"""A pod that is not bound to a node: what the message of the scheduler means.

One message counts all nodes, each with the reason of the first plugin that refused it: "0/5 nodes are
available: 1 Insufficient cpu, 4 node(s) didn't match Pod's node affinity/selector. preemption: …".

The plugins have a fixed order: unschedulable, taints, node affinity, resources, volumes. So the reason of a
later plugin is about a node that passed the earlier ones. If a pod is pinned to one node, every other node
fails at the node affinity or before: the reason of a later plugin is about its own node.
"""

import re
from dataclasses import dataclass

from pie.core.causes.symptoms import Cause, Symptoms, cause
from pie.core.model import Stage
from pie.core.reasons import Reason
from pie.core.wire import Claim


@dataclass(frozen=True, slots=True)
class _Words:
    """Words of the scheduler, and their meaning."""

    pattern: str
    reason: Reason
    stage: Stage = Stage.SCHEDULE


# About the PVC. The words are from k8s.io/kubernetes pkg/scheduler/framework/plugins, 1.26 to 1.35.
_OF_PVC: tuple[_Words, ...] = (
    _Words(r"non-existent (persistentvolume|pv\(s\))|find v1.PersistentVolume \"", Reason.VOLUME_MISSING),
    _Words(
        r"persistentvolumeclaim \"[^\"]*\" (not found|is being deleted)|find v1.PersistentVolumeClaim \"",
        Reason.CLAIM_DELETED,
        Stage.PROVISION,
    ),
    _Words(r"was not created for (the )?pod", Reason.NAME_TAKEN, Stage.PROVISION),
    _Words(
        r"storageclass\S* \"[^\"]*\" not found|failed to find storage class",
        Reason.STORAGE_CLASS_NOT_FOUND,
        Stage.PROVISION,
    ),
    _Words(r"unbound immediate PersistentVolumeClaims", Reason.PROVISIONER_SILENT, Stage.PROVISION),
    _Words(r"\bpv \"[^\"]*\" node affinity doesn't match", Reason.VOLUME_AFFINITY),
    # 1.26 to 1.29, for a local volume: the pod may not use the node of the volume.
    _Words(r"VolumeBinding\] simultaneously|satisfy plugin VolumeBinding", Reason.VOLUME_AFFINITY),
    _Words(r"\bbinding volumes: ", Reason.PROVISION_SLOW, Stage.PROVISION),
    _Words(r"scheduling gates", Reason.NO_MATCHING_NODE),
)

# About a node, the last plugin first. If nodes have different reasons, those about storage come first: such a
# node could run the pod, but for its volume.
_OF_NODE: tuple[_Words, ...] = (
    # volumebinding, volumezone; and the scheduler extender of TopoLVM.
    _Words(
        r"enough free storage|find available persistent volumes to bind|out of VG free space",
        Reason.NO_CAPACITY,
    ),
    _Words(
        r"volume node affinity conflict|PersistentVolume's node affinity|no available volume zone",
        Reason.VOLUME_AFFINITY,
    ),
    # nodevolumelimits.
    _Words(r"exceed max volume count", Reason.VOLUME_LIMIT),
    _Words(r"CSI driver is not installed on the node", Reason.DRIVER_NOT_READY, Stage.MOUNT),
    # volumerestrictions.
    _Words(r"ReadWriteOncePod|no available disk", Reason.LOCKED),
    # noderesources.
    _Words(r"Insufficient \S|Too many pods", Reason.INSUFFICIENT_RESOURCES),
    # pie sets none of these in its pods: admission added it.
    _Words(
        r"topology spread|anti-affinity|pod affinity rules|free ports|ResourceClaim",
        Reason.NO_MATCHING_NODE,
    ),
    _Words(r"untolerated taint|had taint", Reason.TAINTED),
    _Words(r"were unschedulable", Reason.CORDONED),
)

# About nodes that the pod, or its volume, cannot use at all.
_OF_OTHERS: tuple[_Words, ...] = (
    _Words(r"satisfy plugin\(s\) \[[^\]]*VolumeBinding", Reason.VOLUME_AFFINITY),
    _Words(
        r"node affinity|\bNodeAffinity\b|affinity terms conflict|match node selector|requested node name"
        r"|no nodes available",
        Reason.NO_MATCHING_NODE,
    ),
)

# The end of the message is about preemption of other pods, and counts the same nodes again.
_PREEMPTION = re.compile(r"\bpreemption: .*$", re.DOTALL)
_NEXT = re.compile(r", (?=\d+ )")


def unschedulable(symptoms: Symptoms) -> Cause | None:
    if symptoms.scheduled or symptoms.run.pod is None:
        return None
    text = symptoms.scheduler_says
    said = what_it_means(text, symptoms)
    if said is None or _is_over(said, symptoms.run.claim):
        return None
    selector = symptoms.run.pod.spec.node_selector
    if selector and said.reason is Reason.NO_MATCHING_NODE:
        text = _with_selector(selector, text)
    return cause(said.stage, said.reason, text)


def _is_over(said: _Words, claim: Claim | None) -> bool:
    """Tell whether the PVC shows that the message is outdated: the scheduler has not looked again."""
    if claim is None:
        return False
    there = not claim.metadata.being_deleted
    bound = claim.status.phase == "Bound"
    return (said.reason is Reason.CLAIM_DELETED and there) or (
        said.reason is Reason.PROVISIONER_SILENT and bound
    )


def what_it_means(text: str, symptoms: Symptoms) -> _Words | None:
    """Return the words of a scheduler message that decide its cause; None: the message has no known words."""
    asked = _PREEMPTION.sub("", text)
    entries = _NEXT.split(asked.partition(" nodes are available: ")[2])
    # The reason of a pinned pod's own node counts one node; so may reasons of other nodes.
    own = ", ".join(entry for entry in entries if entry.startswith("1 ") and symptoms.pinned)
    # Only admission sets a nodeSelector; then the pod's own node may lack these labels.
    pod = symptoms.run.pod
    selected = pod is not None and bool(pod.spec.node_selector)
    found = (
        _first(_OF_PVC, asked),
        _first(_OF_NODE, own),
        _first(_OF_OTHERS, own if selected else ""),
        _first(_OF_NODE, asked),
        _first(_OF_OTHERS, asked),
    )
    return next((words for words in found if words is not None), None)


def _first(table: tuple[_Words, ...], text: str) -> _Words | None:
    return next((words for words in table if re.search(words.pattern, text, re.IGNORECASE)), None)


def _with_selector(selector: dict[str, str], text: str) -> str:
    pairs = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return f"the pod got nodeSelector {pairs}, which pie does not set (a default of the namespace?): {text}"


def not_scheduled(symptoms: Symptoms) -> Cause | None:
    if symptoms.scheduled or symptoms.run.pod is None:
        return None
    return cause(Stage.SCHEDULE, Reason.NOT_SCHEDULED, symptoms.scheduler_says)
