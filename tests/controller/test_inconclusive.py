"""Runs that could not test the storage are never held against it, and are reported all the same."""

from typing import Any

import pytest

from pie.core.model import Verdict
from pie.core.reasons import AREA, Area, Reason
from tests.controller.lives import incidents_of
from tests.controller.simulation import Simulation
from tests.controller.stories import BEGIN_SECONDS, OTHER, SPEC, TARGETS, at_once, played
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, NODE, PERIOD_SECONDS, T0, TARGET, World
from tests.dirty.dirt import BY_NAME
from tests.dirty.expected import RIGHT
from tests.dirty.kubelets import pulls_nothing
from tests.harness import Samples

QUOTA = BY_NAME["a ResourceQuota that is used up"]
GOES = BEGIN_SECONDS + 6 * PERIOD_SECONDS


def condition(world: World, name: str) -> dict[str, Any]:
    found = world.objects["pieprobes"]["p"]["status"]["conditions"]
    return next(each for each in found if each["type"] == name)


def test_a_quota_on_pies_own_namespace_is_no_fault_of_the_storage_but_pie_says_that_it_is_blind() -> None:
    async def play() -> None:
        simulation = Simulation(at_once)
        simulation.world.begin({**BASE_SPEC, "disableProvisionProbe": True})
        await simulation.run(GOES, [(BEGIN_SECONDS, QUOTA.comes)])
        world, shown = simulation.world, Samples(simulation.metrics())

        (incident,) = world.objects["pieprobes"]["p"]["status"]["incidents"]
        assert (incident["area"], incident["reason"], "closedAt" in incident) == ("pie", "PodRefused", False)
        blind = condition(world, "Blind")
        assert (blind["status"], blind["reason"]) == ("True", "PodRefused")
        assert "exceeded quota" in blind["message"]
        assert shown.value("pie_incident_open", area="pie", reason="PodRefused") == 1
        assert shown.value("pie_incidents_total", area="pie") == 1
        assert shown.value("pie_incidents_total", area="storage") == 0
        inconclusive = shown.value(
            "pie_inconclusive_runs_total", probe="mount", area="pie", reason="PodRefused"
        )
        assert inconclusive is not None
        assert inconclusive >= 4

        # Nobody knows any more how the storage is.
        assert world.objects["pieprobes"]["p"]["status"]["targets"]["unknown"] == 1
        assert condition(world, "MountHealthy")["status"] == "Unknown"
        assert shown.all("pie_target_healthy") == []

        await simulation.run(3 * PERIOD_SECONDS, [(0, QUOTA.goes)])
        shown = Samples(simulation.metrics())
        assert [each["open"] for each in incidents_of(world)] == [False]
        assert condition(world, "Blind")["status"] == "False"
        assert condition(world, "MountHealthy")["status"] == "True"
        assert shown.value("pie_target_healthy") == 1
        assert shown.value("pie_mount_probe_total", on_time="false") == 0

    in_virtual_time(play())


def test_where_a_pod_cannot_run_on_one_node_a_run_on_another_one_tests_the_class() -> None:
    def stuck(world: World) -> None:
        world.waits["image"] = pulls_nothing(NODE)

    spec = {**SPEC, "probeThreshold": "1m", "deadline": "1m"}
    outcome = played([(BEGIN_SECONDS, stuck)], quiet=400, spec=spec, nodes=(OTHER,))
    assert set(outcome.accounts.as_what(TARGETS[""])) == {"on time"}
    counted = outcome.accounts.as_what(TARGET)
    assert set(counted) == {"on time", Reason.IMAGE_PULL}
    assert counted[Reason.IMAGE_PULL] >= 8, "a run that goes on counts each due time that it blocks"
    # A node where pie's own image is missing is nothing that the provision probe reports.
    assert outcome.states[TARGETS[""]] == (Verdict.OK, Reason.OK)


def test_a_run_that_was_on_time_and_then_could_not_test_io_has_no_result_of_it() -> None:
    memory = BY_NAME["a LimitRange with too little memory"]
    outcome = played([(10, memory.comes), (GOES, memory.goes)])
    assert set(outcome.accounts.as_what(TARGET)) == {"on time"}
    labels = {"probe": "performance", "area": "node", "reason": "OutOfMemory"}
    without_io = outcome.counted.value("pie_inconclusive_runs_total", **labels)
    assert without_io is not None
    assert without_io >= 4
    assert outcome.io["false"] == 0


@pytest.mark.parametrize("row", RIGHT, ids=lambda row: row.dirt)
def test_a_run_that_could_not_test_the_storage_is_counted_as_nothing_else(row: Any) -> None:
    dirt = BY_NAME[row.dirt]
    outcome = played([(10, dirt.comes), (GOES, dirt.goes)])
    counted = outcome.accounts.as_what(TARGET)
    assert set(counted) - {"on time"} <= {
        each.value for each in Reason if AREA.get(each) in {Area.NODE, Area.PIE}
    }
    assert outcome.io["false"] == 0
    assert outcome.errors(T0 + GOES - 100) == []
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}
