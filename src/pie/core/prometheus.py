"""Answers of Prometheus' HTTP API as data.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

import math
from typing import Any

import msgspec

from pie.core.decode import Unreadable, convert, decode
from pie.core.text import PlainText

Labels = dict[str, PlainText]


class PrometheusError(ValueError):
    """The answer is an error, or not an answer of Prometheus; the text says which."""


class Sample(msgspec.Struct, frozen=True):
    """One element of an instant vector."""

    labels: Labels
    value: float


class Series(msgspec.Struct, frozen=True):
    """One element of a range vector; points are epoch seconds and value, in the order of time."""

    labels: Labels
    points: tuple[tuple[float, float], ...]


class _Element(msgspec.Struct, frozen=True):
    metric: Labels = {}
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    result_type: PlainText = ""
    result: list[Any] = []


class _Answer(msgspec.Struct, frozen=True):
    status: PlainText = ""
    data: _Data | None = None
    error: PlainText = ""


def vector(body: bytes) -> list[Sample]:
    """Decode the answer to an instant query; values that are not numbers (0/0) are left out."""
    found = (
        (element.metric, _number(element.value[1]))
        for element in _elements(body, "vector")
        if element.value is not None
    )
    return [Sample(labels, value) for labels, value in found if value is not None]


def matrix(body: bytes) -> list[Series]:
    """Decode the answer to a range query; points that are not numbers are left out."""
    return [
        Series(
            element.metric,
            tuple((time, value) for time, text in element.values if (value := _number(text)) is not None),
        )
        for element in _elements(body, "matrix")
    ]


def _elements(body: bytes, kind: str) -> list[_Element]:
    try:
        answer = decode(body, _Answer)
        if answer.status != "success" or answer.data is None:
            raise PrometheusError(answer.error or f"the answer's status is {answer.status!r}")
        if answer.data.result_type != kind:
            raise PrometheusError(f"the answer is a {answer.data.result_type}, not a {kind}")
        return convert(answer.data.result, list[_Element])
    except Unreadable as error:
        raise PrometheusError(f"the answer is not one of Prometheus: {error}") from None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        raise PrometheusError(f"{text[:32]!r} is not a number") from None
    return number if math.isfinite(number) else None
