"""What the API server makes of an object before it is stored: defaults, and the rules it is held to.

PieProbes are held to the whole of their CRD; built-in kinds to names, labels, and fields that must be there.
"""

import re
from typing import Any, Final

from pie.embedded import schema
from pie.embedded.errors import invalid
from pie.embedded.kinds import PIE_PROBES, Json, Kind, find
from pie.embedded.patch import copied

CLAIM_PROTECTION: Final = "kubernetes.io/pvc-protection"
NAMESPACE_CONTENTS: Final = "kubernetes"
_FINALIZERS: Final = {"PersistentVolumeClaim": CLAIM_PROTECTION, "Namespace": NAMESPACE_CONTENTS}
"""What new objects get. (A real namespace has its finalizer in the spec.)"""
_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "Namespace": {"status.phase": "Active"},
    "Node": {"spec": {}, "status": {}},
    "Pod": {"spec.terminationGracePeriodSeconds": 30, "status.phase": "Pending"},
    "Job": {"spec.backoffLimit": 6, "spec.suspend": False},
    "CronJob": {
        "spec.concurrencyPolicy": "Allow",
        "spec.suspend": False,
        "spec.successfulJobsHistoryLimit": 3,
        "spec.failedJobsHistoryLimit": 1,
    },
    "PersistentVolumeClaim": {"spec.volumeMode": "Filesystem", "status.phase": "Pending"},
    "PersistentVolume": {"status.phase": "Pending"},
    "StorageClass": {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
}
_REQUIRED: Final = {
    "Pod": ["spec.containers"],
    "Job": ["spec.template.spec.containers"],
    "CronJob": ["spec.schedule", "spec.jobTemplate.spec.template.spec.containers"],
    "PersistentVolumeClaim": ["spec.accessModes", "spec.resources.requests.storage"],
    "PersistentVolume": ["spec.accessModes", "spec.capacity.storage"],
    "StorageClass": ["provisioner"],
}
_PART: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = re.compile(rf"(?=.{{1,253}}$){_PART}(\.{_PART})*")
_LABEL_VALUE: Final = re.compile(r"(?=.{0,63}$)(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


def complete(kind: Kind, item: Json) -> None:
    """Fill in the defaults of a kind, and drop fields that it does not have."""
    if kind is PIE_PROBES:
        unknown_fields(kind, item)
        schema.default(schema.pieprobe_schema(), item)
    for path, value in _DEFAULTS.get(kind.kind, {}).items():
        *parents, last = path.split(".")
        below = item
        for key in parents:
            below = below.setdefault(key, {})
        below.setdefault(last, copied(value))
    if kind.kind in _FINALIZERS and "resourceVersion" not in item["metadata"]:
        kept = [*(item["metadata"].get("finalizers") or []), _FINALIZERS[kind.kind]]
        item["metadata"]["finalizers"] = list(dict.fromkeys(kept))


def unknown_fields(kind: Kind, item: Json) -> list[str]:
    """Take fields off an object that the kind's schema, if any, does not have; return their paths."""
    return list(schema.prune(schema.pieprobe_schema(), item)) if kind is PIE_PROBES else []


def validate(kind: Kind, item: Json, old: Json | None) -> None:
    """Raise Refused (422) where the object, or the change from `old`, breaks a rule."""
    name, labels = item["metadata"].get("name") or "", item["metadata"].get("labels") or {}
    errors = [f"{path}: Required value" for path in _REQUIRED.get(kind.kind, ()) if not find(item, path)]
    if not _SUBDOMAIN.fullmatch(name):
        errors.append(f'metadata.name: Invalid value: "{name}": must be a lowercase RFC 1123 subdomain')
    wrong = [value for value in labels.values() if not _LABEL_VALUE.fullmatch(str(value))]
    errors += [f'metadata.labels: Invalid value: "{value}": is not the value of a label' for value in wrong]
    if kind is PIE_PROBES:
        errors += schema.errors(schema.pieprobe_schema(), *([item, old] if old else [item]))
    if errors:
        raise invalid(kind, name, errors)
