"""What the controller makes of nodes whose clocks are wrong, and of kubelets that fall silent."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from pie.core.model import Verdict
from pie.core.reasons import Reason
from tests.controller.lives import lived
from tests.controller.stories import (
    BEGIN_SECONDS,
    BUSY_SECONDS,
    END,
    FAULTS,
    MAINTENANCE,
    SPEC,
    WELL,
    Script,
    played,
    quick,
    scripts,
    storage,
)
from tests.controller.world import NODE, TARGET, World


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


@pytest.mark.parametrize("ahead", [-600, 600])
@quick
@given(scripts([*MAINTENANCE, *FAULTS]))
def test_clocks_that_are_ten_minutes_wrong_change_nothing(ahead: int, script: Script) -> None:
    ending = [(BEGIN_SECONDS + BUSY_SECONDS, action) for action in WELL]
    right = played([*script, *ending])
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


def everywhere(world: World) -> None:
    world.storage, world.storage_fails_on = "fails", None


def test_many_nodes_in_doubt_cost_one_list_of_leases_and_no_read_of_each() -> None:
    few: dict[str, Any] = {"nodes": MANY[:5], "disableProvisionProbe": True}
    many: dict[str, Any] = {"nodes": MANY, "disableProvisionProbe": True}
    before, after = ((190, [(0, everywhere)]), (250, [(0, everywhere)]))
    (alone,) = lived(before, **few)
    assert alone.asked["list", "leases"] == 0
    assert alone.asked["get", "leases"] >= 6
    counts = [lived(life, **many)[0].asked for life in (before, after)]
    lists, reads = ([asked[verb, "leases"] for asked in counts] for verb in ("list", "get"))
    assert 1 <= lists[1] - lists[0] <= 2
    assert reads[1] - reads[0] <= 20
    assert counts[1]["get", "nodes"] - counts[0]["get", "nodes"] <= 20
    assert NODE not in MANY
