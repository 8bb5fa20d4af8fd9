"""The pace drops at once while the control plane lags, and comes back slowly."""

from dataclasses import fields
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.pace.throttle import LEAST, QUIET_PERIODS, Observed, Throttle, throttle
from tests.examples import examples

quick = examples(0.5)
T0, PERIOD, LOOK = 1_700_000_000.0, 60.0, 5.0
QUIET = Observed(calls=50)
counts = st.integers(0, 60)
observations = st.builds(Observed, **{each.name: counts for each in fields(Observed)})


def after(*observed: Observed, start: Throttle | None = None) -> list[Throttle]:
    """Return the pace after each look, one every few seconds."""
    now, found = T0, [start or Throttle()]
    if start is not None:
        now = start.looked_at
    for each in observed:
        now += LOOK
        found.append(throttle(found[-1], each, now, PERIOD))
    return found


@pytest.mark.parametrize(
    ("observed", "words"),
    [
        (Observed(calls=100, refused=2), "the API server refuses requests (429)"),
        (Observed(calls=20, slow=5), "the API server answers slowly"),
        (Observed(calls=20, started_late=3), "Kubernetes starts runs late"),
        (Observed(calls=20, bound_late=3), "PVCs are bound late although their volumes exist"),
        (Observed(calls=20, attached_late=3), "VolumeAttachments are created late"),
    ],
)
def test_each_sign_halves_the_pace_at_the_next_look(observed: Observed, words: str) -> None:
    found = after(observed)[-1]
    assert (found.part, found.signs, found.on) == (0.5, (words,), True)


@pytest.mark.parametrize(
    "observed",
    [
        Observed(),
        Observed(calls=1, refused=1),
        Observed(calls=4, slow=4),
        Observed(calls=1000, slow=150),
        Observed(calls=20, started_late=2, bound_late=2, attached_late=2),
    ],
)
def test_one_accident_slows_nothing_down(observed: Observed) -> None:
    assert not after(observed)[-1].on


def test_two_accidents_in_a_row_count_and_two_that_are_far_apart_do_not() -> None:
    refused = Observed(calls=10, refused=1)
    assert after(refused, refused, refused)[-1].on
    assert not after(refused, *[QUIET] * 12, refused)[-1].on


def test_while_nothing_helps_the_pace_is_halved_once_a_period_down_to_the_least() -> None:
    storm = after(*[Observed(calls=50, refused=20)] * 120)
    assert [each.part for each in storm[1::12]] == [0.5, 0.25, 0.125, *[LEAST] * 7]


def test_it_comes_back_slowly_and_the_signs_end_with_it() -> None:
    storm = after(Observed(calls=50, refused=20))[-1]
    calm = after(*[QUIET] * 200, start=storm)
    changes = [each for before, each in pairwise(calm) if before.part != each.part]
    assert [each.part for each in changes] == [0.75, 1.0]
    assert changes[0].changed_at - storm.changed_at >= QUIET_PERIODS * PERIOD
    assert changes[1].changed_at - changes[0].changed_at >= QUIET_PERIODS * PERIOD
    assert changes[0].signs
    assert changes[1].signs == ()


@quick
@given(st.lists(observations, max_size=60))
def test_the_pace_stays_within_its_bounds_and_always_comes_back(observed: list[Observed]) -> None:
    found = after(*observed, *[QUIET] * 400)
    assert all(LEAST <= each.part <= 1 for each in found)
    assert found[-1].part == 1.0
    for before, each in pairwise(found):
        assert each.part >= before.part * 0.5
        if each.part > before.part:
            assert each.changed_at - max(before.changed_at, before.wrong_at) >= QUIET_PERIODS * PERIOD
        if each.part < before.part and before.on:
            assert each.changed_at - before.changed_at >= PERIOD


@quick
@given(st.lists(st.integers(0, 500), max_size=100))
def test_a_control_plane_that_is_well_never_slows_anything_down(calls: list[int]) -> None:
    assert {each.part for each in after(*(Observed(calls=each) for each in calls))} == {1.0}
