"""Messages of the scheduler: for a free pod storage's reason comes first, for a pinned one that of its node."""

from msgspec.structs import replace

from pie.core.model import Stage, Target
from pie.core.reasons import Reason
from pie.core.timeline import Run
from tests.core.build import MOUNT, PROVISION, pod
from tests.core.cases.rows import K8S, Row, bound_claim, run, unscheduled

PLUGINS = f"{K8S}/scheduler/framework/plugins"


def _says(
    text: str, source: str, reason: Reason, stage: Stage = Stage.SCHEDULE, target: Target = PROVISION
) -> Row:
    return Row(text, source, unscheduled(text, target), stage, reason)


def _selected(said: str) -> Run:
    shown = pod(unschedulable=f"0/5 nodes are available: {said}.")
    spec = replace(shown.spec, node_selector={"node-role.kubernetes.io/compute": "true"})
    return run(replace(shown, spec=spec), MOUNT, claim=bound_claim())


FREE = (
    _says(
        "0/5 nodes are available: 2 node(s) did not have enough free storage, 3 node(s) had untolerated taint(s). no"
        " new claims to deallocate, preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling.",
        "openebs/lvm-localpv#458",
        Reason.NO_CAPACITY,
    ),
    _says(
        "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind. preemption: 0/1 nodes"
        " are available: 1 Preemption is not helpful for scheduling.",
        "kubernetes-sigs/sig-storage-local-static-provisioner#424",
        Reason.NO_CAPACITY,
    ),
    _says(
        "0/5 nodes are available: 2 node(s) didn't find available persistent volumes to bind, 3 node(s) didn't match"
        " Pod's node affinity/selector.",
        "rancher/local-path-provisioner#10",
        Reason.NO_CAPACITY,
    ),
    _says(
        "0/5 nodes are available: 1 node(s) had taints that the pod didn't tolerate, 1 node(s) were unschedulable,"
        " 3 node(s) had volume node affinity conflict.",
        "hetznercloud/csi-driver#31",
        Reason.VOLUME_AFFINITY,
    ),
    _says(
        "0/4 nodes are available: 1 node(s) had no available volume zone, 3 Insufficient cpu.",
        f"{PLUGINS}/volumezone/volume_zone.go",
        Reason.VOLUME_AFFINITY,
    ),
    _says(
        "0/3 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 2 Insufficient memory.",
        f"{PLUGINS}/volumebinding/binder.go",
        Reason.VOLUME_AFFINITY,
    ),
    _says(
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) exceed max volume count.",
        f"{PLUGINS}/nodevolumelimits/csi.go",
        Reason.VOLUME_LIMIT,
    ),
    _says(
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 csi.hetzner.cloud CSI driver is not"
        " installed on the node.",
        f"{PLUGINS}/nodevolumelimits/csi.go",
        Reason.DRIVER_NOT_READY,
        Stage.MOUNT,
    ),
    _says(
        "0/3 nodes are available: 1 Too many pods, 2 node(s) had taint {node-role: }, that the pod didn't tolerate.",
        f"{PLUGINS}/noderesources/fit.go",
        Reason.INSUFFICIENT_RESOURCES,
    ),
    _says(
        "0/3 nodes are available: 3 node(s) had untolerated taint {maintenance: }.",
        "kubernetes v1.33.13 pkg/scheduler/framework/plugins/tainttoleration",
        Reason.TAINTED,
    ),
    _says(
        "0/3 nodes are available: 3 node(s) were unschedulable.",
        f"{PLUGINS}/nodeunschedulable",
        Reason.CORDONED,
    ),
    _says(
        "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints.",
        f"{PLUGINS}/podtopologyspread/plugin.go",
        Reason.NO_MATCHING_NODE,
    ),
    _says(
        "Scheduling is blocked due to non-empty scheduling gates",
        "kubernetes v1.35.4 pkg/registry/core/pod/strategy.go",
        Reason.NO_MATCHING_NODE,
    ),
    _says("no nodes available to schedule pods", f"{K8S}/scheduler/schedule_one.go", Reason.NO_MATCHING_NODE),
    _says(
        "0/3 nodes are available: 3 pod has unbound immediate PersistentVolumeClaims. preemption: 0/3 nodes are"
        " available: 3 Preemption is not helpful for scheduling.",
        "kubernetes-sigs/azuredisk-csi-driver#1097",
        Reason.PROVISIONER_SILENT,
        Stage.PROVISION,
    ),
    _says(
        'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded',
        f"{PLUGINS}/volumebinding/binder.go",
        Reason.PROVISION_SLOW,
        Stage.PROVISION,
    ),
    _says(
        "0/3 nodes are available: 3 out of VG free space.",
        "topolvm/topolvm internal/scheduler/predicate.go",
        Reason.NO_CAPACITY,
    ),
    _says(
        'running PreBind plugin "VolumeBinding": binding volumes: pv "pvc-1" node affinity doesn\'t match node "n1"',
        f"{PLUGINS}/volumebinding/binder.go",
        Reason.VOLUME_AFFINITY,
    ),
    _says(
        'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "data"',
        f"{PLUGINS}/volumebinding/binder.go",
        Reason.PROVISION_SLOW,
        Stage.PROVISION,
    ),
)

