"""A budget counts what everybody writes for the runs; over it, runs are thinned evenly."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.cost.lines import PIE_PER_SECOND
from pie.core.cost.load import Demand
from pie.core.model import ProbeId, RunnerKind
from pie.core.pace.budget import Pace, Wanted, needs_of, paces
from tests.examples import examples

quick = examples(0.5)
PODS = Demand(nodes=60, runner=RunnerKind.POD, provision=False)
"""60 runs a minute, 7 writes and 4 Events each."""
CRON = replace(PODS, runner=RunnerKind.CRON_JOB)
demands = st.builds(
    Demand,
    nodes=st.integers(0, 5000),
    period_seconds=st.sampled_from([30.0, 60.0, 300.0]),
    runner=st.sampled_from(RunnerKind),
    provision=st.booleans(),
    attach=st.booleans(),
)
budgets = st.floats(0.1, 2000)
wanted = st.dictionaries(st.sampled_from("abcd"), st.builds(Wanted, demands, st.none() | budgets))


def test_it_counts_what_kubelets_and_the_scheduler_write_too() -> None:
    assert needs_of(PODS) == pytest.approx(7 + 4)


@pytest.mark.parametrize(
    ("budget", "every"), [(None, 1), (100, 1), (11, 1), (10.9, 2), (5.5, 2), (5, 3), (1, 11), (0.1, 110)]
)
def test_over_its_budget_each_target_of_a_pieprobe_is_probed_less_often(
    budget: float | None, every: int
) -> None:
    found = paces({"p": Wanted(PODS, budget)})["p"]
    assert found.every == every
    assert found.over == (every > 1)


def test_the_budget_of_all_thins_all_alike() -> None:
    found = paces({"a": Wanted(PODS), "b": Wanted(replace(PODS, nodes=120))}, budget=33 / 2 + PIE_PER_SECOND)
    assert {name: each.every for name, each in found.items()} == {"a": 2, "b": 2}


def test_pieprobes_of_one_name_in_two_namespaces_have_a_part_each() -> None:
    one, other = ProbeId("a", "p"), ProbeId("b", "p")
    half = Wanted(replace(PODS, nodes=120))
    found = paces({one: half, other: half}, budget=22 / 2 + PIE_PER_SECOND)
    apart = paces({"x": half, "y": half}, budget=22 / 2 + PIE_PER_SECOND)
    assert (found[one], found[other]) == (apart["x"], apart["y"])
    assert found[one].every > 1


def test_what_a_pieprobe_saves_by_its_own_budget_is_for_the_others() -> None:
    found = paces({"a": Wanted(PODS, 1), "b": Wanted(PODS)}, budget=12 + PIE_PER_SECOND)
    assert {name: each.every for name, each in found.items()} == {"a": 11, "b": 1}


def test_runs_of_cronjobs_are_not_thinned_and_the_budget_is_not_held() -> None:
    found = paces({"p": Wanted(CRON, 10)})["p"]
    assert found == Pace(1, needs_of(CRON), 10, held=False, early=False)


def test_pods_are_thinned_for_cronjobs_as_far_as_half_of_their_part() -> None:
    both = {"pods": Wanted(PODS), "cron": Wanted(CRON)}
    found = paces(both, budget=24 + 5.5 + PIE_PER_SECOND)
    assert {name: (each.every, each.held) for name, each in found.items()} == {
        "pods": (2, True),
        "cron": (1, True),
    }
    found = paces(both, budget=17.5 + PIE_PER_SECOND)
    assert {name: (each.every, each.held) for name, each in found.items()} == {
        "pods": (4, True),
        "cron": (1, False),
    }


def test_bad_targets_have_early_runs_where_the_budget_has_room_for_them() -> None:
    assert [paces({"p": Wanted(PODS, budget)})["p"].early for budget in (None, 44, 43, 5)] == [
        True,
        True,
        False,
        False,
    ]


def test_what_the_control_plane_can_take_slows_down_without_a_budget() -> None:
    found = [paces({"p": Wanted(PODS)}, part=part)["p"].every for part in (1.0, 0.9, 0.5, 0.25, 1 / 16)]
    assert found == [1, 2, 2, 4, 16]


def test_a_slow_pace_stays_while_the_budget_has_hardly_room_for_a_faster_one() -> None:
    almost = {"p": Wanted(PODS, 5.6)}
    assert paces(almost, before={"p": 3})["p"].every == 3
    assert paces(almost, before={"p": 1})["p"].every == 2
    assert paces({"p": Wanted(PODS, 6.5)}, before={"p": 3})["p"].every == 2
    assert paces({"p": Wanted(PODS, 11)}, before={"p": 3})["p"].every == 1, "within the budget"


def test_canaries_count_and_are_not_thinned() -> None:
    canary = replace(PODS, mount=False, provision=False, canaries=(("block", 60.0),))
    of_canary = needs_of(canary)
    assert of_canary > 0
    found = paces({"p": Wanted(replace(PODS, canaries=canary.canaries), of_canary + 5.5)})["p"]
    assert (found.every, found.held) == (2, True)
    assert found.causes == pytest.approx(of_canary + 5.5)
    assert not paces({"p": Wanted(canary, of_canary / 2)})["p"].held


def test_resident_pods_cost_nothing_while_they_stay_and_start_as_the_budget_allows() -> None:
    residents = replace(PODS, nodes=600, mount=False, resident=True)
    assert needs_of(residents) == 0
    # 600 pods, 7 writes and 4 Events each: 110 a second if all start within a minute.
    found = [paces({"p": Wanted(residents, budget)})["p"].starts_every for budget in (None, 110, 55, 11)]
    assert found == [1, 1, 2, 10]
    busy = paces({"p": Wanted(replace(residents, nodes=60, mount=True), 11)})["p"]
    assert (busy.every, busy.starts_every) == (1, 10), "runs use the budget; a tenth of it is for starts"
    assert paces({"p": Wanted(residents)}, part=0.25)["p"].starts_every == 4


@quick
@given(wanted)
def test_without_a_budget_nothing_changes(found: dict[str, Wanted]) -> None:
    free = {name: replace(each, budget=None) for name, each in found.items()}
    assert {each.every for each in paces(free).values()} <= {1}
    assert all(each.early and each.held and not each.over for each in paces(free).values())


@quick
@given(wanted, budgets, st.floats(0.01, 1), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 50)))
def test_no_budget_is_passed_or_it_is_said(
    found: dict[str, Wanted], budget: float, part: float, before: dict[str, int]
) -> None:
    done = paces(found, budget, part=part, before=before)
    for name, each in done.items():
        own = found[name].budget
        assert own is None or each.causes <= own * 1.0001 or not each.held
        assert found[name].demand.runner is RunnerKind.POD or each.every == 1
    caused = sum(each.causes for each in done.values())
    room = max(0.0, budget - PIE_PER_SECOND)
    assert caused <= room * 1.0001 + 1e-6 or any(not each.held for each in done.values())


@quick
@given(wanted, budgets)
def test_within_all_budgets_nothing_changes(found: dict[str, Wanted], budget: float) -> None:
    needs = {name: needs_of(each.demand) for name, each in found.items()}
    fits = {name: replace(each, budget=max(needs[name], each.budget or 0.0)) for name, each in found.items()}
    done = paces(fits, max(budget, sum(needs.values()) * 1.000001 + PIE_PER_SECOND))
    assert {each.every for each in done.values()} <= {1}
