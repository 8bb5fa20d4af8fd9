"""The marks by which other programs say that a node is under maintenance, and what each stands for.

These count on every node unless `spec.suppression.wellKnownMarks` is false, also where the probe's pods
tolerate the taint: a toleration says that a pod may run there, not that the node is well.
"""

from pie.core.model import Mark, MarkKind

# A soft taint (PreferNoSchedule), such as cluster-autoscaler's DeletionCandidateOfClusterAutoscaler, keeps no
# pod away and is no mark.
WELL_KNOWN: dict[Mark, str] = {
    Mark(MarkKind.TAINT, "node.cilium.io/agent-not-ready"): (
        "Cilium: the network agent of the node is not ready (a new node, or an agent that restarts)"
    ),
    Mark(MarkKind.TAINT, "cke.cybozu.com/state"): (
        "CKE: the machine is unhealthy, unreachable, retiring or retired"
    ),
    Mark(MarkKind.TAINT, "ToBeDeletedByClusterAutoscaler"): (
        "cluster-autoscaler: the node is drained to be removed"
    ),
    Mark(MarkKind.TAINT, "karpenter.sh/disrupted"): "Karpenter: the node is drained to be removed",
    Mark(MarkKind.TAINT, "karpenter.sh/disruption"): "Karpenter before 1.0: the same",
    Mark(MarkKind.TAINT, "karpenter.sh/unregistered"): "Karpenter: the new node is not set up yet",
    Mark(MarkKind.TAINT, "node.kubernetes.io/out-of-service"): (
        "node shutdown: an administrator or cloud provider says that the node is down for good"
    ),
    Mark(MarkKind.TAINT, "node.cloudprovider.kubernetes.io/uninitialized"): (
        "cloud provider: the new node is not set up yet"
    ),
    Mark(MarkKind.TAINT, "node.cloudprovider.kubernetes.io/shutdown"): (
        "cloud provider: the machine is shut down"
    ),
    Mark(MarkKind.TAINT, "cloud.google.com/impending-node-termination"): (
        "Google Cloud: the machine will be removed soon"
    ),
    Mark(MarkKind.TAINT, "aws-node-termination-handler/spot-itn"): (
        "AWS node termination handler: the spot machine will be removed soon"
    ),
    Mark(MarkKind.TAINT, "aws-node-termination-handler/scheduled-maintenance"): (
        "AWS node termination handler: scheduled maintenance of the machine"
    ),
    Mark(MarkKind.TAINT, "aws-node-termination-handler/asg-lifecycle-termination"): (
        "AWS node termination handler: the scaling group removes the machine"
    ),
    Mark(MarkKind.TAINT, "aws-node-termination-handler/rebalance-recommendation"): (
        "AWS node termination handler: the spot machine will probably be removed"
    ),
    Mark(MarkKind.TAINT, "node.kubernetes.io/disk-pressure"): "kubelet: the node has little disk left",
    Mark(MarkKind.TAINT, "node.kubernetes.io/memory-pressure"): "kubelet: the node has little memory left",
    Mark(MarkKind.TAINT, "node.kubernetes.io/pid-pressure"): "kubelet: the node has few process ids left",
    Mark(MarkKind.TAINT, "node.kubernetes.io/network-unavailable"): (
        "cloud provider or network plugin: the network of the node is not set up"
    ),
    Mark(MarkKind.TAINT, "medik8s.io/remediation"): (
        "medik8s (Self Node Remediation, Fence Agents Remediation): the node is unhealthy and is being fenced"
    ),
    Mark(MarkKind.TAINT, "medik8s.io/drain"): "medik8s (Node Maintenance Operator): the node is drained",
    Mark(MarkKind.LABEL, "cloud.google.com/active-node-maintenance", "ONGOING"): (
        "Google Cloud: maintenance of the host under the node"
    ),
    Mark(MarkKind.ANNOTATION, "weave.works/kured-reboot-in-progress"): (
        "kured (with --annotate-nodes): the node will reboot soon, or is rebooting"
    ),
    Mark(MarkKind.ANNOTATION, "machineconfiguration.openshift.io/state", "Working"): (
        "OpenShift's machine config: the node is being reconfigured"
    ),
    Mark(MarkKind.ANNOTATION, "machineconfiguration.openshift.io/state", "Rebooting"): (
        "OpenShift's machine config: the node reboots with its new configuration"
    ),
    Mark(MarkKind.CONDITION, "FreezeScheduled", "True"): (
        "Azure (node problem detector of AKS): the host will pause the machine"
    ),
    Mark(MarkKind.CONDITION, "PreemptScheduled", "True"): (
        "Azure (node problem detector of AKS): the spot machine will be removed soon"
    ),
    Mark(MarkKind.CONDITION, "RebootScheduled", "True"): (
        "Azure (node problem detector of AKS): the machine will be rebooted"
    ),
    Mark(MarkKind.CONDITION, "RedeployScheduled", "True"): (
        "Azure (node problem detector of AKS): the machine will be moved to another host"
    ),
    Mark(MarkKind.CONDITION, "TerminateScheduled", "True"): (
        "Azure (node problem detector of AKS): the machine will be deleted"
    ),
    Mark(MarkKind.CONDITION, "VMEventScheduled", "True"): (
        "Azure (node problem detector of AKS): the host has scheduled a reboot, freeze or redeployment"
    ),
}

OPENSHIFT_CONFIGS = (
    "machineconfiguration.openshift.io/currentConfig",
    "machineconfiguration.openshift.io/desiredConfig",
)
"""Annotations of a node that OpenShift's machine config has chosen for an update while they differ."""
