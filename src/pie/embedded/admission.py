"""What the API server makes of an object before it is stored: defaults, and the rules it is held to.

PieProbes are held to the whole of their CRD. Of the built-in kinds only what pie could get wrong is checked:
names, labels, and the few fields below.
"""

import re
from typing import Any, Final

from pie.embedded.crd import pieprobe_schema
from pie.embedded.errors import Refused, invalid
from pie.embedded.kinds import (
    CRDS,
    CRONJOBS,
    JOBS,
    NAMESPACES,
    NODES,
    PIE_PROBES,
    PODS,
    PVCS,
    PVS,
    STORAGE_CLASSES,
    Kind,
    find,
)
from pie.embedded.quantity import quantity
from pie.embedded.schema import Schema

Json = dict[str, Any]

CLAIM_PROTECTION: Final = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION: Final = "kubernetes.io/pv-protection"
NAMESPACE_CONTENTS: Final = "kubernetes"

_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE: Final = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_LONGEST_NAME: Final = 253
_LONGEST_LABEL: Final = 63
_LONGEST_CRONJOB_NAME: Final = 52
_NAME_RULE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character"
)


def schema_of(kind: Kind) -> Schema | None:
    """Return the schema that objects of a kind are held to, if there is one."""
    return pieprobe_schema() if kind is PIE_PROBES else None


def complete(kind: Kind, item: Json) -> None:
    """Fill in the defaults of a kind, and drop fields it does not have."""
    if (schema := schema_of(kind)) is not None:
        metadata = item.pop("metadata")
        list(schema.prune(item))
        schema.default(item)
        item["metadata"] = metadata
    _fill(item, _DEFAULTS.get(kind, {}))
    finalizer = _FINALIZERS.get(kind)
    if finalizer is not None and "resourceVersion" not in item["metadata"]:
        kept = item["metadata"].setdefault("finalizers", [])
        kept += [finalizer] if finalizer not in kept else []


def unknown_fields(kind: Kind, item: Json) -> list[str]:
    """Return the paths of the fields that the schema does not have; removes them."""
    schema = schema_of(kind)
    rest = {key: value for key, value in item.items() if key != "metadata"}
    return list(schema.prune(rest)) if schema is not None else []


