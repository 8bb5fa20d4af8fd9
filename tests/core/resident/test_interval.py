"""How often resident probes do I/O, by how many nodes share the storage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.model import Image
from pie.core.pods.manifests import is_outdated, run_pod
from pie.core.preflight import resident_interval
from pie.core.reasons import Reason
from pie.core.resident.interval import OPERATIONS, interval_seconds
from pie.core.wire import Metadata
from tests.core.build import probe

IMAGE = Image("i")


@pytest.mark.parametrize(
    ("nodes", "seconds"), [(0, 2.0), (1, 2.0), (40, 2.0), (41, 4.0), (80, 4.0), (160, 8.0), (5000, 256.0)]
)
def test_the_interval_grows_with_the_nodes(nodes: int, seconds: float) -> None:
    assert interval_seconds(nodes) == seconds


@given(st.integers(0, 100_000))
def test_a_class_never_sees_more_than_a_hundred_operations_a_second(nodes: int) -> None:
    interval = interval_seconds(nodes)
    assert nodes * len(OPERATIONS) / interval <= 100
    assert interval == 2.0 or nodes * len(OPERATIONS) / (interval / 2) > 100


@pytest.mark.parametrize(
    ("nodes", "threshold", "warned_of"),
    [(160, 10.0, False), (161, 10.0, True), (161, 16.0, False), (40, 2.0, False), (41, 2.0, True)],
)
def test_an_interval_that_is_longer_than_the_threshold_is_a_warning(
    nodes: int, threshold: float, warned_of: bool
) -> None:
    wanted = probe(resident=True, resident_threshold_seconds=threshold)
    found = resident_interval(wanted, nodes)
    assert [each.reason for each in found] == [Reason.RESIDENT_INTERVAL_LONG] * warned_of
    assert resident_interval(probe(resident_threshold_seconds=threshold), nodes) == ()


@pytest.mark.parametrize(
    ("has", "wanted", "stays"),
    [(2.0, 2.0, True), (2.0, 4.0, False), (4.0, 2.0, True), (8.0, 2.0, False), (8.0, 4.0, True)],
)
def test_a_pod_stays_unless_it_does_io_too_often_or_far_too_seldom(
    has: float, wanted: float, stays: bool
) -> None:
    before, now = (probe(resident=True, resident_interval_seconds=each) for each in (has, wanted))
    target = now.target("resident", "n1")
    marks = run_pod(before, target, name="x", claim="c", image=IMAGE)["metadata"]
    pod = Metadata(name="x", annotations=marks["annotations"])
    assert is_outdated(pod, now, target, claim="c", image=IMAGE) is not stays
