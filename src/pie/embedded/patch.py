"""Merge patch and server-side apply.

Apply knows owners of fields by path, and only those who applied. A list has one owner and is replaced whole,
also where the real API server would merge it by keys.
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Iterator
from typing import Any, Final

from pie.embedded.kinds import Json, find

Path = tuple[str, ...]

_IDENTITY: Final = {"name", "namespace", "uid", "resourceVersion", "managedFields"}


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


class ApplyConflict(Exception):  # noqa: N818  it is answered, not an error of this process
    """Somebody else applied another value; the text says who and where, in the API server's words."""

    def __init__(self, clashes: list[str]) -> None:
        count = "1 conflict" if len(clashes) == 1 else f"{len(clashes)} conflicts"
        super().__init__(f"Apply failed with {count}: {'; '.join(clashes)}")


def apply(existing: Json, wanted: Json, manager: str, subresource: str = "", *, force: bool = False) -> Json:
    """Apply `wanted` as `manager` and return the result; raises ApplyConflict.

    What the manager applied before and does not any more is removed, unless another one applied it too.
    """
    owned = {key: value for key, value in wanted.items() if key not in {"apiVersion", "kind", "metadata"}}
    metadata = {key: value for key, value in wanted.get("metadata", {}).items() if key not in _IDENTITY}
    mine = {"manager": manager, "operation": "Apply", "apiVersion": wanted.get("apiVersion", "")}
    mine |= {"subresource": subresource} if subresource else {}
    mine |= {
        "fieldsType": "FieldsV1",
        "fieldsV1": _fields({**owned, "metadata": metadata} if metadata else owned),
    }
    entries = copied(find(existing, "metadata.managedFields") or [])
    before = [each for each in entries if _by(each) == _by(mine)]
    others = [each for each in entries if _by(each) != _by(mine)]
    result: Json = merge(existing, wanted)
    clashes: list[str] = []
    for other in others:
        for path in [*_paths(other["fieldsV1"])]:
            if _at(existing, path) != _at(result, path):
                clashes.append(f'conflict with "{other["manager"]}": .{".".join(path)}')
                other["fieldsV1"] = _without(other["fieldsV1"], tuple(f"f:{key}" for key in path))
    if clashes and not force:
        raise ApplyConflict(clashes)
    kept = {path for each in [mine, *others] for path in _paths(each["fieldsV1"])}
    for path in [path for each in before for path in _paths(each["fieldsV1"]) if path not in kept]:
        result = _without(result, path)
    return {**result, "metadata": {**result["metadata"], "managedFields": sorted([*others, mine], key=_by)}}


def _by(entry: Json) -> tuple[str, str]:
    return entry["manager"], entry.get("subresource", "")


def _fields(value: Any) -> Json:
    """Return the keys of an object as FieldsV1 has them; an empty one stands for all that is below it."""
    return {f"f:{key}": _fields(each) for key, each in value.items()} if isinstance(value, dict) else {}


def _paths(fields: Json, path: Path = ()) -> Iterator[Path]:
    for key, below in fields.items():
        here = (*path, key.removeprefix("f:"))
        yield from _paths(below, here) if below else [here]


def _at(thing: Any, path: Path) -> Any:
    for key in path:
        thing = thing.get(key) if isinstance(thing, dict) else None
    return thing


def _without(thing: Json, path: Path) -> Json:
    """Return an object without what is at a path, and without what that leaves empty."""
    below = thing.get(path[0])
    rest = _without(below, path[1:]) if path[1:] and isinstance(below, dict) else None
    return {key: value for key, value in thing.items() if key != path[0]} | ({path[0]: rest} if rest else {})
