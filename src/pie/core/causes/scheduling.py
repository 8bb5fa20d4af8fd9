"""A pod that is bound to no node: what the scheduler says of it.

One message counts all nodes, each with the reason of the first plugin that refused it: "0/5 nodes are
available: 1 Insufficient cpu, 4 node(s) didn't match Pod's node affinity/selector. preemption: …".

The plugins ask in a fixed order: unschedulable, taints, node affinity, resources, volumes. So the reason of a
later plugin belongs to a node that passed the earlier ones. Of a pod that is pinned to one node, every other
node fails at its affinity or before: a reason of a later plugin is that of its own node.
"""

import re
from dataclasses import dataclass

from pie.core.causes.standing import Cause, Standing, cause
from pie.core.model import Stage
from pie.core.reasons import Reason
from pie.core.wire import Claim


@dataclass(frozen=True, slots=True)
class _Words:
    """Words of the scheduler, and what they mean."""

    pattern: str
    reason: Reason
    stage: Stage = Stage.SCHEDULE


# k8s.io/kubernetes pkg/scheduler/framework/plugins, 1.26 to 1.35. Of the PVC, whatever the node.
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
    # Of 1.26 to 1.29, where a volume is local: its node is none of those that the pod may use.
    _Words(r"VolumeBinding\] simultaneously|satisfy plugin VolumeBinding", Reason.VOLUME_AFFINITY),
    _Words(r"\bbinding volumes: ", Reason.PROVISION_SLOW, Stage.PROVISION),
    _Words(r"scheduling gates", Reason.NO_MATCHING_NODE),
)

# Of a node, the furthest plugin first. Where nodes have different reasons, storage's come first: they are of
# nodes that could have taken the pod but for its volume.
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
    # What pie asks for in no pod: admission added it.
    _Words(
        r"topology spread|anti-affinity|pod affinity rules|free ports|ResourceClaim",
        Reason.NO_MATCHING_NODE,
    ),
    _Words(r"untolerated taint|had taint", Reason.TAINTED),
    _Words(r"were unschedulable", Reason.CORDONED),
)

# Of nodes that were not looked at: they are none of those that the pod, or its volume, may use.
_OF_OTHERS: tuple[_Words, ...] = (
    _Words(r"satisfy plugin\(s\) \[[^\]]*VolumeBinding", Reason.VOLUME_AFFINITY),
    _Words(
        r"node affinity|\bNodeAffinity\b|affinity terms conflict|match node selector|requested node name"
        r"|no nodes available",
        Reason.NO_MATCHING_NODE,
    ),
)

# What the scheduler says of preempting other pods comes last, and counts the same nodes again.
_PREEMPTION = re.compile(r"\bpreemption: .*$", re.DOTALL)
_NEXT = re.compile(r", (?=\d+ )")


def unschedulable(standing: Standing) -> Cause | None:
    if standing.scheduled or standing.run.pod is None:
        return None
    text = standing.scheduler_says
    said = what_it_means(text, standing)
    if said is None or _is_over(said, standing.run.claim):
        return None
    selector = standing.run.pod.spec.node_selector
    if selector and said.reason is Reason.NO_MATCHING_NODE:
        text = _with_selector(selector, text)
    return cause(said.stage, said.reason, text)


def _is_over(said: _Words, claim: Claim | None) -> bool:
    """Tell whether the PVC shows that what the scheduler said is over: it has not looked again."""
    if claim is None:
        return False
    there = not claim.metadata.being_deleted
    bound = claim.status.phase == "Bound"
    return (said.reason is Reason.CLAIM_DELETED and there) or (
        said.reason is Reason.PROVISIONER_SILENT and bound
    )


def what_it_means(text: str, standing: Standing) -> _Words | None:
    """Return the words of the scheduler that count in a message; None where there are none that pie knows."""
    asked = _PREEMPTION.sub("", text)
    entries = _NEXT.split(asked.partition(" nodes are available: ")[2])
    # A node of its own has one reason, once; others that count one node may have it, too.
    own = ", ".join(entry for entry in entries if entry.startswith("1 ") and standing.pinned)
    # pie sets no nodeSelector on pods: if admission did, the pod's own node may not have these labels.
    pod = standing.run.pod
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


def not_scheduled(standing: Standing) -> Cause | None:
    if standing.scheduled or standing.run.pod is None:
        return None
    return cause(Stage.SCHEDULE, Reason.NOT_SCHEDULED, standing.scheduler_says)
