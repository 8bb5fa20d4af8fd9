"""Patches: JSON merge patch, strategic merge patch, and server-side apply, as far as they are needed.

Server-side apply here knows owners of fields by the path of the field, and only those who applied. A list has
one owner and is replaced whole, also where the real API server would merge it by keys.
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Iterator
from typing import Any

from pie.embedded.kinds import find

Json = dict[str, Any]
Path = tuple[str, ...]

_MERGE_KEYS = {
    "containers": "name",
    "volumes": "name",
    "env": "name",
    "conditions": "type",
    "taints": "key",
    "ownerReferences": "uid",
    "volumeMounts": "mountPath",
}
"""Lists that a strategic merge patch merges, by the field that identifies their items."""


def copied(value: Any) -> Any:
    """Return a deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: copied(each) for key, each in value.items()}
    return [copied(each) for each in value] if isinstance(value, list) else value


def merge(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386) and return the result."""
    if not isinstance(patch, dict):
        return copied(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def strategic_merge(target: Any, patch: Any) -> Any:
    """Apply a strategic merge patch: as `merge`, but well-known lists are merged by their key."""
    if not isinstance(patch, dict):
        return copied(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        merge_key = _MERGE_KEYS.get(key)
        if key.startswith("$"):
            continue
        if value is None:
            result.pop(key, None)
        elif key == "finalizers" or key.startswith("$deleteFromPrimitiveList/"):
            result[key] = [*result.get(key, []), *(each for each in value if each not in result.get(key, []))]
        elif merge_key is not None and isinstance(value, list):
            result[key] = _merge_list(result.get(key) or [], value, merge_key)
        else:
            result[key] = strategic_merge(result.get(key), value)
    return result


def _merge_list(target: list[Any], patch: list[Any], merge_key: str) -> list[Any]:
    if any(item.get("$patch") == "replace" for item in patch):
        return [copied(item) for item in patch if "$patch" not in item]
    result = list(target)
    for item in patch:
        place = next((i for i, old in enumerate(result) if old.get(merge_key) == item.get(merge_key)), None)
        if item.get("$patch") == "delete":
            result = [old for old in result if old.get(merge_key) != item.get(merge_key)]
        elif place is None:
            result.append(copied(item))
        else:
            result[place] = strategic_merge(result[place], item)
    return result


class ApplyConflict(Exception):  # noqa: N818  it is answered, not an error of this process
    """Somebody else applied another value; `fields` says who and where."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        count = "1 conflict" if len(fields) == 1 else f"{len(fields)} conflicts"
        words = "; ".join(f'conflict with "{manager}": {path}' for manager, path in fields)
        super().__init__(f"Apply failed with {count}: {words}")
        self.fields = fields


def apply(existing: Json, wanted: Json, manager: str, subresource: str, time: str, *, force: bool) -> Json:
    """Apply `wanted` as `manager` and return the result; raises ApplyConflict.

    What the manager applied before and does not any more is removed, unless another one applied it too.
    """
    new = set(_leaves(_owned(wanted)))
    entries = [dict(entry) for entry in find(existing, "metadata", "managedFields") or []]
    mine = _entry(entries, manager, subresource)
    before = set(_paths(mine["fieldsV1"])) if mine else set()
    others = [entry for entry in entries if entry is not mine]
    clashes: list[tuple[str, str]] = []
    for other in others:
        lost = {path for path in _paths(other["fieldsV1"]) if _changed(path, new, existing, wanted)}
        clashes += [(other["manager"], "." + ".".join(path)) for path in sorted(lost)]
        if force and lost:
            other["fieldsV1"] = _tree(set(_paths(other["fieldsV1"])) - lost)
    if clashes and not force:
        raise ApplyConflict(clashes)
    result: Json = merge(existing, wanted)
    kept = {path for other in others for path in _paths(other["fieldsV1"])}
    for path in before - new - kept:
        _remove(result, path)
    entry = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": wanted.get("apiVersion", ""),
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": _tree(new),
    }
    if subresource:
        entry["subresource"] = subresource
    if mine and mine["fieldsV1"] == entry["fieldsV1"]:
        entry["time"] = mine["time"]
    managed = sorted([*others, entry], key=lambda each: str(each["manager"]))
    result["metadata"] = {**result["metadata"], "managedFields": managed}
    return result


def _owned(wanted: Json) -> Json:
    """Return what can be owned: not the identity of the object."""
    identity = {"name", "namespace", "uid", "resourceVersion", "managedFields", "generation"}
    metadata = {key: value for key, value in wanted.get("metadata", {}).items() if key not in identity}
    rest = {key: value for key, value in wanted.items() if key not in {"apiVersion", "kind", "metadata"}}
    return {**rest, **({"metadata": metadata} if metadata else {})}


def _entry(entries: list[Json], manager: str, subresource: str) -> Json | None:
    for entry in entries:
        if entry["manager"] == manager and entry.get("subresource", "") == subresource:
            return entry
    return None


def _leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, (*path, key))
    elif path:
        yield path


def _paths(fields: Json, path: Path = ()) -> Iterator[Path]:
    for key, below in fields.items():
        here = (*path, key.removeprefix("f:"))
        if below:
            yield from _paths(below, here)
        else:
            yield here


def _tree(paths: set[Path]) -> Json:
    tree: Json = {}
    for path in sorted(paths):
        node = tree
        for key in path:
            node = node.setdefault(f"f:{key}", {})
    return tree


def _changed(path: Path, new: set[Path], existing: Json, wanted: Json) -> bool:
    overlaps = any(path[: len(mine)] == mine or mine[: len(path)] == path for mine in new)
    return overlaps and find(existing, *path) != find(wanted, *path)


def _remove(thing: Json, path: Path) -> None:
    *parents, last = path
    for key in parents:
        if not isinstance(thing.get(key), dict):
            return
        thing[key] = dict(thing[key])
        thing = thing[key]
    thing.pop(last, None)
