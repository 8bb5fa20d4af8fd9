"""NodeSelector matching: a table over every operator, held to Kubernetes' rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.model import Requirement, Term
from pie.core.selector import integer, matches

LABELS = {"zone": "a", "cpus": "8", "negative": "-3", "word": "x"}


@pytest.mark.parametrize(
    ("key", "operator", "values", "expected"),
    [
        ("zone", "In", ("a", "b"), True),
        ("zone", "In", ("b",), False),
        ("absent", "In", ("a",), False),
        ("zone", "NotIn", ("a",), False),
        ("zone", "NotIn", ("b",), True),
        ("absent", "NotIn", ("a",), True),
        ("zone", "Exists", (), True),
        ("absent", "Exists", (), False),
        ("zone", "DoesNotExist", (), False),
        ("absent", "DoesNotExist", (), True),
        ("cpus", "Gt", ("7",), True),
        ("cpus", "Gt", ("8",), False),
        ("cpus", "Lt", ("9",), True),
        ("cpus", "Lt", ("8",), False),
        ("negative", "Lt", ("-2",), True),
        ("word", "Gt", ("1",), False),
        ("absent", "Gt", ("1",), False),
        ("absent", "Lt", ("1",), False),
        ("cpus", "Gt", ("9223372036854775808",), False),
    ],
)
def test_an_expression_matches_as_kubernetes_does(
    key: str, operator: str, values: tuple[str, ...], expected: bool
) -> None:
    term = Term(expressions=(Requirement(key, operator, values),))
    assert matches((term,), "n1", LABELS) is expected


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [("In", ("n1",), True), ("In", ("n2",), False), ("NotIn", ("n1",), False), ("NotIn", ("n2",), True)],
)
def test_a_field_matches_the_nodes_name_and_never_a_label(
    operator: str, values: tuple[str, ...], expected: bool
) -> None:
    term = Term(fields=(Requirement("metadata.name", operator, values),))
    assert matches((term,), "n1", {"metadata.name": "n2"}) is expected


def test_all_of_a_term_must_match_and_any_of_the_terms() -> None:
    good, bad = Requirement("zone", "Exists"), Requirement("absent", "Exists")
    assert not matches((Term(expressions=(good, bad)),), "n1", LABELS)
    assert matches((Term(expressions=(bad,)), Term(expressions=(good,))), "n1", LABELS)


def test_expressions_and_fields_of_a_term_must_match_together() -> None:
    field = Requirement("metadata.name", "In", ("n2",))
    assert not matches((Term((Requirement("zone", "Exists"),), (field,)),), "n1", LABELS)


def test_an_empty_term_and_no_terms_match_nothing() -> None:
    assert not matches((Term(),), "n1", LABELS)
    assert not matches((), "n1", LABELS)


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_64_bit_integer_is_read(number: int) -> None:
    assert integer(str(number)) == number


@given(st.text())
def test_no_text_breaks_the_reading_of_integers(text: str) -> None:
    value = integer(text)
    assert value is None or -(2**63) <= value < 2**63
