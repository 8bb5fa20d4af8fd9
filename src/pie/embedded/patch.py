"""Merge patch and server-side apply.

Apply knows owners of fields by path, and only those who applied. A list has one owner and is replaced whole,
also where the real API server would merge it by keys.
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import to_builtins

from pie.embedded.errors import Refused
from pie.embedded.kinds import Json, find

Path = list[str]

_SERVERS: Final = ("name", "namespace", "uid", "resourceVersion", "managedFields")
_IDENTITY: Final = [["apiVersion"], ["kind"], ["metadata"], *(["metadata", key] for key in _SERVERS)]


def merge(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386) and return the result."""
    if not isinstance(patch, dict):
        return to_builtins(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


class ApplyConflict(Refused):
    """Another manager applied another value; the text has the API server's message."""

    def __init__(self, clashes: list[str]) -> None:
        count = "1 conflict" if len(clashes) == 1 else f"{len(clashes)} conflicts"
        super().__init__(409, "Conflict", f"Apply failed with {count}: {'; '.join(clashes)}")


def apply(existing: Json, wanted: Json, manager: str, subresource: str = "", *, force: bool = False) -> Json:
    """Apply `wanted` as `manager` and return the result; raises ApplyConflict.

    What the manager applied before and does not any more is removed, unless another one applied it too.
    """
    paths = [path for path in _paths(wanted) if path not in _IDENTITY]
    mine = {"manager": manager, "operation": "Apply", "subresource": subresource, "paths": paths}
    entries = to_builtins(find(existing, "metadata.managedFields") or [])
    before = [path for each in entries if _by(each) == _by(mine) for path in each["paths"]]
    others = [each for each in entries if _by(each) != _by(mine)]
    result: Json = merge(existing, wanted)
    clashes: list[str] = []
    for other in others:
        lost = [path for path in other["paths"] if find(existing, path) != find(result, path)]
        other["paths"] = [path for path in other["paths"] if path not in lost]
        clashes += [f'conflict with "{other["manager"]}": .{".".join(path)}' for path in lost]
    if clashes and not force:
        raise ApplyConflict(clashes)
    kept = [path for each in (mine, *others) for path in each["paths"]]
    for path in before:
        result = result if path in kept else _without(result, path)
    return {**result, "metadata": {**result["metadata"], "managedFields": sorted([*others, mine], key=_by)}}


def _by(entry: Json) -> tuple[str, str]:
    return entry["manager"], entry["subresource"]


def _paths(value: Json) -> Iterator[Path]:
    """Yield the paths of values that are not objects, and of empty objects."""
    for key, below in value.items():
        inner = _paths(below) if isinstance(below, dict) and below else [[]]
        yield from ([key, *path] for path in inner)


def _without(thing: Json, path: Path) -> Json:
    """Return an object without the value at a path, and without objects that become empty."""
    rest = _without(thing[path[0]], path[1:]) if path[1:] and isinstance(thing.get(path[0]), dict) else None
    return {key: value for key, value in thing.items() if key != path[0]} | ({path[0]: rest} if rest else {})
