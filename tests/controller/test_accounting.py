"""Every due time is counted exactly once, and what is seen late, at once or never changes no verdict.

Also in a dirty cluster: each property holds with every kind of dirt that can be no reason against it.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.model import RunnerKind, Verdict
from pie.core.pods.calendar import paced
from pie.core.reasons import INCONCLUSIVE, Reason
from tests.controller.sidecars import Sidecar
from tests.controller.stories import (
    BEGIN_SECONDS,
    BUSY_SECONDS,
    END,
    FAULTS,
    GAPS,
    MAINTENANCE,
    OTHER,
    QUIET_SECONDS,
    SPEC,
    TARGETS,
    WELL,
    Script,
    cronjobs_go_on,
    cronjobs_stand_still,
    fails_on,
    played,
    quick,
    scripts,
    storage,
    with_gaps,
)
from tests.controller.world import NODE, PERIOD_SECONDS, PROVISION, T0, TARGET, World
from tests.core.build import probe
from tests.dirty.dirt import ALL, HARMLESS, UNTOLD, Dirt, dirts, soiled

GOES = BEGIN_SECONDS + BUSY_SECONDS
END_SECONDS = GOES + QUIET_SECONDS


on_each_runner = pytest.mark.parametrize("runner", list(RunnerKind))


@on_each_runner
def test_all_is_well_while_nothing_happens(runner: RunnerKind) -> None:
    outcome = played([], runner=runner)
    assert outcome.errors(END) == []
    assert outcome.counted_as() == {"on time"}
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}


def test_a_cronjob_controller_that_dies_in_mid_run_is_late_at_every_due_time_and_no_silence() -> None:
    outcome = played(
        [(BEGIN_SECONDS + 23, cronjobs_stand_still), (BEGIN_SECONDS + BUSY_SECONDS, cronjobs_go_on)]
    )
    assert outcome.errors(END) == []
    assert outcome.accounts.as_what(TARGET)["late"] >= BUSY_SECONDS // PERIOD_SECONDS - 1


def test_a_cronjob_that_was_just_resumed_has_its_time_to_start_the_run() -> None:
    maintenance = [(100, World.cordon), (150, World.uncordon)]
    slow = [(179, cronjobs_stand_still), (218, cronjobs_go_on)]  # it is resumed at second 191
    counted = played([*maintenance, *slow]).accounts.as_what(TARGET)
    assert set(counted) == {"on time", Reason.NODE_CORDONED}


def test_a_run_that_comes_into_sight_with_its_end_is_not_missing() -> None:
    gap = ("jobs", 172, 43)  # the Job of second 180 is there when the due time is looked at again
    assert played([(214, World.evict)], with_gaps([gap])).counted_as() == {"on time", Reason.POD_DELETED}


@on_each_runner
@quick
@given(scripts(MAINTENANCE + FAULTS), GAPS, dirts(ALL))
def test_every_due_time_is_counted_exactly_once(
    runner: RunnerKind, script: Script, gaps: list[tuple[str, int, int]], dirt: list[Dirt]
) -> None:
    ending = [(GOES, action) for action in WELL]
    outcome = played([*soiled(dirt, 0, GOES), *script, *ending], with_gaps(gaps), runner=runner)
    assert outcome.errors(END) == []
    assert outcome.in_series() == outcome.in_log()


@on_each_runner
@quick
@given(scripts(MAINTENANCE), st.integers(0, 1), dirts(UNTOLD))
def test_maintenance_alone_is_never_held_against_the_storage(
    runner: RunnerKind, script: Script, lag_seconds: int, dirt: list[Dirt]
) -> None:
    ending = [(GOES, action) for action in WELL]
    script = [*soiled(dirt, 0, GOES), *script, *ending]
    outcome = played(script, lambda kind, _: lag_seconds if kind == "nodes" else 0, runner=runner)
    assert "late" not in outcome.counted_as()
    assert outcome.io["false"] == 0
    # A run may outlive the maintenance that its due time was counted for, and then do its I/O.
    assert outcome.io["true"] + outcome.cut_short >= outcome.accounts.as_what(TARGET)["on time"]
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}
    assert outcome.errors(END) == []


@on_each_runner
@quick
@given(scripts([each for each in MAINTENANCE if each is not World.evict]), dirts(HARMLESS))
def test_maintenance_alone_is_no_incident_of_any_area(
    runner: RunnerKind, script: Script, dirt: list[Dirt]
) -> None:
    script = [*soiled(dirt, 0, GOES), *script, *((GOES, action) for action in WELL)]
    outcome = played(script, runner=runner)
    assert outcome.incidents == set()
    assert not [each for each in outcome.counted_as() if each in set(INCONCLUSIVE)]


def test_a_late_start_right_after_a_reboot_waits_for_the_node_to_tell_of_it() -> None:
    reboot = [(183, World.power_off), (212, World.power_on)]
    assert "late" not in played(reboot, with_gaps([("nodes", 215, 8)])).counted_as()


def test_a_run_that_goes_on_after_a_reboot_waits_for_the_node_to_tell_of_it_though_it_ends_before() -> None:
    assert "late" not in played([(303, World.power_off), (330, World.power_on)]).counted_as()


def test_a_late_run_that_is_evicted_from_a_dead_node_waits_for_kubernetes_to_notice_that_it_is_dead() -> None:
    assert "late" not in played([(240, World.power_off), (267, World.evict)]).counted_as()


def test_a_kubelet_that_comes_back_while_a_late_run_is_doubted_has_the_time_to_tell_of_its_boot() -> None:
    assert "late" not in played([(112, World.power_off), (143, World.power_on)]).counted_as()


@pytest.mark.parametrize("beside", [(), (Sidecar("vault-agent"),)])
def test_a_pod_that_is_deleted_in_time_is_not_late_though_the_watch_of_jobs_does_not_show_its_end(
    beside: tuple[Sidecar, ...],
) -> None:
    def inject(world: World) -> None:
        world.sidecars = beside

    evictions = [(0, inject), (242, World.evict), (258, World.evict)]
    gaps = [("jobs", 207, 29), ("jobs", 240, 42), ("cronjobs", 39, 42)]
    outcome = played(evictions, with_gaps(gaps))
    assert outcome.counted_as() == {"on time", Reason.POD_DELETED}
    assert outcome.errors(END) == []


@pytest.mark.parametrize("state", ["hangs", "does not mount"])
def test_a_pod_that_is_deleted_in_time_is_not_late_though_its_job_is_seen_later_and_not_yet_its_end(
    state: str,
) -> None:
    script = [(115, storage(state)), (130, World.evict), (131, storage("well"))]
    gaps = [("jobs", 101, 35), ("jobs", 129, 19)]  # at second 136 the Jobs of second 129 are seen
    outcome = played(script, with_gaps(gaps))
    assert outcome.counted_as() == {"on time", Reason.POD_DELETED}
    assert outcome.errors(END) == []


def test_a_pod_that_pie_started_and_never_saw_is_deleted_and_not_late_though_the_next_run_is_good() -> None:
    # The pod is deleted before the watch shows it; the next run ends before that is settled.
    due = int(paced(PROVISION, probe()).next_due(T0 + 110) - T0)
    gaps = [("pods", due - 1, 12), ("nodes", due + 29, 45)]
    outcome = played([(due + 1, World.evict)], with_gaps(gaps), runner=RunnerKind.POD)
    assert outcome.counted_as() == {"on time", Reason.POD_DELETED}


def test_a_pod_that_is_deleted_in_mid_run_did_not_hang_though_the_watch_of_jobs_does_not_show_its_end() -> (
    None
):
    script = [(200, storage("hangs")), (250, World.evict), (251, storage("well"))]
    outcome = played(script, with_gaps([("jobs", 241, 60)]))
    assert Verdict.HUNG.value not in {verdict for verdict, _ in outcome.told}


@on_each_runner
@quick
@given(scripts([World.power_off, World.power_on, World.evict]), GAPS, dirts(UNTOLD))
def test_what_a_node_does_in_a_gap_of_the_watches_is_not_held_against_the_storage(
    runner: RunnerKind, script: Script, gaps: list[tuple[str, int, int]], dirt: list[Dirt]
) -> None:
    ending = [(GOES, action) for action in WELL]
    outcome = played([*soiled(dirt, 0, GOES), *script, *ending], with_gaps(gaps), runner=runner)
    assert "late" not in outcome.counted_as()
    assert outcome.io["false"] == 0


@on_each_runner
@quick
@given(scripts(FAULTS), GAPS, dirts(HARMLESS))
def test_without_maintenance_nothing_is_suppressed(
    runner: RunnerKind, script: Script, gaps: list[tuple[str, int, int]], dirt: list[Dirt]
) -> None:
    outcome = played([*soiled(dirt, 0, END_SECONDS), *script], with_gaps(gaps), runner=runner)
    assert outcome.counted_as() <= {"on time", "late", *INCONCLUSIVE}


@on_each_runner
@quick
@given(scripts([*MAINTENANCE, *FAULTS]), GAPS, dirts(HARMLESS))
def test_gaps_in_the_watches_change_no_verdict_in_the_end(
    runner: RunnerKind, script: Script, gaps: list[tuple[str, int, int]], dirt: list[Dirt]
) -> None:
    script = [*soiled(dirt, 0, END_SECONDS), *script]
    if runner == RunnerKind.POD:
        # A pod that is not yet seen to be gone delays the next one. So a run that maintenance cut short in
        # one story may be over in the other: the nodes come back, and the runs after that are compared.
        script += [(GOES, World.power_on), (GOES, World.uncordon)]
    assert played(script, with_gaps(gaps), runner=runner).states == played(script, runner=runner).states


# Threshold, deadline and period are a minute each, by default; a provision run then has two nodes to go to.
DEFAULTS = {**SPEC, "probeThreshold": "1m", "deadline": "1m"}
WIDE: dict[str, Any] = {"spec": DEFAULTS, "nodes": (OTHER,)}
WIDE_END = END - 100


def test_where_a_volume_can_be_used_on_one_node_only_every_due_time_of_the_class_is_on_time() -> None:
    outcome = played([(BEGIN_SECONDS, fails_on("does not mount", NODE))], quiet=1000, **WIDE)
    assert outcome.errors(WIDE_END + 600) == []
    assert set(outcome.accounts.as_what(TARGETS[""])) == {"on time"}
    assert "late" in outcome.accounts.as_what(TARGET)


@pytest.mark.parametrize("state", ["does not mount", "hangs", "fails"])
@on_each_runner
def test_no_due_time_is_lost_in_a_long_outage_of_the_whole_class(runner: RunnerKind, state: str) -> None:
    outcome = played([(BEGIN_SECONDS, storage(state))], quiet=2700, **WIDE, runner=runner)
    assert outcome.errors(WIDE_END + 2300) == []
    assert outcome.accounts.as_what(TARGETS[""])["late"] >= 40


@on_each_runner
@quick
@given(
    scripts([*MAINTENANCE, *FAULTS, fails_on("does not mount", NODE), fails_on("hangs", OTHER)]),
    GAPS,
    dirts(ALL),
)
def test_every_due_time_of_a_class_on_two_nodes_is_counted_exactly_once(
    runner: RunnerKind, script: Script, gaps: list[tuple[str, int, int]], dirt: list[Dirt]
) -> None:
    script = [*soiled(dirt, 0, GOES), *script, *((GOES, action) for action in WELL)]
    outcome = played(script, with_gaps(gaps), quiet=QUIET_SECONDS + 200, **WIDE, runner=runner)
    assert outcome.errors(WIDE_END + 200) == []


@pytest.mark.parametrize("second", [BEGIN_SECONDS, BEGIN_SECONDS + 15, BEGIN_SECONDS + 30])
def test_a_node_that_is_deleted_takes_its_due_times_along(second: int) -> None:
    outcome = played([(second, World.delete_node)], quiet=0)
    assert outcome.accounts.errors(TARGET, PERIOD_SECONDS, T0 + 1, T0 + second) == []
    assert "late" not in outcome.counted_as()


@pytest.mark.parametrize("second", [242, 255, 262, 299])
def test_a_node_that_is_deleted_in_maintenance_takes_its_due_times_along(second: int) -> None:
    outcome = played([(130, World.cordon), (second, World.delete_node)], quiet=0)
    assert outcome.accounts.errors(TARGET, PERIOD_SECONDS, T0 + 1, T0 + second) == []
    assert "late" not in outcome.counted_as()
