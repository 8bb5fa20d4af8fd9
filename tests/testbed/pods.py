"""Pods with a volume."""

from typing import Any

PODS = "/api/v1/namespaces/default/pods"


def pod(name: str, script: str, *, storage_class: str = "local") -> dict[str, Any]:
    """Return a pod of the `restricted` level that runs a script, with a fresh volume at /volume."""
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": "100Mi"}},
    }
    return {
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1001,
                "fsGroup": 1001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "script",
                    "image": "pie.test/pie:dev",
                    "command": ["sh", "-c", script],
                    "volumeMounts": [{"name": "volume", "mountPath": "/volume"}],
                    "securityContext": {
                        "readOnlyRootFilesystem": True,
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
            "volumes": [{"name": "volume", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}],
        },
    }


def has_ended(pod: dict[str, Any]) -> bool:
    """Say whether the pod has run to its end, good or bad."""
    return pod["status"]["phase"] in ("Succeeded", "Failed")
