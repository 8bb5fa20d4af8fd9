"""Label and field selectors, as they stand in a query.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

import re
from collections.abc import Callable
from typing import Any, Final

from pie.core.selector import OPERATORS
from pie.embedded.errors import bad_request
from pie.embedded.kinds import Json, find

Matches = Callable[[Json], bool]

_LABEL: Final = re.compile(
    r"\s*(?P<absent>!\s*)?(?P<key>[A-Za-z0-9./_-]+)\s*"
    r"(?:(?P<equal>==?|!=)\s*(?P<value>[^,\s]*)|(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?\s*(?:,|$)"
)
_FIELD: Final = re.compile(r"([A-Za-z.]+)(==?|!=)([^,]*)(?:,|$)")


def selector(labels: str | None, fields: str | None) -> Matches:
    """Return a test for objects that match both selectors; raises Refused for an invalid selector."""
    wanted = [_label(match) for match in _parts(_LABEL, labels or "")]
    wanted_fields = [match.groups() for match in _parts(_FIELD, fields or "")]

    def matches(item: Json) -> bool:
        has = item["metadata"].get("labels") or {}
        return all(OPERATORS[operator](has.get(key), values) for key, operator, values in wanted) and all(
            (_text(find(item, path)) == value) is (equal != "!=") for path, equal, value in wanted_fields
        )

    return matches


def _parts(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            raise bad_request(f"unable to parse requirement: {text[position:]!r}")
        found.append(match)
        position = match.end()
    return found


def _label(match: re.Match[str]) -> tuple[str, str, tuple[str, ...]]:
    """Return key, operator and values of one requirement."""
    if match["set"]:
        values = tuple(part.strip() for part in match["values"].split(","))
        return match["key"], "In" if match["set"] == "in" else "NotIn", values
    if match["equal"]:
        return match["key"], "NotIn" if match["equal"] == "!=" else "In", (match["value"],)
    return match["key"], "DoesNotExist" if match["absent"] else "Exists", ()


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value or "")
