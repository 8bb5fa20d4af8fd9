"""What the chart and the controller of the Go implementation create, as far as a migration is concerned."""

from pathlib import Path
from typing import Any

import yaml

from pie.core.model import Kind, Target
from pie.core.naming import claim_names
from tests.harness import CRD

Json = dict[str, Any]
_LABELS = {"app.kubernetes.io/name": "pie", "app.kubernetes.io/instance": "{{ .Release.Name }}"}
DEPLOYMENT: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "pie"},
    "spec": {
        "selector": {"matchLabels": _LABELS},
        "template": {
            "metadata": {"labels": _LABELS},
            "spec": {"containers": [{"name": "controller", "image": "registry.example.com/go-pie"}]},
        },
    },
}
SERVICE: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "pie"},
    "spec": {
        "selector": {"app.kubernetes.io/name": "pie"},
        "ports": [{"name": "metrics", "port": 8080}, {"name": "receiver", "port": 8082}],
    },
}
_IMMUTABLE = {"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "it is immutable"}]}
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
# All fields that it knows, with their defaults and limits. It drops every other field.
SPEC: Json = {
    "type": "object",
    "required": ["monitoringStorageClass", "nodeSelector", "probePeriod", "probeThreshold"],
    "properties": {
        "monitoringStorageClass": {"type": "string", **_IMMUTABLE},
        "nodeSelector": _OPEN,
        "probePeriod": {"type": "integer", "default": 1, "minimum": 1, "maximum": 59},
        "probeThreshold": {"type": "string", "default": "1m"},
        "disableProvisionProbe": {"type": "boolean", "default": False, **_IMMUTABLE},
        "disableMountProbes": {"type": "boolean", "default": False, **_IMMUTABLE},
        "pvcCapacity": {"x-kubernetes-int-or-string": True, "default": "100Mi", **_IMMUTABLE},
        "resources": _OPEN,
    },
}


def write_go_chart(directory: Path) -> None:
    """Write a chart like that of the Go implementation: the CRD is one of its templates."""
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: pie\nversion: 0.0.1\n")
    templates = directory / "templates"
    templates.mkdir()
    manifests = {"deployment": DEPLOYMENT, "service": SERVICE, "crd": _crd()}
    for name, manifest in manifests.items():
        (templates / f"{name}.yaml").write_text(yaml.safe_dump(manifest))


def go_claim(probe: Json, node: str) -> Json:
    """Return the PVC that it creates for a node."""
    name, storage_class = probe["metadata"]["name"], probe["spec"]["monitoringStorageClass"]
    owner = {
        **{key: probe[key] for key in ("apiVersion", "kind")},
        **{key: probe["metadata"][key] for key in ("name", "uid")},
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "metadata": {
            "name": claim_names(Target(name, Kind.MOUNT, storage_class, node))[0],
            "labels": {"storage-class": storage_class, "pie-probe": name, "node": node},
            "ownerReferences": [owner],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "100Mi"}},
        },
    }


def _crd() -> Json:
    crd: Json = yaml.safe_load(CRD.read_text())
    schema = {"type": "object", "properties": {"spec": SPEC, "status": {"type": "object"}}}
    version = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": crd["apiVersion"],
        "kind": crd["kind"],
        "metadata": {"name": crd["metadata"]["name"]},
        "spec": {**crd["spec"], "versions": [version]},
    }
