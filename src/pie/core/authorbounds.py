"""What the flags of the controller allow to authors of PieProbes.

A bound that is not set allows everything. Any other value is refused like an invalid spec.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from pie.core.kinds import targets_of
from pie.core.model import HARD_EFFECTS, Probe
from pie.core.parse import SpecError
from pie.core.quantity import quantity

_EFFECTS: Final = frozenset({*HARD_EFFECTS, "PreferNoSchedule"})


@dataclass(frozen=True, slots=True)
class TaintRule:
    """Taints that may be tolerated. `key` may end in `*`; an empty value or effect means any."""

    key: str
    value: str = ""
    effect: str = ""

    def covers(self, toleration: Mapping[str, Any]) -> bool:
        """Tell whether this rule allows a toleration."""
        key = str(toleration.get("key") or "")
        named = key.startswith(self.key[:-1]) if self.key.endswith("*") else key == self.key
        valued = toleration.get("operator") != "Exists" and (toleration.get("value") or "") == self.value
        return (
            named
            and (not self.value or valued)
            and (not self.effect or toleration.get("effect") == self.effect)
        )


@dataclass(frozen=True, slots=True)
class AuthorBounds:
    """The bounds; None, or empty, is not set. `resources`: the most of each, for requests and for limits."""

    priority_classes: tuple[str, ...] | None = None
    tolerations: tuple[TaintRule, ...] | None = None
    pvc_capacity: str = ""
    resources: Mapping[str, str] = field(default_factory=dict)
    targets: int | None = None


def check_spec(probe: Probe, bounds: AuthorBounds) -> None:
    """Raise SpecError for the first value of a PieProbe that is not allowed."""
    name, allowed = probe.priority_class_name, bounds.priority_classes
    if name and allowed is not None and name not in allowed:
        raise SpecError(
            "spec.priorityClassName",
            f"{name} is not allowed; the controller allows {', '.join(allowed) or 'none'}",
        )
    for number, each in enumerate(probe.tolerations if bounds.tolerations is not None else ()):
        if not any(rule.covers(each) for rule in bounds.tolerations or ()):
            raise SpecError(
                f"spec.tolerations[{number}]",
                "is not allowed; the controller allows to tolerate"
                f" {', '.join(map(_written, bounds.tolerations or ())) or 'no taint'}",
            )
    _at_most(probe.pvc_capacity, bounds.pvc_capacity, "spec.pvcCapacity")
    for part, sizes in probe.resources.items():
        for resource, size in (sizes or {}).items():
            _at_most(str(size), bounds.resources.get(resource, ""), f"spec.resources.{part}.{resource}")


def check_targets(probe: Probe, nodes: Sequence[int], bounds: AuthorBounds) -> None:
    """Raise SpecError if a PieProbe has more targets than it may have.

    `nodes` has for each of its classes how many nodes match.
    """
    each, most = sum(1 for _ in targets_of(probe, "a node")), max(nodes, default=0)
    targets = len(nodes) * sum(1 for _ in targets_of(probe)) + sum(nodes) * each
    if bounds.targets is not None and targets > bounds.targets:
        of = f" for {len(nodes)} StorageClasses" if len(nodes) > 1 else ""
        raise SpecError(
            "spec.nodeSelector",
            f"matches {most} node{'s' * (most != 1)}{of}, which makes {targets} targets;"
            f" the controller allows {bounds.targets}",
        )


def _at_most(size: str, most: str, path: str) -> None:
    if most and (quantity(size) or Fraction()) > (quantity(most) or Fraction()):
        raise SpecError(path, f"{size} is more than {most}, which the controller allows")


def _written(rule: TaintRule) -> str:
    value = f"={rule.value}" if rule.value else ""
    return f"{rule.key}{value}" + (f":{rule.effect}" if rule.effect else "")


# Flags.


def names(text: str) -> tuple[str, ...]:
    """Return the names in a list like `a,b`; an empty text is an empty list."""
    return tuple(name for each in text.split(",") if (name := each.strip()))


def taint_rules(text: str) -> tuple[TaintRule, ...]:
    """Return the rules in a list like `a,b=c:NoSchedule,example.com/*`. Raises ValueError."""
    return tuple(map(_taint_rule, names(text)))


def _taint_rule(text: str) -> TaintRule:
    taint, _, effect = text.partition(":")
    key, _, value = taint.partition("=")
    if not key or (effect or ":") not in {*_EFFECTS, ":"} or (":" in text and not effect):
        raise ValueError(f"{text!r} is not a taint; write KEY, KEY=VALUE, KEY:EFFECT or KEY=VALUE:EFFECT")
    return TaintRule(key, value, effect)


def size(text: str) -> str:
    """Return the text of a quantity. Raises ValueError if it is not a quantity."""
    if text and ((found := quantity(text)) is None or found < 0):
        raise ValueError(f"{text!r} is not a quantity; write for example 10Gi")
    return text


def sizes(text: str) -> dict[str, str]:
    """Return the quantities in a list like `cpu=500m,memory=256Mi`. Raises ValueError."""
    found = {}
    for each in names(text):
        name, equals, written = each.partition("=")
        if not name or not equals or not written:
            raise ValueError(f"{each!r} is not a resource; write for example cpu=500m,memory=256Mi")
        found[name] = size(written)
    return found
