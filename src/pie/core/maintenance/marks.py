"""The marks by which other programs say that a node is under maintenance, and what each stands for.

They count on every node, unless `spec.suppression.wellKnownMarks` is false. They count also if the probe's
pods tolerate the taint: a toleration says that a pod may run there, not that the node is well.
"""

from pie.core.model import Mark, MarkKind

# A soft taint (PreferNoSchedule), such as cluster-autoscaler's DeletionCandidateOfClusterAutoscaler, keeps no
# pod off the node and is no mark.
_TAINTS = {
    "node.cilium.io/agent-not-ready": (
        "Cilium: the network agent of the node is not ready (a new node, or an agent that restarts)"
    ),
    "cke.cybozu.com/state": "CKE: the machine is unhealthy, unreachable, retiring or retired",
    "ToBeDeletedByClusterAutoscaler": "cluster-autoscaler: the node is drained to be removed",
    "karpenter.sh/disrupted": "Karpenter: the node is drained to be removed",
    "karpenter.sh/disruption": "Karpenter before 1.0: the same",
    "karpenter.sh/unregistered": "Karpenter: the new node is not set up yet",
    "node.kubernetes.io/out-of-service": (
        "node shutdown: an administrator or cloud provider says that the node is down for good"
    ),
    "node.cloudprovider.kubernetes.io/uninitialized": "cloud provider: the new node is not set up yet",
    "node.cloudprovider.kubernetes.io/shutdown": "cloud provider: the machine is shut down",
    "cloud.google.com/impending-node-termination": "Google Cloud: the machine will be removed soon",
    "aws-node-termination-handler/spot-itn": (
        "AWS node termination handler: the spot machine will be removed soon"
    ),
    "aws-node-termination-handler/scheduled-maintenance": (
        "AWS node termination handler: scheduled maintenance of the machine"
    ),
    "aws-node-termination-handler/asg-lifecycle-termination": (
        "AWS node termination handler: the scaling group removes the machine"
    ),
    "aws-node-termination-handler/rebalance-recommendation": (
        "AWS node termination handler: the spot machine will probably be removed"
    ),
    "node.kubernetes.io/disk-pressure": "kubelet: the node has little disk left",
    "node.kubernetes.io/memory-pressure": "kubelet: the node has little memory left",
    "node.kubernetes.io/pid-pressure": "kubelet: the node has few process ids left",
    "node.kubernetes.io/network-unavailable": (
        "cloud provider or network plugin: the network of the node is not set up"
    ),
    "medik8s.io/remediation": (
        "medik8s (Self Node Remediation, Fence Agents Remediation): the node is unhealthy and is being fenced"
    ),
    "medik8s.io/drain": "medik8s (Node Maintenance Operator): the node is drained",
}

_CONDITIONS = {
    "FreezeScheduled": "the host will pause the machine",
    "PreemptScheduled": "the spot machine will be removed soon",
    "RebootScheduled": "the machine will be rebooted",
    "RedeployScheduled": "the machine will be moved to another host",
    "TerminateScheduled": "the machine will be deleted",
    "VMEventScheduled": "the host has scheduled a reboot, freeze or redeployment",
}
"""Conditions that are True; all are set by the node problem detector of AKS."""

_OTHERS = {
    (MarkKind.LABEL, "cloud.google.com/active-node-maintenance", "ONGOING"): (
        "Google Cloud: maintenance of the host under the node"
    ),
    (MarkKind.ANNOTATION, "weave.works/kured-reboot-in-progress", ""): (
        "kured (with --annotate-nodes): the node will reboot soon, or is rebooting"
    ),
    (MarkKind.ANNOTATION, "machineconfiguration.openshift.io/state", "Working"): (
        "OpenShift's machine config: the node is being reconfigured"
    ),
    (MarkKind.ANNOTATION, "machineconfiguration.openshift.io/state", "Rebooting"): (
        "OpenShift's machine config: the node reboots with its new configuration"
    ),
}

WELL_KNOWN: dict[Mark, str] = {
    **{Mark(MarkKind.TAINT, key): meaning for key, meaning in _TAINTS.items()},
    **{Mark(*mark): meaning for mark, meaning in _OTHERS.items()},
    **{
        Mark(MarkKind.CONDITION, key, "True"): f"Azure (node problem detector of AKS): {meaning}"
        for key, meaning in _CONDITIONS.items()
    },
}
"""Each mark, with what it stands for."""

OPENSHIFT_CONFIGS = (
    "machineconfiguration.openshift.io/currentConfig",
    "machineconfiguration.openshift.io/desiredConfig",
)
"""Annotations of a node. While they differ, OpenShift's machine config is going to update the node."""
