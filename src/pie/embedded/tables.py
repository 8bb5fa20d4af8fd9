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
    """Return name, type, priority and content of each column."""
    name = ("Name", "string", 0, _json_path(".metadata.name"))
    if kind is PIE_PROBES:
        listed = pieprobe_version()["additionalPrinterColumns"]
        paths = (_json_path(each["jsonPath"]) for each in listed)
        return name, *(
            (each["name"], each["type"], each.get("priority", 0), path)
            for each, path in zip(listed, paths, strict=True)
        )
    if kind is EVENTS:
        name = ("Last Seen", "date", 0, _json_path(".lastTimestamp"))
    shown = [
        (title, _json_path(cell) if isinstance(cell, str) else cell) for title, cell in _COLUMNS.get(kind, ())
    ]
    columns = ((title, "date" if title.startswith("Last") else "string", 0, cell) for title, cell in shown)
    created = ("Age", "date", 0, _json_path(".metadata.creationTimestamp"))
    return (name, *columns) if kind is EVENTS else (name, *columns, created)


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


def _about(item: Json) -> str:
    return f"{str(find(item, 'involvedObject', 'kind')).lower()}/{find(item, 'involvedObject', 'name')}"


def _count(*path: str) -> Cell:
    return lambda item: len(find(item, *path) or ())


_COLUMNS: Final[dict[Kind, tuple[tuple[str, str | Cell], ...]]] = {
    NAMESPACES: (("Status", ".status.phase"),),
    NODES: (("Status", _ready), ("Version", ".status.nodeInfo.kubeletVersion")),
    PODS: (("Ready", _pod_ready), ("Status", _pod_status), ("Node", ".spec.nodeName")),
    PVCS: (
        ("Status", ".status.phase"),
        ("Volume", ".spec.volumeName"),
        ("Capacity", ".status.capacity.storage"),
        ("StorageClass", ".spec.storageClassName"),
    ),
    PVS: (
        ("Capacity", ".spec.capacity.storage"),
        ("Reclaim Policy", ".spec.persistentVolumeReclaimPolicy"),
        ("Status", ".status.phase"),
        ("Claim", ".spec.claimRef.name"),
        ("StorageClass", ".spec.storageClassName"),
    ),
    EVENTS: (("Type", ".type"), ("Reason", ".reason"), ("Object", _about), ("Message", ".message")),
    JOBS: (("Status", _job_status),),
    CRONJOBS: (
        ("Schedule", ".spec.schedule"),
        ("Suspend", ".spec.suspend"),
        ("Active", lambda item: str(len(find(item, "status", "active") or ()))),
        ("Last Schedule", ".status.lastScheduleTime"),
    ),
    STORAGE_CLASSES: (
        ("Provisioner", ".provisioner"),
        ("ReclaimPolicy", ".reclaimPolicy"),
        ("VolumeBindingMode", ".volumeBindingMode"),
    ),
    LEASES: (("Holder", ".spec.holderIdentity"),),
}
