"""What `kubectl get` shows: objects as rows of a meta.k8s.io/v1 Table.

The columns of PieProbe are the CRD's; of the other kinds there are name, age, and what `shapes.yaml` has.
https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
"""

import json
import re
from typing import Any, Final

from pie.embedded.kinds import PIE_PROBES, Json, Kind, condition, find
from pie.embedded.registry import seconds_of
from pie.embedded.schema import pieprobe_version, shapes

_ONE_OF: Final = re.compile(r"(\w+)\['([\w',]+)'\]")
_CONDITION: Final = re.compile(r'status\.conditions\[\?\(@\.type=="(\w+)"\)\]\.(\w+)')


def table(kind: Kind, items: list[Json], metadata: Json, now: float) -> Json:
    """Return a Table that carries the objects with its rows."""
    columns = [{"name": "Name", "type": "string", "format": "name", "jsonPath": "metadata.name"}]
    if kind is PIE_PROBES:
        columns += pieprobe_version()["additionalPrinterColumns"]
    else:
        own = shapes().get(kind.kind, {}).get("columns", {}).items()
        columns += [{"name": title, "type": "string", "jsonPath": path} for title, path in own]
        columns += [{"name": "Age", "type": "date", "jsonPath": "metadata.creationTimestamp"}]
    definitions = [{"format": "", "description": "", "priority": 0} | column for column in columns]
    rows = [{"cells": [_cell(each, item, now) for each in columns], "object": item} for item in items]
    about = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return {**about, "columnDefinitions": definitions, "rows": rows}


def _cell(column: Json, item: Json, now: float) -> Any:
    path = column["jsonPath"].removeprefix(".")
    if match := _CONDITION.fullmatch(path):
        value = condition(item, match[1]).get(match[2])
    elif match := _ONE_OF.fullmatch(path):
        found = (find(item, f"{match[1]}.{name}") for name in match[2].split("','"))
        value = next((each for each in found if each is not None), None)
    else:
        value = find(item, path)
    if column["type"] == "date":
        return age(now - seconds_of(value)) if value else "<none>"
    if isinstance(value, list | dict):
        return json.dumps(value, separators=(",", ":"))
    return value if column["type"] == "integer" else "" if value is None else str(value)


def age(seconds: float) -> str:
    """Return a time span as kubectl writes ages: `45s`, `3m`, `5h`, `12d`."""
    for unit, length, until in (("s", 1, 120), ("m", 60, 7200), ("h", 3600, 172800)):
        if seconds < until:
            return f"{max(0, int(seconds // length))}{unit}"
    return f"{int(seconds // 86400)}d"