PINNED = (
    _says(
        "0/5 nodes are available: 1 node(s) had volume node affinity conflict, 4 node(s) didn't satisfy plugin(s)"
        " [NodeAffinity]. preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling.",
        f"{K8S}/scheduler/schedule_one.go",
        Reason.VOLUME_AFFINITY,
        target=MOUNT,
    ),
    _says(
        "0/5 nodes are available: node(s) didn't satisfy plugin(s) [NodeAffinity VolumeBinding] simultaneously.",
        "kubernetes v1.28 pkg/scheduler/framework/runtime/framework.go",
        Reason.VOLUME_AFFINITY,
        target=MOUNT,
    ),
    _says(
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity VolumeBinding].",
        "kubernetes v1.28 pkg/scheduler/schedule_one.go",
        Reason.INSUFFICIENT_RESOURCES,
        target=MOUNT,
    ),
    _says(
        "0/5 nodes are available: 1 Insufficient memory, 1 node(s) were unschedulable, 3 node(s) didn't match Pod's"
        " node affinity/selector.",
        f"{PLUGINS}/noderesources/fit.go",
        Reason.INSUFFICIENT_RESOURCES,
        target=MOUNT,
    ),
    _says(
        "0/5 nodes are available: 1 ebs.csi.aws.com CSI driver is not installed on the node, 4 node(s) had"
        " untolerated taint(s).",
        f"{PLUGINS}/nodevolumelimits/csi.go",
        Reason.DRIVER_NOT_READY,
        Stage.MOUNT,
        MOUNT,
    ),
    _says(
        "0/5 nodes are available: 1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode"
        " already in-use by another pod, 4 node(s) didn't match Pod's node affinity/selector.",
        f"{PLUGINS}/volumerestrictions/volume_restrictions.go",
        Reason.LOCKED,
        target=MOUNT,
    ),
    _says(
        "0/9 nodes are available: 1 node(s) were unschedulable, 3 node(s) had untolerated taint(s), 5 node(s) didn't"
        " match Pod's node affinity/selector.",
        f"{PLUGINS}/nodeunschedulable",
        Reason.CORDONED,
        target=MOUNT,
    ),
    *(
        Row(
            f"0/5 nodes are available: {said}. (the pod has a nodeSelector of its namespace)",
            source,
            _selected(said),
            Stage.SCHEDULE,
            reason,
            keeps,
        )
        for said, source, reason, keeps in (
            (
                "5 node(s) didn't match Pod's node affinity/selector",
                "openshift/origin#19678",
                Reason.NO_MATCHING_NODE,
                "node-role.kubernetes.io/compute=true",
            ),
            (
                "1 node(s) didn't match Pod's node affinity/selector, 4 node(s) had untolerated taint {x: }",
                "openshift/openshift-ansible#6635",
                Reason.NO_MATCHING_NODE,
                "node-role.kubernetes.io/compute=true",
            ),
            (
                "1 node(s) didn't match Pod's node affinity/selector, 4 node(s) didn't satisfy plugin(s) [NodeAffinity]",
                f"{K8S}/scheduler/schedule_one.go",
                Reason.NO_MATCHING_NODE,
                "node-role.kubernetes.io/compute=true",
            ),
            (
                "1 Insufficient cpu, 4 node(s) didn't satisfy plugin(s) [NodeAffinity]",
                f"{K8S}/scheduler/schedule_one.go",
                Reason.INSUFFICIENT_RESOURCES,
                "1 Insufficient cpu",
            ),
        )
    ),
)