_DEFAULTS: Final[dict[Kind, Json]] = {
    NAMESPACES: {"status": {"phase": "Active"}},
    NODES: {"spec": {}, "status": {}},
    PODS: {
        "spec": {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30},
        "status": {"phase": "Pending"},
    },
    JOBS: {"spec": {"backoffLimit": 6, "completions": 1, "parallelism": 1, "suspend": False}},
    CRONJOBS: {
        "spec": {
            "concurrencyPolicy": "Allow",
            "suspend": False,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
        }
    },
    PVCS: {"spec": {"volumeMode": "Filesystem"}, "status": {"phase": "Pending"}},
    PVS: {"status": {"phase": "Pending"}},
    STORAGE_CLASSES: {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
    CRDS: {
        "status": {"conditions": [{"type": "Established", "status": "True", "reason": "", "message": ""}]}
    },
}
_FINALIZERS: Final = {PVCS: CLAIM_PROTECTION, PVS: VOLUME_PROTECTION, NAMESPACES: NAMESPACE_CONTENTS}
"""What new objects get. (A real namespace has its finalizer in the spec.)"""


def _fill(item: Json, defaults: Json) -> None:
    for key, value in defaults.items():
        if isinstance(value, dict) and isinstance(item.setdefault(key, {}), dict):
            _fill(item[key], value)
        else:
            item.setdefault(key, value)


def validate(kind: Kind, item: Json, old: Json | None) -> None:
    """Raise Refused (422) where the object, or the change from `old`, breaks a rule."""
    name = item["metadata"].get("name") or ""
    errors = list(_metadata_errors(name, item["metadata"]))
    if (schema := schema_of(kind)) is not None:
        errors += schema.errors(_without_metadata(item), *([_without_metadata(old)] if old else []))
    elif (rules := _RULES.get(kind)) is not None:
        errors += rules(item, old)
    if errors:
        raise invalid(kind, name, errors)


def _without_metadata(item: Json) -> Json:
    return {key: value for key, value in item.items() if key != "metadata"}


def _metadata_errors(name: str, metadata: Json) -> list[str]:
    errors: list[str] = []
    if not name:
        errors.append("metadata.name: Required value: name or generateName is required")
    elif len(name) > _LONGEST_NAME or not _SUBDOMAIN.fullmatch(name):
        errors.append(f'metadata.name: Invalid value: "{name}": {_NAME_RULE}')
    for value in (metadata.get("labels") or {}).values():
        if not isinstance(value, str):
            raise Refused(400, "BadRequest", f"metadata.labels: {value!r} is not a string")
        if len(value) > _LONGEST_LABEL:
            errors.append(f'metadata.labels: Invalid value: "{value}": must be no more than 63 characters')
        elif not _LABEL_VALUE.fullmatch(value):
            errors.append(
                f'metadata.labels: Invalid value: "{value}": a valid label must be an empty string or …'
            )
    errors += [
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty'
        for owner in metadata.get("ownerReferences") or []
        if not owner.get("uid")
    ]
    return errors


def _pod_errors(item: Json, old: Json | None) -> list[str]:
    if not find(item, "spec", "containers"):
        return ["spec.containers: Required value"]
    if old is not None and find(old, "spec", "containers") != item["spec"]["containers"]:
        return ["spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`, …"]
    return []


def _job_errors(item: Json, old: Json | None) -> list[str]:
    if not find(item, "spec", "template", "spec", "containers"):
        return ["spec.template.spec.containers: Required value"]
    if find(item, "spec", "template", "spec", "restartPolicy") not in {"Never", "OnFailure"}:
        return ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"']
    if old is not None and old["spec"].get("template") != item["spec"].get("template"):
        return ["spec.template: Invalid value: field is immutable"]
    return []


def _cronjob_errors(item: Json, _old: Json | None) -> list[str]:
    errors = []
    if len(item["metadata"].get("name", "")) > _LONGEST_CRONJOB_NAME:
        name = item["metadata"]["name"]
        errors.append(f'metadata.name: Invalid value: "{name}": must be no more than 52 characters')
    if not find(item, "spec", "schedule"):
        errors.append("spec.schedule: Required value")
    if not find(item, "spec", "jobTemplate", "spec", "template", "spec", "containers"):
        errors.append("spec.jobTemplate.spec.template.spec.containers: Required value")
    return errors


def _claim_errors(item: Json, old: Json | None) -> list[str]:
    wanted = find(item, "spec", "resources", "requests", "storage")
    if wanted is None:
        return ["spec.resources[storage]: Required value"]
    size = quantity(str(wanted))
    if size is None or size <= 0:
        return [f"spec.resources[storage]: Invalid value: {str(wanted)!r}: must be greater than zero"]
    if not find(item, "spec", "accessModes"):
        return ["spec.accessModes: Required value: at least 1 access mode is required"]
    if old is not None and old["spec"].get("storageClassName") != item["spec"].get("storageClassName"):
        return ["spec: Forbidden: spec is immutable after creation except resources.requests and …"]
    return []


def _class_errors(item: Json, old: Json | None) -> list[str]:
    if not item.get("provisioner"):
        return ["provisioner: Required value"]
    fixed = ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode")
    return [
        f"{key}: Forbidden: updates to {key} are forbidden."
        for key in fixed
        if old is not None and old.get(key) != item.get(key)
    ]


_RULES = {
    PODS: _pod_errors,
    JOBS: _job_errors,
    CRONJOBS: _cronjob_errors,
    PVCS: _claim_errors,
    STORAGE_CLASSES: _class_errors,
}
