"""What `kubectl get` shows: objects as rows of a meta.k8s.io/v1 Table.

The columns of PieProbe are the CRD's; those of the other kinds are cut to what helps with pie.
https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from pie.embedded.crd import pieprobe_version
from pie.embedded.kinds import (
    CRONJOBS,
    EVENTS,
    JOBS,
    LEASES,
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
from pie.embedded.registry import seconds_of

Json = dict[str, Any]
Cell = Callable[[Json], Any]

_STEP: Final = re.compile(r"\.([A-Za-z]\w*)(?:\[\?\(@\.(\w+)==\"([^\"]*)\"\)\])?")


def table(kind: Kind, items: list[Json], metadata: Json, now: float, include: str) -> Json:
    """Return a Table; `include` says how much of each object goes with its row (None, Metadata, Object)."""
    columns = _columns(kind)
    definitions = [
        {
            "name": name,
            "type": "integer" if how == "integer" else "string",
            "format": "name" if name == "Name" else "",
            "description": name,
            "priority": priority,
        }
        for name, how, priority, _ in columns
    ]
    rows = [
        {
            "cells": [_shown(how, cell(item), now) for _, how, _, cell in columns],
            "object": _carried(item, include),
        }
        for item in items
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _carried(item: Json, include: str) -> Json | None:
    if include == "Object":
        return item
    if include == "None":
        return None
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def _shown(how: str, value: Any, now: float) -> Any:
    if how == "date":
        return age(now - seconds_of(value)) if value else "<none>"
    if how == "integer":
        return value
    return "" if value is None else str(value)


def age(seconds: float) -> str:
    """Return a time span as kubectl writes ages: `45s`, `3m`, `5h`, `12d`."""
    for unit, length, until in (("s", 1, 120), ("m", 60, 7200), ("h", 3600, 172800)):
        if seconds < until:
            return f"{max(0, int(seconds // length))}{unit}"
    return f"{int(seconds // 86400)}d"


@lru_cache(maxsize=64)
def _columns(kind: Kind) -> tuple[tuple[str, str, int, Cell], ...]:
    name = ("Name", "string", 0, _at("metadata", "name"))
    created = ("Age", "date", 0, _at("metadata", "creationTimestamp"))
    if kind is PIE_PROBES:
        listed = pieprobe_version()["additionalPrinterColumns"]
        return (
            name,
            *(
                (each["name"], each["type"], each.get("priority", 0), _json_path(each["jsonPath"]))
                for each in listed
            ),
        )
    columns = _COLUMNS.get(kind, ())
    if any(column == "Last Seen" for column, _, _, _ in columns):
        return columns
    return (
        name,
        *(each for each in columns if each[2] == 0),
        created,
        *(each for each in columns if each[2]),
    )


def _json_path(text: str) -> Cell:
    """Return the JSONPath of a printer column as a function: fields, and a filter by one field's value."""
    steps = [match.groups() for match in _STEP.finditer(text)]

    def cell(item: Json) -> Any:
        found: Any = item
        for key, field, wanted in steps:
            found = find(found, key)
            if field is not None:
                found = next((each for each in found or [] if each.get(field) == wanted), None)
        return found

    return cell


def _at(*path: str) -> Cell:
    return lambda item: find(item, *path)


def _ready(item: Json) -> str:
    conditions = find(item, "status", "conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    cordoned = ",SchedulingDisabled" if find(item, "spec", "unschedulable") else ""
    return ("Ready" if ready else "NotReady") + cordoned


def _pod_status(item: Json) -> str:
    if "deletionTimestamp" in item["metadata"]:
        return "Terminating"
    for status in find(item, "status", "containerStatuses") or []:
        for state in ("waiting", "terminated"):
            if reason := find(status, "state", state, "reason"):
                return str(reason)
    return str(find(item, "status", "reason") or find(item, "status", "phase"))


def _pod_ready(item: Json) -> str:
    statuses = find(item, "status", "containerStatuses") or []
    return (
        f"{sum(bool(each.get('ready')) for each in statuses)}/{len(find(item, 'spec', 'containers') or [])}"
    )


def _job_status(item: Json) -> str:
    conditions = find(item, "status", "conditions") or []
    over = {each["type"] for each in conditions if each["status"] == "True"}
    return next((each for each in ("Complete", "Failed", "FailureTarget") if each in over), "Running")


def _claim_of(item: Json) -> str:
    return f"{find(item, 'spec', 'claimRef', 'namespace')}/{find(item, 'spec', 'claimRef', 'name')}"


def _about(item: Json) -> str:
    return f"{str(find(item, 'involvedObject', 'kind')).lower()}/{find(item, 'involvedObject', 'name')}"


def _count(*path: str) -> Cell:
    return lambda item: len(find(item, *path) or ())


_COLUMNS: Final[dict[Kind, tuple[tuple[str, str, int, Cell], ...]]] = {
    NAMESPACES: (("Status", "string", 0, _at("status", "phase")),),
    NODES: (
        ("Status", "string", 0, _ready),
        ("Version", "string", 0, _at("status", "nodeInfo", "kubeletVersion")),
    ),
    PODS: (
        ("Ready", "string", 0, _pod_ready),
        ("Status", "string", 0, _pod_status),
        ("Node", "string", 1, _at("spec", "nodeName")),
    ),
    PVCS: (
        ("Status", "string", 0, _at("status", "phase")),
        ("Volume", "string", 0, _at("spec", "volumeName")),
        ("Capacity", "string", 0, _at("status", "capacity", "storage")),
        ("StorageClass", "string", 0, _at("spec", "storageClassName")),
    ),
    PVS: (
        ("Capacity", "string", 0, _at("spec", "capacity", "storage")),
        ("Reclaim Policy", "string", 0, _at("spec", "persistentVolumeReclaimPolicy")),
        ("Status", "string", 0, _at("status", "phase")),
        ("Claim", "string", 0, _claim_of),
        ("StorageClass", "string", 0, _at("spec", "storageClassName")),
    ),
    EVENTS: (
        ("Last Seen", "date", 0, _at("lastTimestamp")),
        ("Type", "string", 0, _at("type")),
        ("Reason", "string", 0, _at("reason")),
        ("Object", "string", 0, _about),
        ("Message", "string", 0, _at("message")),
        ("Name", "string", 1, _at("metadata", "name")),
    ),
    JOBS: (("Status", "string", 0, _job_status),),
    CRONJOBS: (
        ("Schedule", "string", 0, _at("spec", "schedule")),
        ("Suspend", "string", 0, _at("spec", "suspend")),
        ("Active", "integer", 0, _count("status", "active")),
        ("Last Schedule", "date", 0, _at("status", "lastScheduleTime")),
    ),
    STORAGE_CLASSES: (
        ("Provisioner", "string", 0, _at("provisioner")),
        ("ReclaimPolicy", "string", 0, _at("reclaimPolicy")),
        ("VolumeBindingMode", "string", 0, _at("volumeBindingMode")),
    ),
    LEASES: (("Holder", "string", 0, _at("spec", "holderIdentity")),),
}
