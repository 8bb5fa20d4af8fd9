"""What the controller makes of nodes whose clocks are wrong, and of kubelets that fall silent."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.model import Verdict
from pie.core.reasons import Reason
from tests.controller.lives import Outcome, lived
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    BEGIN_SECONDS,
    BUSY_SECONDS,
    END,
    FAULTS,
    MAINTENANCE,
    SPEC,
    WELL,
    Script,
    at_once,
    played,
    quick,
    scripts,
    storage,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import TARGET, World


def clocks(ahead: int, *, stamped: bool = True) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.node_clock_seconds, world.leases_are_stamped = ahead, stamped

    return change


def lease_of(seconds: int) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.lease_seconds = seconds

    return change


def no_node_controller(world: World) -> None:
    world.node_controller_stands_still = True


@quick
@given(scripts([*MAINTENANCE, *FAULTS]))
def test_clocks_that_are_ten_minutes_wrong_change_nothing(script: Script) -> None:
    ending = [(BEGIN_SECONDS + BUSY_SECONDS, action) for action in WELL]
    right = played([*script, *ending])
    for ahead in (-600, 600):
        wrong = played([(0, clocks(ahead)), *script, *ending])
        assert wrong.errors(END) == []
        assert wrong.accounts.as_what(TARGET) == right.accounts.as_what(TARGET)
        assert (wrong.states, wrong.io, wrong.cut_short) == (right.states, right.io, right.cut_short)


@pytest.mark.parametrize("ahead", [-600, 0, 600])
@pytest.mark.parametrize("stamped", [True, False])
def test_a_fault_on_a_node_that_is_alive_is_told_whatever_its_clock(ahead: int, stamped: bool) -> None:
    fault: Script = [(0, clocks(ahead, stamped=stamped)), (100, storage("fails"))]
    (outcome,) = lived((127 if stamped else 150, fault))
    # The run of second 120 ends at 126; only where its Lease has no stamp, it is looked at twice.
    assert outcome.value("pie_performance_on_mount_probe_total", succeed="false") == (0 if stamped else 1)
    (outcome,) = lived((132 if stamped else 150, fault))
    assert outcome.value("pie_performance_on_mount_probe_total", succeed="false") == 1


@pytest.mark.parametrize("ahead", [-600, 0, 600])
@pytest.mark.parametrize("stamped", [True, False])
def test_a_kubelet_that_is_silent_for_as_long_as_its_lease_lasts_excuses_its_runs_without_kubernetes(
    ahead: int, stamped: bool
) -> None:
    # The run of second 120 is late at 140, on a node that lost its power at 110.
    script: Script = [(0, clocks(ahead, stamped=stamped)), (0, no_node_controller), (110, World.power_off)]
    outcome = played([*script, (300, World.power_on)], quiet=300)
    counted = outcome.accounts.as_what(TARGET)
    assert set(counted) == {"on time", Reason.NODE_NOT_READY}
    assert outcome.states[TARGET] == (Verdict.OK, Reason.OK)
    assert outcome.errors(END) == []


@pytest.mark.parametrize("nodes", [(), ("n2",)])
@pytest.mark.parametrize("second", [124, 125, 126])
def test_a_look_at_a_node_is_not_used_again_for_a_later_doubt(second: int, nodes: tuple[str, ...]) -> None:
    # What the first target learns of the silent node suppresses the runs of the others for a while, too.
    script: Script = [(0, one_power_supply), (0, no_node_controller), (second, World.power_off)]
    outcome = played([*script, (BEGIN_SECONDS + BUSY_SECONDS, World.power_on)], nodes=nodes)
    assert outcome.counted_as() == {"on time", Reason.NODE_NOT_READY}
    assert outcome.io["false"] == 0
    assert outcome.errors(END) == []


@pytest.mark.parametrize(("lease_seconds", "at_second"), [(10, 142), (40, 152), (100, 212)])
def test_the_lease_s_own_duration_says_when_a_node_is_silent(lease_seconds: int, at_second: int) -> None:
    script: Script = [(0, lease_of(lease_seconds)), (0, no_node_controller), (110, World.power_off)]
    suppressed = [
        lived((second, script))[0].value("pie_suppressed_runs_total", probe="mount", reason="NodeNotReady")
        for second in (at_second - 4, at_second + 4)
    ]
    assert suppressed[0] == 0
    assert suppressed[1] >= 1


def test_a_kubelet_that_misses_one_renewal_and_comes_back_excuses_nothing() -> None:
    script: Script = [(0, no_node_controller), (100, storage("does not mount"))]
    outcome = played([*script, (122, World.power_off), (145, World.power_on)], spec=SPEC)
    assert outcome.accounts.as_what(TARGET)["late"] >= 2


MANY = [f"n{number:03}" for number in range(2, 42)]


def all_fail(world: World) -> None:
    world.storage = "fails"


def one_power_supply(world: World) -> None:
    world.one_power_supply = True


# Between these seconds the runs of second 180 end, and all fail.
BEFORE, AFTER = 175, 235


def test_many_nodes_in_doubt_cost_a_list_of_leases_and_no_read_of_each() -> None:
    spec: dict[str, Any] = {"disableProvisionProbe": True}
    fault: Script = [(0, all_fail)]
    (few,) = lived((AFTER, fault), nodes=MANY[:5], **spec)
    assert few.asked["list", "leases"] == 0
    assert few.asked["get", "leases"] >= 6
    before, after = (lived((second, fault), nodes=MANY, **spec)[0].asked for second in (BEFORE, AFTER))
    lists, leases, nodes = (
        after[key] - before[key] for key in (("list", "leases"), ("get", "leases"), ("get", "nodes"))
    )
    # The runs of the schedule, and one early run of each a while after.
    assert 1 <= lists <= 2
    assert leases <= 2 * 20
    assert nodes <= 2 * 20


@pytest.mark.parametrize("forbidden", [[], [("list", "leases")]], ids=["today", "earlier"])
def test_many_nodes_that_die_at_once_are_no_fault_of_the_storage_whatever_pie_may_read(
    forbidden: list[tuple[str, str]],
) -> None:
    async def live() -> Outcome:
        simulation = Simulation(at_once)
        simulation.wire.forbidden.update(forbidden)
        simulation.world.begin({**SPEC, "disableProvisionProbe": True}, *MANY)
        script: Script = [(0, no_node_controller), (0, one_power_supply), (110, World.power_off)]
        await simulation.run(230, script)
        return Outcome(simulation)

    outcome = in_virtual_time(live())
    suppressed = outcome.value("pie_suppressed_runs_total", probe="mount", reason="NodeNotReady")
    assert suppressed is not None
    assert suppressed >= len(MANY)
    assert outcome.incidents == []


@st.composite
def outages(draw: st.DrawFn) -> Script:
    """Power that goes and comes back, never for so short that a kubelet would not even have started."""
    script: Script = []
    second, actions = BEGIN_SECONDS, (World.power_off, World.power_on)
    for wait in draw(st.lists(st.integers(12, 90), min_size=1, max_size=6)):
        second += wait
        script.append((second, actions[len(script) % 2]))
    return [each for each in script if each[0] < BEGIN_SECONDS + BUSY_SECONDS]


@quick
@given(outages(), st.sampled_from([-600, 0, 600]), st.booleans())
def test_without_a_node_controller_what_nodes_do_is_not_held_against_the_storage(
    script: Script, ahead: int, stamped: bool
) -> None:
    ending = [(BEGIN_SECONDS + BUSY_SECONDS, action) for action in WELL]
    outcome = played([(0, clocks(ahead, stamped=stamped)), (0, no_node_controller), *script, *ending])
    assert "late" not in outcome.counted_as()
    assert outcome.io["false"] == 0
    assert outcome.errors(END) == []
