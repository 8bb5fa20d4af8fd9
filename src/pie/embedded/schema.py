"""The schema of a custom resource: pruning, defaults, and validation in the API server's words.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pie.embedded.cel import CelError, Expression, compiled, re_of

Json = dict[str, Any]

_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}
_JSON_TYPES: Final = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
)
_BOUNDS: Final = (
    ("minimum", int.__lt__, "greater than or equal to"),
    ("maximum", int.__gt__, "less than or equal to"),
)
_ABSENT: Final = object()
_UNCHECKED: Final = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_BLOCKING: Final = re.compile(
    r"^[^ ]*: (Required value|Unsupported value|Too (long|many)|Invalid value: .* in body must be of type)"
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One of x-kubernetes-validations."""

    check: Expression
    message: str
    message_of: Expression | None
    field: str
    transition: bool

    def error(self, path: str, value: Any, old: Any) -> str | None:
        """Return what is wrong with a value, None if nothing is."""
        scope = {"self": value, **({"oldSelf": old} if self.transition else {})}
        try:
            if self.check(scope):
                return None
            words = self.message_of(scope) if self.message_of is not None else self.message
        except (CelError, KeyError, IndexError, TypeError) as error:
            words = str(error)
        found = value.get(self.field.removeprefix(".")) if self.field else value
        return f"{path}{self.field}: Invalid value: {_shown(found)}: {words}"


class Schema:
    """A node of an OpenAPI v3 structural schema."""

    def __init__(self, source: Json) -> None:
        """Read the schema; raises CelError for a rule that is not understood."""
        self._source = source
        self._type = source.get("type", "")
        self._open = bool(source.get("x-kubernetes-preserve-unknown-fields"))
        self._int_or_string = bool(source.get("x-kubernetes-int-or-string"))
        self._properties = {key: Schema(value) for key, value in source.get("properties", {}).items()}
        extra, items = source.get("additionalProperties"), source.get("items")
        self._extra = Schema(extra) if isinstance(extra, dict) else None
        self._items = Schema(items) if items is not None else None
        self._rules = [_rule(rule) for rule in source.get("x-kubernetes-validations", [])]

    def prune(self, value: Any, path: str = "") -> Iterator[str]:
        """Remove fields that the schema does not have, and yield their paths."""
        if isinstance(value, list) and self._items is not None:
            for i, item in enumerate(value):
                yield from self._items.prune(item, f"{path}[{i}]")
        if not isinstance(value, dict) or self._open:
            return
        for key in list(value):
            below = self._below(key)
            where = f"{path}.{key}".lstrip(".")
            if below is not None:
                yield from below.prune(value[key], where)
            else:
                del value[key]
                yield where

    def default(self, value: Any) -> None:
        """Fill in the defaults of fields that are not there (or null)."""
        if isinstance(value, list) and self._items is not None:
            for item in value:
                self._items.default(item)
        if not isinstance(value, dict):
            return
        for key, schema in self._properties.items():
            if value.get(key) is None and "default" in schema._source:  # noqa: SLF001  the same class
                value[key] = json.loads(json.dumps(schema._source["default"]))  # noqa: SLF001  the same class
        for key, each in value.items():
            below = self._below(key)
            if below is not None:
                below.default(each)

    def errors(self, value: Any, old: Any = _ABSENT) -> list[str]:
        """Return what is wrong; values that are as they were stored are let be (ratcheting)."""
        found = list(self._structural(value, old, ""))
        if any(_BLOCKING.match(error) for error in found):
            return [*found, _UNCHECKED] if self._has_rules() else found
        return [*found, *self._ruled(value, old, "")]

    def _below(self, key: str) -> "Schema | None":
        return self._properties.get(key, self._extra)

    def _has_rules(self) -> bool:
        below = [*self._properties.values(), self._extra, self._items]
        return bool(self._rules) or any(each._has_rules() for each in below if each)  # noqa: SLF001  the same class

    def _structural(self, value: Any, old: Any, path: str) -> Iterator[str]:
        if old is not _ABSENT and value == old:
            return
        if wrong := self._wrong_type(value):
            found = _shown(_type_of(value))
            yield f"{path}: Invalid value: {found}: {path} in body must be of type {wrong}: {found}"
            return
        for wrong in self._wrong_value(value, path):
            yield f"{path}: {wrong}"
        if isinstance(value, dict):
            for key in self._source.get("required", []):
                if key not in value:
                    yield f"{path}.{key}: Required value".lstrip(".")
        for below, each, before, where in self._children(value, old, path):
            yield from below._structural(each, before, where)  # noqa: SLF001  the same class

    def _wrong_type(self, value: Any) -> str | None:
        if self._int_or_string:
            return None if isinstance(value, (int, str)) and not isinstance(value, bool) else "integer,string"
        kind = _TYPES.get(self._type)
        if kind is None or (isinstance(value, kind) and isinstance(value, bool) <= (self._type == "boolean")):
            return None
        return str(self._type)

    def _wrong_value(self, value: Any, path: str) -> Iterator[str]:
        source, shown = self._source, _shown(value)
        if "enum" in source and value not in source["enum"]:
            listed = ", ".join(json.dumps(each) for each in source["enum"])
            yield f"Unsupported value: {shown}: supported values: {listed}"
        if isinstance(value, str):
            longest, shortest = source.get("maxLength"), source.get("minLength", 0)
            if longest is not None and len(value) > longest:
                yield f"Too long: may not be more than {longest} bytes"
            if len(value) < shortest:
                yield f"Invalid value: {shown}: {path} in body should be at least {shortest} chars long"
            if "pattern" in source and not re.search(re_of(source["pattern"]), value, re.ASCII):
                yield f"Invalid value: {shown}: {path} in body should match '{source['pattern']}'"
        if isinstance(value, int) and not isinstance(value, bool):
            for key, wrong, words in _BOUNDS:
                if key in source and wrong(value, source[key]):
                    yield f"Invalid value: {shown}: {path} in body should be {words} {source[key]}"
        limit = source.get("maxItems") if isinstance(value, list) else source.get("maxProperties")
        if limit is not None and isinstance(value, (list, dict)) and len(value) > limit:
            yield f"Too many: {len(value)}: must have at most {limit} items"

    def _ruled(self, value: Any, old: Any, path: str) -> Iterator[str]:
        unchanged = old is not _ABSENT and value == old
        for rule in self._rules:
            if (unchanged and not rule.transition) or (rule.transition and old is _ABSENT):
                continue
            if wrong := rule.error(path, value, old):
                yield wrong
        for below, each, before, where in self._children(value, old, path):
            yield from below._ruled(each, before, where)  # noqa: SLF001  the same class

    def _children(self, value: Any, old: Any, path: str) -> Iterator[tuple["Schema", Any, Any, str]]:
        if isinstance(value, list) and self._items is not None:
            for i, item in enumerate(value):
                yield self._items, item, _ABSENT, f"{path}[{i}]"
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for key, each in value.items():
                below = self._below(key)
                if below is not None:
                    named = f"{path}.{key}".lstrip(".") if key in self._properties else f"{path}[{key}]"
                    yield below, each, before.get(key, _ABSENT), named


def _rule(source: Json) -> _Rule:
    words = source.get("messageExpression")
    return _Rule(
        check=compiled(source["rule"]),
        message=source.get("message", "").strip(),
        message_of=compiled(words) if words else None,
        field=source.get("fieldPath", ""),
        transition="oldSelf" in source["rule"],
    )


def _type_of(value: Any) -> str:
    return next(
        (name for kind, name in _JSON_TYPES if isinstance(value, kind)), "null" if value is None else "object"
    )


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
