"""What a PVC's own state says: lost, bound elsewhere, being deleted, not there."""

from pie.core.model import Stage
from pie.core.reasons import Reason
from tests.core.build import MOUNT
from tests.core.cases.rows import K8S, Row, bound_claim, of_pvc, on_node, unscheduled

PVCS = (
    Row(
        "ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        f"{K8S}/controller/volume/persistentvolume/pv_controller.go",
        of_pvc(
            "Lost", ("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
        ),
        Stage.PROVISION,
        Reason.VOLUME_MISSING,
        "lost its PersistentVolume",
    ),
    Row(
        "ClaimMisbound: Two claims are bound to the same volume, this one is bound incorrectly",
        f"{K8S}/controller/volume/persistentvolume/pv_controller.go",
        of_pvc("Lost", ("ClaimMisbound", "Two claims are bound to the same volume")),
        Stage.PROVISION,
        Reason.VOLUME_MISSING,
        "Two claims",
    ),
    Row(
        "The PVC is Lost, and its Event has expired",
        f"{K8S}/controller/volume/persistentvolume/pv_controller.go",
        of_pvc("Lost"),
        Stage.PROVISION,
        Reason.VOLUME_MISSING,
        "is gone",
    ),
    Row(
        "0/3 nodes are available: PVC pie/pod-volume was not created for pod pie/pod (pod is not owner).",
        "k8s.io/component-helpers storage/ephemeral/ephemeral.go",
        unscheduled(
            "0/3 nodes are available: PVC pie/pod-volume was not created for pod pie/pod (pod is not owner).",
            claim=None,
        ),
        Stage.PROVISION,
        Reason.NAME_TAKEN,
    ),
    Row(
        'FailedBinding: volume "pv-1" already bound to a different claim.',
        f"{K8S}/controller/volume/persistentvolume/pv_controller.go",
        of_pvc("Pending", ("FailedBinding", 'volume "pv-1" already bound to a different claim.')),
        Stage.PROVISION,
        Reason.PROVISIONING_FAILED,
        "a different claim",
    ),
    Row(
        '0/10 nodes are available: 1 persistentvolumeclaim "foo" bound to non-existent persistentvolume "bar"',
        "kubernetes/kubernetes#105245",
        unscheduled(
            '0/10 nodes are available: persistentvolumeclaim "foo" bound to non-existent persistentvolume "b"'
        ),
        Stage.SCHEDULE,
        Reason.VOLUME_MISSING,
    ),
    Row(
        "0/10 nodes are available: 8 node(s) had taint {node/test: true}, that the pod didn't tolerate, 2 pvc(s) bound"
        " to non-existent pv(s)",
        "kubernetes/kubernetes#105245",
        unscheduled(
            "0/10 nodes are available: 8 node(s) had taint {t: }, 2 pvc(s) bound to non-existent pv(s)"
        ),
        Stage.SCHEDULE,
        Reason.VOLUME_MISSING,
    ),
    Row(
        '0/3 nodes are available: persistentvolumeclaim "data" is being deleted.',
        f"{K8S}/scheduler/framework/plugins/volumebinding/volume_binding.go",
        of_pvc(
            "Bound",
            text='0/3 nodes are available: persistentvolumeclaim "data" is being deleted.',
            deleted=True,
        ),
        Stage.PROVISION,
        Reason.CLAIM_DELETED,
    ),
    Row(
        '0/3 nodes are available: persistentvolumeclaim "pvc-a" not found.',
        "kubernetes/kubernetes#95541",
        unscheduled('0/3 nodes are available: persistentvolumeclaim "pvc-a" not found.', MOUNT, claim=None),
        Stage.PROVISION,
        Reason.CLAIM_DELETED,
    ),
    Row(
        "Unable to attach or mount volumes: unmounted volumes=[volume], failed to process volumes=[volume]: error"
        " processing PVC pie/data: PVC is being deleted",
        f"{K8S}/kubelet/volumemanager/populator/desired_state_of_world_populator.go",
        on_node(
            (
                "FailedMount",
                (
                    "Unable to attach or mount volumes: unmounted volumes=[volume], failed to process volumes=[volume]:"
                    " error processing PVC pie/data: PVC is being deleted"
                ),
            )
        ),
        Stage.MOUNT,
        Reason.CLAIM_DELETED,
        "being deleted",
    ),
    Row(
        'MountVolume.SetUp failed for volume "…": volume uses the ReadWriteOncePod access mode and is already in use by'
        " another pod",
        f"{K8S}/kubelet/volumemanager/cache/actual_state_of_world.go",
        on_node(
            (
                "FailedMount",
                (
                    'MountVolume.SetUp failed for volume "pv" : volume uses the ReadWriteOncePod access mode and is'
                    " already in use by another pod"
                ),
            ),
            claim=bound_claim("pv"),
        ),
        Stage.MOUNT,
        Reason.LOCKED,
        "another pod",
    ),
)
