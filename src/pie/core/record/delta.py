"""What changed between two values, in a small form that msgspec can encode.

A delta is a list. Its first item says how to read the other items. A delta is applied to decoded, untyped
values (dicts and lists), so no types are needed to read one.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, Final

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
Shared = dict[tuple[int, int], Any]
"""Encoded deltas of Structs, by the identities of both values."""
_How = Callable[[Any, Any, Shared | None], Any]

_PLAIN: Final = frozenset({bool, int, float, str, type(None)})
"""Types of which most changed values are; they have no parts."""

_encode: Final = msgspec.msgpack.Encoder().encode


def delta(before: Any, after: Any, shared: Shared | None = None) -> Delta | None:
    """Return what turns one value into the other; None: they are equal.

    With `shared`, each pair of Structs is compared and encoded once: a state and its facts share their
    pods. It is of use while the values live.
    """
    return None if after is before or after == before else _of(before, after, shared)


def _of(before: Any, after: Any, shared: Shared | None) -> Any:
    """Return what turns a value into another one. Most fields of most values are the same objects."""
    kind: Any = type(after)
    how = _how(kind)
    return [WHOLE, after] if how is None or type(before) is not kind else how(before, after, shared)


def _changed(
    names: Iterable[Any], before: Iterable[Any], after: Iterable[Any], shared: Shared | None
) -> dict[Any, Delta]:
    changed = {}
    for name, was, now in zip(names, before, after, strict=True):
        if now is not was and now != was:
            changed[name] = [WHOLE, now] if type(now) in _PLAIN else _of(was, now, shared)
    return changed


@cache
def _how(kind: Any) -> _How | None:
    """Return how values of a type are compared; None: as a whole."""
    if (fields := _fields(kind)) is None:
        return {dict: _of_keys, tuple: _of_items}.get(kind)
    names, values = fields

    def of_fields(before: Any, after: Any, shared: Shared | None) -> Delta:
        return [FIELDS, _changed(names, values(before), values(after), shared)]

    def of_struct(before: Any, after: Any, shared: Shared | None) -> Any:
        if shared is None:
            return of_fields(before, after, None)
        pair = id(before), id(after)
        if pair not in shared:
            shared[pair] = msgspec.Raw(_encode(of_fields(before, after, None)))
        return shared[pair]

    return of_struct if issubclass(kind, msgspec.Struct) else of_fields


def _of_items(before: Any, after: Any, shared: Shared | None) -> Delta:
    if len(before) != len(after):
        return [WHOLE, after]
    return [ITEMS, _changed(range(len(after)), before, after, shared)]


def _of_keys(before: Mapping[Any, Any], after: Mapping[Any, Any], shared: Shared | None) -> Delta:
    changed = {
        key: _of(before[key], value, shared) if key in before else [WHOLE, value]
        for key, value in after.items()
        if key not in before or (value is not before[key] and value != before[key])
    }
    keys = list(after)
    return [KEYS, changed, None if keys == list(before) else keys]


@cache
def _fields(kind: Any) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]] | None:
    """Return the names on the wire of a dataclass's or a Struct's fields, and what reads all of them."""
    if dataclasses.is_dataclass(kind):
        names = tuple(field.name for field in dataclasses.fields(kind))
        return names, _reading(names)
    if issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return tuple(each.encode_name for each in fields), _reading(tuple(each.name for each in fields))
    return None


def _reading(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


def patched(tree: Any, change: Delta) -> Any:
    """Return an untyped value with a decoded delta applied; the value itself stays as it is.

    A field that is missing in `tree` has its default: Structs omit defaults. Raises ValueError.
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


def _changes(change: Delta | None, before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if change is None:
        return
    how, inner = change[0], change[1]
    if how == WHOLE:
        yield path, before, after
    elif how == KEYS:
        yield from ((f"{path}[{key}]", before[key], None) for key in before if key not in after)
        for key, each in inner.items():
            yield from _changes(each, before.get(key), after[key], f"{path}[{key}]")
    elif how == ITEMS:
        for index, each in inner.items():
            yield from _changes(each, before[index], after[index], f"{path}[{index}]")
    else:
        for name, was, now in _both(before, after):
            yield from _changes(inner.get(name), was, now, f"{path}.{name}" if path else name)


def _both(before: Any, after: Any) -> Iterable[tuple[str, Any, Any]]:
    kind: Any = type(after)
    fields = _fields(kind)
    if fields is None:
        return ()
    names, values = fields
    return zip(names, values(before), values(after), strict=True)
