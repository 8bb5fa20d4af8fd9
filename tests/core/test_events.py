"""When what an Event says was seen last, by the API server's clock."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from pie.core.wire import Event
from tests.core.build import T0, at

HOUR = 3600.0


def stamp(seconds: float) -> str:
    return at(seconds).isoformat()


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        ({"lastTimestamp": stamp(-HOUR)}, -HOUR),
        ({"firstTimestamp": stamp(-HOUR), "lastTimestamp": stamp(-60)}, -60),
        ({"eventTime": stamp(-HOUR)}, -HOUR),
        ({"eventTime": stamp(-HOUR), "series": {"count": 9, "lastObservedTime": stamp(-60)}}, -60),
        ({"eventTime": stamp(-HOUR), "firstTimestamp": None, "lastTimestamp": None, "series": None}, -HOUR),
        ({"metadata": {"creationTimestamp": stamp(-HOUR)}}, -HOUR),
        ({"lastTimestamp": stamp(HOUR)}, 0),
    ],
)
def test_an_event_was_seen_when_its_newest_stamp_says_and_never_later_than_now(
    fields: dict[str, Any], seen: float
) -> None:
    event = msgspec.convert({"metadata": {}, **fields}, Event)
    assert event.last_seen_seconds(T0) == T0 + seen


@pytest.mark.parametrize("ahead", [-HOUR, -300, 0, 300, HOUR])
@pytest.mark.parametrize("series", [False, True])
def test_the_clock_of_the_node_that_reports_does_not_matter(ahead: float, series: bool) -> None:
    first, last = stamp(ahead - 600), stamp(ahead - 120)
    times = (
        {"eventTime": first, "series": {"lastObservedTime": last}}
        if series
        else {"firstTimestamp": first, "lastTimestamp": last}
    )
    event = msgspec.convert({"metadata": {"creationTimestamp": stamp(-600)}, **times}, Event)
    assert event.last_seen_seconds(T0) == T0 - timedelta(minutes=2).total_seconds()


def test_an_event_without_any_time_explains_nothing_new() -> None:
    assert msgspec.convert({"metadata": {}}, Event).last_seen_seconds(T0) == 0.0
