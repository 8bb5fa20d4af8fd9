"""The CRD of PieProbe, the very file that a real cluster gets: its fields, defaults and rules.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from msgspec import to_builtins

from pie.core.wire import parse_seconds
from pie.core.yamltext import read_yaml
from pie.embedded import cel
from pie.embedded.kinds import Json
from pie.packaged import pieprobe_crd

_ABSENT: Final = object()
_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
_RULES: Final = "x-kubernetes-validations"


@lru_cache(maxsize=1)
def shapes() -> dict[str, Json]:
    """Return the shapes of objects, by kind, as far as they are needed. `Any` is for every kind."""
    found: dict[str, Json] = read_yaml((files("pie.embedded") / "shapes.yaml").read_text())
    return found


def pieprobe_version() -> Json:
    """Return the served version of the CRD, with its schema and printer columns."""
    versions: list[Json] = pieprobe_crd()["spec"]["versions"]
    return versions[0]


@lru_cache(maxsize=1)
def pieprobe_schema() -> Json:
    """Return the schema of PieProbe; raises CelError for an unsupported rule."""
    schema: Json = to_builtins(pieprobe_version()["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    _compile_rules(schema)
    return schema


def _compile_rules(schema: Json) -> None:
    for rule in schema.get(_RULES, []):
        rule["transition"] = "oldSelf" in rule["rule"]
        for key in {"rule", "messageExpression"} & rule.keys():
            rule[key] = cel.compiled(rule[key])
    inner = (schema[key] for key in ("items", "additionalProperties") if key in schema)
    for below in (*schema.get("properties", {}).values(), *inner):
        _compile_rules(below)


def prune(schema: Json, value: Any, path: str = "") -> Iterator[str]:
    """Remove fields that the schema does not have, and yield their paths."""
    known = {key for _, key, _, _ in _children(schema, value, path)}
    if isinstance(value, dict) and "x-kubernetes-preserve-unknown-fields" not in schema:
        for key in value.keys() - known:
            del value[key]
            yield f"{path}.{key}".lstrip(".")
    for below, _, each, where in _children(schema, value, path):
        yield from prune(below, each, where)


def default(schema: Json, value: Any) -> None:
    """Fill in the defaults of fields that are not there (or null)."""
    for key, below in schema.get("properties", {}).items() if isinstance(value, dict) else ():
        if "default" in below and value.get(key) is None:
            value[key] = to_builtins(below["default"])
    for below, _, each, _ in _children(schema, value, ""):
        default(below, each)


def errors(schema: Json, value: Json, old: Json | None = None) -> list[str]:
    """Return the errors of an object; the rules are evaluated only if its shape is right."""
    before = _ABSENT if old is None else old
    return [*_misshapen(schema, value, "")] or [*_against_rules(schema, value, before, "")]


def _children(schema: Json, value: Any, path: str) -> Iterator[tuple[Json, Any, Any, str]]:
    """Yield what lies below a value and has a schema: its schema, key, value and path."""
    if isinstance(value, list) and "items" in schema:
        for i, each in enumerate(value):
            yield schema["items"], i, each, f"{path}[{i}]"
    for key, each in list(value.items()) if isinstance(value, dict) else ():
        if key in schema.get("properties", {}):
            yield schema["properties"][key], key, each, f"{path}.{key}".lstrip(".")
        elif "additionalProperties" in schema:
            yield schema["additionalProperties"], key, each, f"{path}[{key}]"


def _misshapen(schema: Json, value: Any, path: str) -> Iterator[str]:
    """Yield the errors of types and enums, and what `_beyond` finds."""
    found = _TYPES.get(type(value), "null")
    wanted = ["integer", "string"] if schema.get("x-kubernetes-int-or-string") else [schema["type"]]
    if found not in wanted:
        words = f"{path} in body must be of type {','.join(wanted)}"
        yield f'{path}: Invalid value: "{found}": {words}: "{found}"'
        return
    if "enum" in schema and value not in schema["enum"]:
        listed = ", ".join(json.dumps(each) for each in schema["enum"])
        yield f"{path}: Unsupported value: {_shown(value)}: supported values: {listed}"
    yield from _beyond(schema, value, path, found)
    for key in schema.get("required", []):
        if key not in value:
            yield f"{path}.{key}: Required value".lstrip(".")
    for below, _, each, where in _children(schema, value, path):
        yield from _misshapen(below, each, where)


def _beyond(schema: Json, value: Any, path: str, found: str) -> Iterator[str]:
    """Yield the errors of patterns and limits, and of times that are none."""
    if found == "integer" and value < schema.get("minimum", value):
        yield _invalid(path, value, f"should be greater than or equal to {schema['minimum']}")
    if found == "integer" and value > schema.get("maximum", value):
        yield _invalid(path, value, f"should be less than or equal to {schema['maximum']}")
    if found == "string" and "pattern" in schema and not cel.matches(value, schema["pattern"]):
        yield _invalid(path, value, f"should match '{schema['pattern']}'")
    if found == "string" and schema.get("format") == "date-time" and parse_seconds(value) is None:
        yield _invalid(path, value, "must be of type date-time")
    if found == "array" and len(value) < schema.get("minItems", 0):
        yield f"{path}: Required value"
    for limit in schema.keys() & {"maxLength", "maxItems", "maxProperties"}:
        if found != "integer" and len(value) > schema[limit]:
            yield f"{path}: Too {'long' if found == 'string' else 'many'}: must have at most {schema[limit]}"


def _invalid(path: str, value: Any, why: str) -> str:
    return f"{path}: Invalid value: {_shown(value)}: {path} in body {why}"


def _against_rules(schema: Json, value: Any, old: Any, path: str) -> Iterator[str]:
    """Yield the errors of x-kubernetes-validations for a value."""
    for rule in schema.get(_RULES, []):
        if rule["transition"] and old is _ABSENT:
            continue
        scope = {"self": value, "oldSelf": old}
        try:
            if rule["rule"](scope):
                continue
            words = rule["messageExpression"](scope) if "messageExpression" in rule else rule["message"]
        except (cel.CelError, LookupError, TypeError) as error:
            words = f"rule evaluation error: {error}"
        field = rule.get("fieldPath", "")
        found = value.get(field.removeprefix(".")) if field else value
        missing = rule.get("reason") == "FieldValueRequired"
        said = "Required value" if missing else f"Invalid value: {_shown(found)}"
        yield f"{path}{field}: {said}: {words.strip()}"
    for below, key, each, where in _children(schema, value, path):
        before = old.get(key, _ABSENT) if isinstance(old, dict) else _ABSENT
        yield from _against_rules(below, each, before, where)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
