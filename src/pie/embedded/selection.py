"""Label and field selectors, as they stand in a query.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import re
from collections.abc import Callable
from typing import Any

from pie.embedded.errors import bad_request
from pie.embedded.kinds import find

Json = dict[str, Any]
Matches = Callable[[Json], bool]

_REQUIREMENT = re.compile(
    r"\s*(?:(?P<absent>!)\s*)?(?P<key>[A-Za-z0-9./_-]+)\s*"
    r"(?:(?P<operator>==?|!=)\s*(?P<value>[^,\s]*)|(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?\s*(?:,|$)"
)


def selector(labels: str | None, fields: str | None) -> Matches:
    """Return a test for the objects that both selectors match; raises Refused for what is none."""
    checks = [*_label_checks(labels or ""), *_field_checks(fields or "")]
    return lambda item: all(check(item) for check in checks)


def _label_checks(text: str) -> list[Matches]:
    checks: list[Matches] = []
    position = 0
    while position < len(text):
        match = _REQUIREMENT.match(text, position)
        if match is None:
            raise bad_request(f"unable to parse requirement: {text[position:]!r}")
        position = match.end()
        checks.append(_label_check(match))
    return checks


def _label_check(match: re.Match[str]) -> Matches:
    key = match["key"]

    def value(item: Json) -> Any:
        return (find(item, "metadata", "labels") or {}).get(key)

    if match["absent"]:
        return lambda item: value(item) is None
    if match["set"] or match["operator"]:
        many = match["values"] if match["set"] else match["value"]
        wanted = {part.strip() for part in many.split(",")}
        if match["set"] == "notin" or match["operator"] == "!=":
            return lambda item: value(item) not in wanted
        return lambda item: value(item) in wanted
    return lambda item: value(item) is not None


def _field_checks(text: str) -> list[Matches]:
    return [_field_check(part) for part in text.split(",") if part]


def _field_check(part: str) -> Matches:
    match = re.fullmatch(r"([A-Za-z.]+)(==?|!=)(.*)", part)
    if match is None:
        raise bad_request(f"invalid field selector: {part!r}")
    path, equal, wanted = match[1].split("."), match[2] != "!=", match[3]

    def check(item: Json) -> bool:
        found = find(item, *path)
        text = str(found).lower() if isinstance(found, bool) else str(found or "")
        return (text == wanted) is equal

    return check
