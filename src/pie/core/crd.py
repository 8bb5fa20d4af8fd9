"""The condition `CRDOutdated`: the CRD in the cluster is older than pie, so the API server drops fields."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pie.core.conditions import Condition, status_condition
from pie.core.reasons import ADVICE, MEANING, Reason
from pie.core.text import few, one_line

CONDITION: Final = "CRDOutdated"
_MOST: Final = 200
"""Missing fields that are looked for; a condition names a few."""
_KEEPS_ALL: Final = "x-kubernetes-preserve-unknown-fields"


def lacking(ours: Mapping[str, Any], served: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a served schema lacks of ours: fields (`spec.paused`) and values (`spec.runner: Pod`)."""
    found = []
    for where in _lacking(ours, served, ""):
        found.append(where)
        if len(found) == _MOST:
            break
    return tuple(found)


def _lacking(ours: Any, served: Any, path: str) -> Iterator[str]:
    if not isinstance(served, dict) or served.get(_KEEPS_ALL) is True:
        return  # It keeps all, or is no schema at all: then nothing is known.
    allowed = served.get("enum")
    if isinstance(allowed, list):
        yield from (f"{path}: {value}" for value in ours.get("enum", ()) if value not in allowed)
    for part in ("items", "additionalProperties"):
        if isinstance(ours.get(part), dict):
            yield from _lacking(ours[part], served.get(part), f"{path}[]")
    known = served.get("properties")
    for name, schema in ours.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        if not isinstance(known, dict) or name not in known:
            yield where
        else:
            yield from _lacking(schema, known[name], where)


def crd_outdated(missing: Sequence[str]) -> Condition:
    """Return the condition; `missing` is what the CRD in the cluster lacks."""
    if not missing:
        message = "the CRD has all fields that pie uses, as far as pie may read it"
        return status_condition(CONDITION, "False", Reason.OK, message)
    return status_condition(CONDITION, "True", Reason.CRD_OUTDATED, words(missing))


def words(missing: Sequence[str]) -> str:
    """Return what the CRD lacks, what follows, and the command that updates it."""
    reason = Reason.CRD_OUTDATED
    return f"The CRD lacks {one_line(few(list(missing)))}. {MEANING[reason]} {ADVICE[reason]}"
