"""JSON from outside to typed Structs, as Go reads it: null is the same as nothing.

Only this module decodes what others wrote. msgspec decodes clean input at once. If it refuses the input, it
is decoded again without types and corrected: a null field counts as missing, a null item of a list or of a
map becomes the zero of its type, bytes that are not UTF-8 become U+FFFD, and a field of type `PlainText`
becomes one clean line. If that does not fit either, it is `Unreadable`.
"""

# ruff: noqa: TID251  all others come here

from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from pie.core.text import MOST_CHARACTERS, PLAIN, one_line

T = TypeVar("T")

_REFUSALS = (msgspec.DecodeError, UnicodeError, RecursionError)


class Unreadable(ValueError):  # noqa: N818  says what it is
    """What came from outside is not JSON, or not of the wanted type; says why, on one bounded line."""

    def __init__(self, reason: object) -> None:
        super().__init__(one_line(str(reason)))


def decode(body: bytes | str, kind: type[T]) -> T:
    """Return JSON as this type. Raises Unreadable."""
    try:
        return msgspec.json.decode(body, type=kind)
    except _REFUSALS as error:
        return _shaped(untyped(body, error), kind)


def decode_clean(body: bytes, kind: type[T]) -> T:
    """Return clean JSON as this type; for callers that look again in their own way. Raises Unreadable."""
    try:
        return msgspec.json.decode(body, type=kind)
    except _REFUSALS as error:
        raise Unreadable(error) from error


def convert(found: Any, kind: type[T]) -> T:
    """Return untyped JSON, or YAML, as this type. Raises Unreadable."""
    try:
        return msgspec.convert(found, kind)
    except _REFUSALS:
        return _shaped(found, kind)


def untyped(body: bytes | str, refusal: Exception | None = None) -> Any:
    """Return JSON without types, invalid UTF-8 replaced. Raises Unreadable, with the words of `refusal`."""
    text = body if isinstance(body, str) else body.decode(errors="replace")
    try:
        import json  # noqa: PLC0415  a probe pod reads clean texts, and starts faster without it

        found = json.loads(text, parse_constant=_no_number)
        if r"\ud" in text.lower():  # half of a pair of surrogates is no text
            whole = json.dumps(found, ensure_ascii=False).encode("utf-16", "surrogatepass")
            found = json.loads(whole.decode("utf-16", "replace"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(refusal or error) from error
    return found


def _shaped(found: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(_as_go_has_it(found, _shape(cast(Hashable, kind))), kind)
    except _REFUSALS as error:
        raise Unreadable(error) from error


def without_nulls(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return free JSON without the fields that are null, at any depth."""
    return {name: _without_nulls(value) for name, value in found.items() if value is not None}


def _without_nulls(found: Any) -> Any:
    if isinstance(found, dict):
        return without_nulls(found)
    return [_without_nulls(item) for item in found] if isinstance(found, list) else found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


@cache
def _shape(kind: Hashable) -> inspect.Type:
    return inspect.type_info(kind)


def _as_go_has_it(found: Any, shape: inspect.Type) -> Any:
    """Return untyped JSON with what Go puts where null stands."""
    match shape:
        case inspect.Metadata():
            return _as_go_has_it(found, shape.type)
        case inspect.UnionType():
            for member in shape.types if found is not None else ():
                found = _as_go_has_it(found, member)
            return found
        case inspect.StructType() if isinstance(found, dict):
            types = {field.encode_name: field.type for field in shape.fields}
            return {
                name: _as_go_has_it(value, types[name]) if name in types else value
                for name, value in found.items()
                if value is not None or (name in types and _takes_null(types[name]))
            }
        case inspect.DictType() if isinstance(found, dict):
            return {key: _item(value, shape.value_type) for key, value in found.items()}
        case inspect.ListType() | inspect.VarTupleType() if isinstance(found, list):
            return [_item(value, shape.item_type) for value in found]
        case inspect.TupleType() if isinstance(found, list):
            return [_item(value, each) for value, each in zip(found, shape.item_types, strict=False)]
        case inspect.StrType() if isinstance(found, str) and shape.pattern == PLAIN:
            return one_line(found, shape.max_length or MOST_CHARACTERS)
        case _:
            return found


def _takes_null(shape: inspect.Type) -> bool:
    return isinstance(shape, inspect.AnyType | inspect.NoneType) or (
        isinstance(shape, inspect.UnionType) and any(map(_takes_null, shape.types))
    )


def _item(found: Any, shape: inspect.Type) -> Any:
    """Return an item of a list or of a map, which null does not leave out: it is the zero of its type."""
    if found is None and not _takes_null(shape):
        found = next((zero for kinds, zero in _ZEROS if isinstance(shape, kinds)), None)
    return _as_go_has_it(found, shape)


_ZEROS: tuple[tuple[Any, Any], ...] = (
    (inspect.StrType, ""),
    (inspect.BoolType, False),
    (inspect.IntType | inspect.FloatType, 0),
    (inspect.ListType | inspect.VarTupleType, []),
    (inspect.StructType | inspect.DictType, {}),
)
