"""Labels and annotations by which common meshes and agents do not add containers to a pod.

A probe pod uses no network. A sidecar only delays it, and may prevent its end. If a container is added
anyway, it changes no verdict (see `pie.core.timeline.pod_over`). Each line names the page that says so.
"""

from typing import Final

LABELS: Final = {
    # https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/
    "sidecar.istio.io/inject": "false",
    # https://istio.io/latest/docs/ambient/usage/add-workloads/
    "istio.io/dataplane-mode": "none",
    # https://kuma.io/docs/latest/production/dp-config/dpp-on-kubernetes/
    "kuma.io/sidecar-injection": "disabled",
}

ANNOTATIONS: Final = {
    # Older Istio reads the annotation; where a pod has both, the label counts.
    "sidecar.istio.io/inject": "false",
    # Older Kuma reads the annotation.
    "kuma.io/sidecar-injection": "disabled",
    # https://linkerd.io/2/features/proxy-injection/
    "linkerd.io/inject": "disabled",
    # https://developer.hashicorp.com/consul/docs/k8s/annotations-and-labels
    "consul.hashicorp.com/connect-inject": "false",
    # https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations
    "vault.hashicorp.com/agent-inject": "false",
    # https://docs.dapr.io/reference/arguments-annotations-overview/
    "dapr.io/enabled": "false",
    # https://aws.github.io/aws-app-mesh-controller-for-k8s/reference/injector/
    "appmesh.k8s.aws/sidecarInjectorWebhook": "disabled",
}
