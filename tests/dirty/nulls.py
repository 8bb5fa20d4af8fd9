"""Objects as some API servers and clients write them: null where nothing is."""

from typing import Any

_EMPTY: dict[str, tuple[str, ...]] = {
    "metadata": (
        "labels",
        "annotations",
        "ownerReferences",
        "managedFields",
        "finalizers",
        "deletionTimestamp",
    ),
    "spec": ("taints", "tolerations", "unschedulable", "volumeName", "drivers"),
    "status": (
        "conditions",
        "containerStatuses",
        "initContainerStatuses",
        "active",
        "startTime",
        "reason",
        "message",
        "lastScheduleTime",
        "incidents",
        "phase",
    ),
}


def with_nulls(item: dict[str, Any]) -> dict[str, Any]:
    """Return an object, or a list of some, with null for each of these fields that is missing or empty."""
    if "items" in item:
        return {**item, "items": [with_nulls(each) for each in item["items"]]}
    found = dict(item)
    for part, names in _EMPTY.items():
        if isinstance(inside := item.get(part), dict):
            found[part] = {**inside, **{name: None for name in names if not inside.get(name)}}
    return found
