"""Which StorageClasses a PieProbe probes: one, a list, or those that a label selector selects.

A class that is deleted stays one of the PieProbe's, so that its targets keep their PVCs: charts delete and
recreate classes. One of a list stays until it is taken out of the list, one that was selected for a day.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pie.core.model import IMAGE_ARCHITECTURES, Probe, Term
from pie.core.parse import SpecError, node_selector, parse_probe
from pie.core.selector import matches
from pie.core.text import MOST_CHARACTERS, one_line
from pie.core.wire import MOST_CLASSES, PieProbe, StorageClass, parse_seconds

KEEP_SECONDS: Final = 86_400.0
"""A class that a selector selected is kept for so long after it was deleted."""

_ONE: Final = "monitoringStorageClass"
_LIST: Final = "monitoringStorageClasses"
_SELECTOR: Final = "monitoringStorageClassSelector"
_ASKED: Final = (_ONE, _LIST, _SELECTOR)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A class of a PieProbe; `gone_since`: the StorageClass does not exist since then, epoch seconds."""

    name: str
    gone_since: float | None = None


def by_selector(stored: PieProbe) -> bool:
    """Tell whether the labels of StorageClasses decide which ones a PieProbe probes."""
    return _SELECTOR in stored.spec


def chosen(
    stored: PieProbe,
    existing: Mapping[str, Mapping[str, str]],
    now: float,
    known: Iterable[Chosen] | None = None,
) -> tuple[Chosen, ...]:
    """Return the classes of a PieProbe; raises SpecError.

    `existing` are all StorageClasses, with their labels; `known` the classes of the PieProbe so far; None:
    those of its status.
    """
    before = {each.name: each.gone_since for each in (_stored(stored) if known is None else known)}
    named = _named(stored)
    if named is None:
        terms = _terms(stored)
        selected = [name for name, labels in existing.items() if not terms or matches(terms, "", labels)]
        gone = [name for name in before if name not in existing]
        kept = [name for name in gone if now < (before[name] or now) + KEEP_SECONDS]
        named = tuple(sorted({*selected, *kept}))
        if len(named) > MOST_CLASSES:
            raise SpecError(
                f"spec.{_SELECTOR}",
                f"selects {len(named)} StorageClasses; a PieProbe may have {MOST_CLASSES}",
            )
    since = {name: before.get(name) or now for name in named if name not in existing}
    return tuple(Chosen(name, since.get(name)) for name in named)


def again_at(stored: PieProbe, classes: Iterable[Chosen]) -> float | None:
    """Return when a class that was selected and is gone is not kept any more; None: there is none."""
    gone = [each.gone_since for each in classes if each.gone_since is not None and by_selector(stored)]
    return min(gone) + KEEP_SECONDS if gone else None


def parse_probes(
    stored: PieProbe,
    classes: Iterable[str],
    minute_seconds: float = 60.0,
    architectures: tuple[str, ...] = IMAGE_ARCHITECTURES,
) -> tuple[Probe, ...]:
    """Return one `Probe` for each class of a PieProbe. Raises SpecError if the spec is not valid."""
    probe = parse_probe(stored, minute_seconds, architectures, storage_class="")
    return tuple(replace(probe, storage_class=name) for name in classes)


def _named(stored: PieProbe) -> tuple[str, ...] | None:
    """Return the classes that the spec names; None: it has a selector. Raises SpecError."""
    asked = [name for name in _ASKED if name in stored.spec]
    if not asked:
        raise SpecError(f"spec.{_ONE}", f"is required, or {_LIST}, or {_SELECTOR}")
    if len(asked) > 1:
        raise SpecError(f"spec.{asked[1]}", f"set only one of {', '.join(_ASKED)}")
    if asked == [_SELECTOR]:
        return None
    path, found = f"spec.{asked[0]}", stored.spec[asked[0]]
    listed = [found] if asked == [_ONE] else found
    if not isinstance(listed, list) or not listed:
        raise SpecError(path, "needs at least one name of a StorageClass")
    if len(listed) > MOST_CLASSES:
        raise SpecError(path, f"has {len(listed)} names; a PieProbe may have {MOST_CLASSES} StorageClasses")
    for each in listed:
        if not isinstance(each, str) or not each or each != one_line(each, MOST_CHARACTERS):
            raise SpecError(path, f"{str(each)[:64]!r} is not the name of a StorageClass")
    return tuple(dict.fromkeys(listed))


def _terms(stored: PieProbe) -> tuple[Term, ...]:
    """Return what the labels of a class have to match; nothing: each class is selected. Raises SpecError."""
    selector, path = stored.spec[_SELECTOR], f"spec.{_SELECTOR}"
    if not isinstance(selector, dict):
        raise SpecError(path, "must be an object with matchLabels or matchExpressions")
    labels, rules = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not isinstance(labels, dict) or not isinstance(rules, list):
        raise SpecError(path, "must have an object of matchLabels, and a list of matchExpressions")
    rules = [*({"key": key, "operator": "In", "values": [value]} for key, value in labels.items()), *rules]
    return node_selector({"nodeSelectorTerms": [{"matchExpressions": rules}]}, path) if rules else ()


def _stored(stored: PieProbe) -> Iterable[Chosen]:
    for entry in stored.stored_classes:
        name, since = entry.get("name"), entry.get("goneSince")
        if isinstance(name, str):
            yield Chosen(name, parse_seconds(since) if isinstance(since, str) else None)


def labels_of(classes: Iterable[StorageClass]) -> dict[str, Mapping[str, str]]:
    """Return the labels of StorageClasses, by name."""
    return {each.metadata.name: each.metadata.labels for each in classes}
