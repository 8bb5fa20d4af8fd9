"""Every image error of a kubelet, with the registry's own words where somebody has them."""

from pie.core.model import Stage
from pie.core.reasons import Reason
from tests.core.cases.rows import K8S, Row, with_image


def _image(reason: str, message: str, source: str, keeps: str, *warnings: tuple[str, str]) -> Row:
    return Row(
        " → ".join([*(text for _, text in warnings), f"{reason}: {message}"]),
        source,
        with_image(reason, message, *warnings),
        Stage.START,
        Reason.IMAGE_PULL,
        keeps,
    )


IMAGES = (
    _image(
        "ImagePullBackOff",
        'Back-off pulling image "nginx:notag132"',
        "kubernetes/kubernetes#87278",
        "manifest for nginx:notag132 not found",
        (
            "Failed",
            (
                'Failed to pull image "nginx:notag132": rpc error: code = Unknown desc = Error response from daemon:'
                " manifest for nginx:notag132 not found"
            ),
        ),
        ("Failed", "Error: ErrImagePull"),
        ("BackOff", 'Back-off pulling image "nginx:notag132"'),
        ("Failed", "Error: ImagePullBackOff"),
    ),
    _image(
        "ImagePullBackOff",
        'Back-off pulling image "x:1": ErrImagePull: failed to pull and unpack image "x:1": not found',
        "kubernetes v1.32 pkg/kubelet/images/image_manager.go",
        "failed to pull and unpack",
    ),
    _image(
        "ErrImagePull",
        'rpc error: code = Unknown desc = failed to pull and unpack image "docker.io/x:1": 429 Too Many Requests',
        "namespacelabs/foundation#846",
        "429 Too Many Requests",
    ),
    _image(
        "ImagePullBackOff",
        'Back-off pulling image "x/y:20.7"',
        "octarinesec/octarine-operator#15",
        "authentication required",
        (
            "Failed",
            'Failed to pull image "x/y:20.7": Error response from daemon: unauthorized: authentication required',
        ),
        ("Failed", "Error: ErrImagePull"),
        ("Failed", "Error: ImagePullBackOff"),
    ),
    _image(
        "ErrImagePull",
        "no matching manifest for windows/amd64 10.0.20348 in the manifest list entries",
        "kubernetes/kubernetes#69773",
        "no matching manifest",
    ),
    _image(
        "ErrImageNeverPull",
        'Container image "pie:dev" is not present with pull policy of Never',
        f"{K8S}/kubelet/images/image_manager.go",
        "pull policy of Never",
    ),
    _image(
        "InvalidImageName",
        'Failed to apply default image tag "Pie:1": couldn\'t parse image name "Pie:1": invalid reference format',
        f"{K8S}/kubelet/images/image_manager.go",
        "invalid reference format",
    ),
    _image(
        "RegistryUnavailable",
        "image pull failed for x:1 because the registry is unavailable.",
        "kubernetes/kubernetes#23746",
        "registry is unavailable",
    ),
    _image(
        "SignatureValidationFailed",
        "image pull failed for x:1 because the signature validation failed",
        "kubernetes/kubernetes#117717",
        "signature",
    ),
    _image("ImageInspectError", 'Failed to inspect image "x:1"', "spotify/styx#710", "inspect"),
)
