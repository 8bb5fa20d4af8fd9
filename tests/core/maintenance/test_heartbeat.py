"""Whether a kubelet is alive is told by the API server's clock, or by two looks where that has no stamp."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.maintenance.heartbeat import NodeLease, Pulse, heartbeat, pulse, silence
from pie.core.maintenance.history import NodeHistory, fall_silent, observe
from pie.core.reasons import Reason
from tests.core.build import T0, at, probe
from tests.core.nodes import node

DURATION = 40


def lease(
    renewed: float, *, clock: float = 0.0, stamped: bool = True, duration: int | None = DURATION
) -> NodeLease:
    """Return a Lease renewed so many seconds after T0, by a kubelet whose clock is ahead by `clock`."""
    entries: list[dict[str, Any]] = [
        {"manager": "kubectl", "time": at(9_000), "fieldsV1": {"f:metadata": {"f:labels": {".": {}}}}}
    ]
    if stamped:
        fields = {"f:spec": {"f:holderIdentity": {}, "f:renewTime": {}}}
        entries.append({"manager": "kubelet", "time": at(renewed), "fieldsV1": fields})
    spec = {"renewTime": str(at(renewed + clock)), "leaseDurationSeconds": duration}
    found = {"metadata": {"name": "n1", "managedFields": entries}, "spec": spec}
    return msgspec.json.decode(msgspec.json.encode(found), type=NodeLease)


@pytest.mark.parametrize(
    ("age", "duration", "expected"),
    [
        (-1, 40, Pulse()),  # another API server's clock is a second behind
        (0, 40, Pulse()),
        (15, 40, Pulse()),
        (16, 40, Pulse(T0, look_again_seconds=10)),  # it renews every 10 s: one may be lost on the way
        (35, 40, Pulse(T0, look_again_seconds=5)),
        (40, 40, Pulse(T0, silent=True)),
        (3600, 40, Pulse(T0, silent=True)),
        (40, 120, Pulse()),
        (119.5, 120, Pulse(T0, look_again_seconds=1)),
        (10, 10, Pulse(T0, silent=True)),
        (40, None, Pulse(T0, silent=True)),
        (39, 0, Pulse(T0, look_again_seconds=1)),
    ],
)
@pytest.mark.parametrize("clock", [0, 600, -600])
def test_one_look_tells_by_the_age_of_the_renewal_and_the_lease_s_own_duration(
    age: float, duration: int | None, expected: Pulse, clock: float
) -> None:
    assert pulse(heartbeat(lease(0, clock=clock, duration=duration), T0 + age)) == expected


@pytest.mark.parametrize(
    ("renewals", "seconds", "expected"),
    [
        ((0,), (0,), Pulse(look_again_seconds=16)),  # nothing to compare it with yet
        ((0, 10), (5, 21), Pulse()),
        ((0, 0), (5, 10), Pulse(look_again_seconds=11)),
        ((0, 0), (5, 21), Pulse(T0 + 5, look_again_seconds=10)),
        ((0, 0), (5, 45), Pulse(T0 + 5, silent=True)),
    ],
)
@pytest.mark.parametrize("clock", [0, 600, -600])
def test_without_a_stamp_two_looks_are_compared(
    renewals: tuple[float, ...], seconds: tuple[float, ...], expected: Pulse, clock: float
) -> None:
    looks = [
        heartbeat(lease(renewed, clock=clock, stamped=False), T0 + after)
        for renewed, after in zip(renewals, seconds, strict=True)
    ]
    assert pulse(looks[-1], looks[-2] if len(looks) > 1 else None) == expected


def test_a_node_without_a_lease_says_nothing() -> None:
    assert pulse(None) == Pulse()
    assert pulse(heartbeat(NodeLease(metadata=lease(0).metadata), T0)) == Pulse()


@given(st.floats(-600, 600), st.floats(0, 1000), st.booleans())
def test_a_kubelets_clock_changes_nothing(clock: float, age: float, stamped: bool) -> None:
    right = [heartbeat(lease(0, stamped=stamped), T0 + after) for after in (0, age)]
    wrong = [heartbeat(lease(0, clock=clock, stamped=stamped), T0 + after) for after in (0, age)]
    assert pulse(wrong[1], wrong[0]) == pulse(right[1], right[0])


def test_a_silent_kubelet_excuses_what_happened_since_its_last_renewal_and_no_longer_than_it_is_known() -> (
    None
):
    well = observe(None, node(), PROBE, T0 - 100)
    beat = heartbeat(lease(0), T0 + 41)
    silent = fall_silent(well, silence(beat, T0), T0 + 41)
    assert silent.during(T0 - 50, T0 - 1) is None
    found = silent.during(T0 + 20, T0 + 21)
    assert found is not None
    assert (found.why.reason, found.since, found.until) == (Reason.NODE_NOT_READY, T0, T0 + 41)
    assert "41 s" in found.why.message
    assert "40" in found.why.message
    assert silent.during(T0 + 42, T0 + 50) is None
    assert silent.current is None
    longer = fall_silent(silent, silence(heartbeat(lease(0), T0 + 60), T0), T0 + 60)
    assert [(each.since, each.until) for each in longer.spans[1:]] == [(T0, T0 + 60)]


def test_what_kubernetes_says_of_a_node_says_it_all() -> None:
    gone = observe(observe(None, node(), PROBE, T0), node(ready="Unknown", ready_since=50), PROBE, T0 + 50)
    assert fall_silent(gone, silence(heartbeat(lease(0), T0 + 60), T0), T0 + 60) == gone
    assert fall_silent(NodeHistory(), silence(heartbeat(lease(0), T0 + 60), T0), T0 + 60).spans


PROBE = probe()
