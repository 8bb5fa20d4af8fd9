"""What changed between two values: small, and of plain parts that msgspec encodes.

A delta is a list whose first item says how the rest is read. A delta is applied to decoded, untyped values
(dicts and lists), so no types are needed to read one.
"""

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, cast

import msgspec

WHOLE: Final = 0
"""[WHOLE, value]: another value."""
FIELDS: Final = 1
"""[FIELDS, {name: delta}]: other fields of a dataclass or a Struct."""
KEYS: Final = 2
"""[KEYS, {key: delta}, keys]: other values of a mapping; `keys` are all of them in order, None: as before."""
ITEMS: Final = 3
"""[ITEMS, {index: delta}]: other items of a tuple as long as before."""

Delta = list[Any]


def delta(before: Any, after: Any) -> Delta | None:
    """Return what turns one value into the other; None: they are equal."""
    if after is before or after == before:
        return None
    kind = type(after)
    if type(before) is not kind:
        return [WHOLE, after]
    if names := _fields(cast(Any, kind)):
        changed = (
            (name, delta(getattr(before, attribute), getattr(after, attribute))) for attribute, name in names
        )
        return [FIELDS, {name: found for name, found in changed if found is not None}]
    if isinstance(after, Mapping):
        return _of_keys(before, after)
    if kind is tuple and len(before) == len(after):
        items = (delta(*pair) for pair in zip(before, after, strict=True))
        return [ITEMS, {index: found for index, found in enumerate(items) if found is not None}]
    return [WHOLE, after]


def _of_keys(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Delta:
    changed = {
        key: found
        for key, value in after.items()
        if (found := delta(before[key], value) if key in before else [WHOLE, value]) is not None
    }
    keys = list(after)
    return [KEYS, changed, None if keys == list(before) else keys]


@cache
def _fields(kind: Any) -> tuple[tuple[str, str], ...]:
    """Return the fields of a dataclass or a Struct, each with its name on the wire."""
    if dataclasses.is_dataclass(kind):
        return tuple((field.name, field.name) for field in dataclasses.fields(kind))
    if issubclass(kind, msgspec.Struct):
        return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(kind))
    return ()


def patched(tree: Any, change: Delta) -> Any:
    """Return an untyped value with a decoded delta applied; the value itself stays as it is.

    What is missing in `tree` has the default of its type, as Structs leave it out. Raises ValueError.
    """
    match change:
        case [0, value]:
            return value
        case [1, dict(changes)]:
            return _with_keys(tree, changes)
        case [2, dict(changes), keys]:
            found = _with_keys(tree, changes)
            return found if keys is None else {key: found[key] for key in keys}
        case [3, dict(changes)]:
            items = list(tree)
            for index, each in changes.items():
                items[index] = patched(items[index], each)
            return items
        case _:
            raise ValueError("not a delta")


def _with_keys(tree: Any, changes: dict[Any, Delta]) -> dict[Any, Any]:
    found = dict(tree or {})
    for key, each in changes.items():
        found[key] = patched(found.get(key), each)
    return found


def changes(before: Any, after: Any) -> list[tuple[str, Any, Any]]:
    """Return where two values differ: the path to each difference, and both values there."""
    return list(_changes(delta(before, after), before, after, ""))


def _changes(change: Delta | None, before: Any, after: Any, path: str) -> Any:
    if change is None:
        return
    how, inner = change[0], change[1]
    if how == WHOLE:
        yield path, before, after
    elif how == FIELDS:
        names = {name: attribute for attribute, name in _fields(cast(Any, type(after)))}
        for name, each in inner.items():
            was, now = getattr(before, names[name]), getattr(after, names[name])
            yield from _changes(each, was, now, f"{path}.{names[name]}".lstrip("."))
    elif how == KEYS:
        for key in [key for key in before if key not in after]:
            yield f"{path}[{key}]", before[key], None
        for key, each in inner.items():
            yield from _changes(each, before.get(key), after[key], f"{path}[{key}]")
    else:
        for index, each in inner.items():
            yield from _changes(each, before[index], after[index], f"{path}[{index}]")
