"""FailedMount about a volume that is not the probed one: admission added it to the pod."""

from pie.core.model import Stage
from pie.core.reasons import Reason
from tests.core.cases.rows import VOLUME, Row, on_node


def _other(text: str, source: str, keeps: str) -> Row:
    return Row(text, source, on_node(("FailedMount", text)), Stage.START, Reason.START_SLOW, keeps)


OTHER_VOLUMES = (
    _other(
        'MountVolume.SetUp failed for volume "istiod-ca-cert" : configmap "istio-ca-root-cert" not found',
        "istio/istio#22463",
        "istiod-ca-cert",
    ),
    _other(
        'MountVolume.SetUp failed for volume "contourcert" : secret "contourcert" not found',
        "projectcontour/contour#3548",
        "contourcert",
    ),
    _other(
        'MountVolume.SetUp failed for volume "kube-api-access-xp98b" : failed to fetch token: serviceaccounts "default"'
        " not found",
        "kubernetes v1.35.4 pkg/volume/projected",
        "kube-api-access",
    ),
    _other(
        'MountVolume.SetUp failed for volume "webhook-cert" : references non-existent secret key: tls.crt',
        "shikanon/kubeflow-manifests#45",
        "webhook-cert",
    ),
    _other(
        "Unable to attach or mount volumes: unmounted volumes=[istio-token], unattached volumes=[istio-token volume]:"
        " timed out waiting for the condition",
        "istio/istio#29659",
        "istio-token",
    ),
    _other(
        'MountVolume.MountDevice failed for volume "pvc-of-another-class" : rpc error: code = Internal desc = no',
        "kubernetes v1.35.4 pkg/volume/util/operationexecutor",
        "pvc-of-another-class",
    ),
    _other(
        'Unable to mount volumes for pod "p_ns(uid)": timeout expired waiting for volumes to attach or mount for pod'
        ' "ns"/"p". list of unmounted volumes=[istio-certs]. list of unattached volumes=[istio-certs volume]',
        "kubernetes v1.16 pkg/kubelet/kubelet.go",
        "istio-certs",
    ),
    _other(
        'MountVolume.SetUp failed for volume "secrets-store-inline" : rpc error: code = Unknown desc = failed to mount'
        " secrets store objects for pod ns/p, err: error connecting to provider",
        "kubernetes-sigs/secrets-store-csi-driver",
        "secrets-store-inline",
    ),
    Row(
        'MountVolume.SetUp failed for volume "istiod-ca-cert" : configmap … not found, and of the probed volume: rpc'
        " error: code = Internal desc = no device",
        "istio/istio#43824",
        on_node(
            (
                "FailedMount",
                f'MountVolume.SetUp failed for volume "{VOLUME}" : rpc error: code = Internal desc = no',
            ),
            ("FailedMount", 'MountVolume.SetUp failed for volume "istiod-ca-cert" : configmap "i" not found'),
        ),
        Stage.MOUNT,
        Reason.MOUNT_FAILED,
        VOLUME,
    ),
)
