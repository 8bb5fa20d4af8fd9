"""Objects of any Struct that pie reads, with every field set; and the same with null at some places.

What Go's decoder makes of null is said here by other means than `pie.core.decode` has: a null field is as if
it were not there, a null item of a list or map is the item with nothing in it.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from msgspec import inspect

Path = tuple[str | int, ...]


def example(shape: inspect.Type) -> Any:  # noqa: C901, PLR0911  one case for each shape
    """Return JSON of this shape, every field set."""
    match shape:
        case inspect.Metadata():
            return example(shape.type)
        case inspect.UnionType():
            return example(next(each for each in shape.types if not isinstance(each, inspect.NoneType)))
        case inspect.StructType():
            return {field.encode_name: example(field.type) for field in shape.fields}
        case inspect.DictType():
            return {"k1": example(shape.value_type), "k2": example(shape.value_type)}
        case inspect.ListType() | inspect.VarTupleType():
            return [example(shape.item_type), example(shape.item_type)]
        case inspect.TupleType():
            return [example(each) for each in shape.item_types]
        case inspect.EnumType():
            return next(iter(shape.cls)).value
        case inspect.LiteralType():
            return shape.values[0]
        case inspect.DateTimeType():
            return "2026-01-01T00:00:00Z"
        case inspect.BoolType():
            return True
        case inspect.IntType() | inspect.FloatType():
            return 1
        case _:
            return "text"


def places(shape: inspect.Type, at: Path = ()) -> Iterator[tuple[Path, inspect.Type, bool]]:
    """Yield each place below the top: where it is, its shape, and whether it is a required field."""
    match shape:
        case inspect.Metadata():
            yield from places(shape.type, at)
        case inspect.UnionType():
            yield from places(
                next(each for each in shape.types if not isinstance(each, inspect.NoneType)), at
            )
        case inspect.StructType():
            for field in shape.fields:
                yield (*at, field.encode_name), field.type, field.required
                yield from places(field.type, (*at, field.encode_name))
        case inspect.DictType():
            yield (*at, "k1"), shape.value_type, False
            yield from places(shape.value_type, (*at, "k1"))
        case inspect.ListType() | inspect.VarTupleType():
            yield (*at, 0), shape.item_type, False
            yield from places(shape.item_type, (*at, 0))


def with_nulls(found: Any, at: set[Path]) -> Any:
    """Return JSON with null at these places."""
    return _with(found, dict.fromkeys(at))


def as_go_reads_it(found: Any, shapes: dict[Path, inspect.Type], at: set[Path], fields: set[Path]) -> Any:
    """Return JSON without null that says the same as `with_nulls`; `fields` can be left out."""
    changed = _with(found, {path: _zero(shapes[path]) for path in at - fields})
    for path in at & fields:
        above = _at(changed, path[:-1])
        if isinstance(above, dict):
            above.pop(path[-1], None)
    return changed


def _with(found: Any, values: dict[Path, Any]) -> Any:
    changed = deepcopy(found)
    for path in sorted(values, key=len):
        above = _at(changed, path[:-1])
        if isinstance(above, dict) or (isinstance(above, list) and above):
            above[path[-1]] = deepcopy(values[path])
    return changed


def _at(found: Any, path: Path) -> Any:
    for step in path:
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and found:
            found = found[int(step)]
        else:
            return None
    return found


def _zero(shape: inspect.Type) -> Any:
    match shape:
        case inspect.Metadata():
            return _zero(shape.type)
        case inspect.UnionType() | inspect.AnyType():
            return None
        case inspect.StructType() | inspect.DictType():
            return {}
        case inspect.ListType() | inspect.VarTupleType():
            return []
        case inspect.BoolType():
            return False
        case inspect.IntType() | inspect.FloatType():
            return 0
        case _:
            return ""
