"""Faults of nodes: how a taint is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import TestbedError
from testbed.faults import TAINT
from testbed.node_faults import parse_taint


@pytest.mark.parametrize(
    ("text", "taint"),
    [
        ("key=value:NoSchedule", {"key": "key", "value": "value", "effect": "NoSchedule"}),
        ("example.com/key:NoExecute", {"key": "example.com/key", "effect": "NoExecute"}),
        (TAINT, {"key": "example.com/broken", "effect": "NoSchedule"}),
    ],
)
def test_a_taint_is_written_as_for_kubectl(text: str, taint: dict[str, str]) -> None:
    assert parse_taint(text) == taint


@given(st.text())
def test_any_other_text_is_refused_in_words(text: str) -> None:
    try:
        taint = parse_taint(text)
    except TestbedError as error:
        assert "must be like key=value:NoSchedule" in str(error)
    else:
        assert taint["key"]
