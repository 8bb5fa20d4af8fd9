"""Answers of Prometheus: what is decoded, and what is refused in words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.prometheus import PrometheusError, Sample, Series, matrix, vector

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["status", "data", "result", "resultType", "metric"]), below)
    ),
)


def answer(kind: str, *result: dict[str, Any]) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def test_a_vector_is_its_samples_without_those_that_are_no_number() -> None:
    body = answer(
        "vector",
        {"metric": {"node": "n"}, "value": [1.5, "2.25"]},
        {"metric": {}, "value": [1.5, "NaN"]},
        {"metric": {}, "value": [1.5, "+Inf"]},
    )
    assert vector(body) == [Sample({"node": "n"}, 2.25)]


def test_a_matrix_is_its_points_without_those_that_are_no_number() -> None:
    body = answer("matrix", {"metric": {"a": "b"}, "values": [[1, "1"], [2, "NaN"], [3.5, "1e-3"]]})
    assert matrix(body) == [Series({"a": "b"}, ((1.0, 1.0), (3.5, 0.001)))]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"status":"error","errorType":"bad_data","error":"parse error: no"}', "parse error: no"),
        (b"<html>", "not one of Prometheus"),
        (answer("scalar"), "is a scalar, not a vector"),
        (answer("vector", {"metric": {}, "value": [1, "x"]}), "'x' is not a number"),
    ],
)
def test_an_answer_that_is_none_says_why(body: bytes, words: str) -> None:
    with pytest.raises(PrometheusError, match=words):
        vector(body)


@given(st.binary(max_size=30) | JSON.map(lambda thing: json.dumps(thing).encode()))
def test_whatever_answers_is_decoded_or_refused(body: bytes) -> None:
    for decode in (vector, matrix):
        try:
            decode(body)
        except PrometheusError as error:
            assert str(error)
