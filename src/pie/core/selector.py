"""NodeSelector matching, exactly as Kubernetes does it.

Terms are alternatives; within a term every expression and field must match; an empty term matches nothing.
https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-affinity
"""

from collections.abc import Callable, Mapping

from pie.core.model import Requirement, Term


def _in(value: str | None, wanted: tuple[str, ...]) -> bool:
    return value is not None and value in wanted


def _not_in(value: str | None, wanted: tuple[str, ...]) -> bool:
    # A node without the label passes NotIn: it has no value that NotIn could exclude.
    return value is None or value not in wanted


def _exists(value: str | None, _wanted: tuple[str, ...]) -> bool:
    return value is not None


def _does_not_exist(value: str | None, _wanted: tuple[str, ...]) -> bool:
    return value is None


def integer(text: str) -> int | None:
    """Return the 64-bit integer that Go's ParseInt(text, 10, 64) would, or None."""
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    value = int(text) if len(digits) <= 20 else 1 << 64  # noqa: PLR2004  longer than any 64-bit number
    return value if -(1 << 63) <= value < 1 << 63 else None


def _gt(value: str | None, wanted: tuple[str, ...]) -> bool:
    left, right = _numbers(value, wanted)
    return left is not None and right is not None and left > right


def _lt(value: str | None, wanted: tuple[str, ...]) -> bool:
    left, right = _numbers(value, wanted)
    return left is not None and right is not None and left < right


def _numbers(value: str | None, wanted: tuple[str, ...]) -> tuple[int | None, int | None]:
    if value is None or len(wanted) != 1:
        return None, None
    return integer(value), integer(wanted[0])


OPERATORS: dict[str, Callable[[str | None, tuple[str, ...]], bool]] = {
    "In": _in,
    "NotIn": _not_in,
    "Exists": _exists,
    "DoesNotExist": _does_not_exist,
    "Gt": _gt,
    "Lt": _lt,
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
