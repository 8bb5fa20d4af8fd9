"""What changed between two values, in a small form that msgspec can encode.

A delta is a list. Its first item says how to read the other items. A delta is applied to decoded, untyped
values (dicts and lists), so no types are needed to read one.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from pie.core.wire import Pod

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
"""Encoded deltas of pods, by the identities of both values."""
_How = Callable[[Any, Any, Shared | None], Any]

_NONE: Final = object()

_encode: Final = msgspec.msgpack.Encoder().encode


def delta(before: Any, after: Any, shared: Shared | None = None) -> Delta | None:
    """Return what turns one value into the other; None: they are equal.

    Parts that are the same object, as most parts of frozen values are, are not visited. With `shared`, each
    pair of pods is compared and encoded once: a state and its facts share them. It is of use while the values
    live.
    """
    return None if after is before else _of(before, after, shared)


def _of(before: Any, after: Any, shared: Shared | None) -> Any:
    kind: Any = type(after)
    how = _how(kind)
    if how is None or type(before) is not kind:
        return None if before == after else [WHOLE, after]
    return how(before, after, shared)


@cache
def _how(kind: Any) -> _How | None:
    """Return how values of a type are compared; None: as a whole."""
    if (fields := _fields(kind)) is None:
        return {dict: _of_keys, tuple: _of_items}.get(kind)
    of_fields = _of_fields(kind, fields)
    if not issubclass(kind, msgspec.Struct):
        return of_fields

    def of_struct(before: Any, after: Any, shared: Shared | None) -> Any:
        if before == after:
            return None
        if shared is None or kind is not Pod:
            return of_fields(before, after, shared)
        pair = id(before), id(after)
        if pair not in shared:
            shared[pair] = msgspec.Raw(_encode(of_fields(before, after, None)))
        return shared[pair]

    return of_struct


def _of_fields(kind: Any, fields: Mapping[str, str]) -> _How:
    """Return a function that compares the fields of two values, compiled as dataclasses compile theirs.

    A step has a hundred fields to compare, and a loop over their names takes three times as long.
    """
    hints = get_type_hints(kind)
    lines = ["def of_fields(before, after, shared):", " changed = {}"]
    for name, wire in fields.items():
        kinds = list(_kinds(hints[name]))
        # To compare dataclasses is not done in C: they are visited once, and nothing is asked before.
        differ = "" if any(map(dataclasses.is_dataclass, kinds)) else "and now != was"
        if any(each in {dict, tuple, Mapping} or _fields(each) for each in kinds):
            change = "(change := of(was, now, shared))"
        else:
            change = f"(change := [{WHOLE}, now])"
        lines.append(f" was = before.{name}; now = after.{name}")
        lines.append(f" if now is not was {differ} and {change}: changed[{wire!r}] = change")
    lines.append(f" return [{FIELDS}, changed] if changed else None")
    scope: dict[str, Any] = {"of": _of}
    exec("\n".join(lines), scope)  # noqa: S102  of names of fields alone
    return cast(_How, scope["of_fields"])


def _kinds(hint: Any) -> Iterator[Any]:
    """Yield the types that a type hint names."""
    if isinstance(hint, type) and not get_args(hint):
        yield hint
    elif (origin := get_origin(hint)) is not Literal:
        yield from () if origin in {None, Union, UnionType} else (origin,)
        for each in get_args(hint):
            yield from _kinds(each)


def _of_items(before: Any, after: Any, shared: Shared | None) -> Delta | None:
    if len(before) != len(after):
        return [WHOLE, after]
    changed = {
        at: change
        for at, (was, now) in enumerate(zip(before, after, strict=True))
        if now is not was and (change := _of(was, now, shared))
    }
    return [ITEMS, changed] if changed else None


def _of_keys(before: Mapping[Any, Any], after: Mapping[Any, Any], shared: Shared | None) -> Delta | None:
    changed = {
        key: change
        for key, now in after.items()
        if now is not (was := before.get(key, _NONE)) and (change := _of(was, now, shared))
    }
    if not changed and len(before) == len(after):
        return None
    keys = list(after)
    return [KEYS, changed, None if keys == list(before) else keys]


@cache
def _fields(kind: Any) -> Mapping[str, str] | None:
    """Return the fields of a dataclass or a Struct: their names, and those on the wire."""
    if dataclasses.is_dataclass(kind):
        return {field.name: field.name for field in dataclasses.fields(kind)}
    if issubclass(kind, msgspec.Struct):
        return {each.name: each.encode_name for each in msgspec.structs.fields(kind)}
    return None


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
        for name, wire in (_fields(cast(Any, type(after))) or {}).items():
            was, now = getattr(before, name), getattr(after, name)
            yield from _changes(inner.get(wire), was, now, f"{path}.{wire}" if path else wire)
