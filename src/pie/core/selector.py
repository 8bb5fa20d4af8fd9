"""NodeSelector matching, exactly as Kubernetes does it.

Terms are alternatives; within a term every expression and field must match; an empty term matches nothing.
https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-affinity
"""

from collections.abc import Callable, Mapping

from pie.core.model import Requirement, Term


def integer(text: str) -> int | None:
    """Return the 64-bit integer that Go's ParseInt(text, 10, 64) would, or None."""
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    value = int(text) if len(digits) <= 20 else 1 << 64  # noqa: PLR2004  longer than any 64-bit number
    return value if -(1 << 63) <= value < 1 << 63 else None


def _numbers(value: str | None, wanted: tuple[str, ...]) -> tuple[int, int] | None:
    """Return the numbers to compare; None: one of them is missing or not an integer."""
    if value is None or len(wanted) != 1:
        return None
    left, right = integer(value), integer(wanted[0])
    return (left, right) if left is not None and right is not None else None


OPERATORS: dict[str, Callable[[str | None, tuple[str, ...]], bool]] = {
    "In": lambda value, wanted: value in wanted,
    "NotIn": lambda value, wanted: value not in wanted,  # also without the label
    "Exists": lambda value, _wanted: value is not None,
    "DoesNotExist": lambda value, _wanted: value is None,
    "Gt": lambda value, wanted: (found := _numbers(value, wanted)) is not None and found[0] > found[1],
    "Lt": lambda value, wanted: (found := _numbers(value, wanted)) is not None and found[0] < found[1],
}
FIELD_OPERATORS = frozenset({"In", "NotIn"})
FIELD_NAME = "metadata.name"


def matches(terms: tuple[Term, ...], name: str, node_labels: Mapping[str, str]) -> bool:
    """Tell whether a node of this name and these labels is selected."""
    return any(_term_matches(term, name, node_labels) for term in terms)


def _term_matches(term: Term, name: str, node_labels: Mapping[str, str]) -> bool:
    if not term.expressions and not term.fields:
        return False
    return all(_matches(rule, node_labels.get(rule.key)) for rule in term.expressions) and all(
        _matches(rule, name if rule.key == FIELD_NAME else None) for rule in term.fields
    )


def _matches(rule: Requirement, value: str | None) -> bool:
    return OPERATORS[rule.operator](value, rule.values)
