"""`spec.io` of a PieProbe: a limit for its latency, another job, and values that are refused."""

from typing import Any

import pytest

from pie.core.latency import RUNS_NEEDED
from tests.controller.lives import Script, lived
from tests.controller.simulation import Simulation
from tests.controller.stories import at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, PERIOD_SECONDS, World

LEARNT_SECONDS = (RUNS_NEEDED + 1) * PERIOD_SECONDS


def slow(world: World) -> None:
    world.io_seconds = 0.5


def quick(world: World) -> None:
    world.io_seconds = 0.001


def large_blocks(world: World) -> None:
    """Let each run read more at a time, which takes longer."""
    probe = world.objects["pieprobes"]["p"]
    world.put("pieprobes", {**probe, "spec": {**probe["spec"], "io": {"blockSize": "1M"}}})
    slow(world)


@pytest.mark.parametrize("runner", ["CronJob", "Pod"])
def test_the_first_run_above_the_limit_is_slow(runner: str) -> None:
    limit = {"io": {"maxLatency": "400ms"}, "runner": runner}
    once, more = lived((PERIOD_SECONDS + 45, []), (2 * PERIOD_SECONDS, []), given=[slow], **limit)
    assert once.value("pie_target_healthy", probe="mount") == 0
    assert once.value("pie_mount_probe_total", on_time="true")
    assert once.value("pie_performance_on_mount_probe_total", succeed="false") == 0
    assert [(each["reason"], each["open"]) for each in more.incidents] == [("IOSlow", True)]


def test_a_run_within_the_limit_is_good() -> None:
    (outcome,) = lived((4 * PERIOD_SECONDS, []), given=[slow], io={"maxLatency": "500ms"})
    assert outcome.value("pie_target_healthy", probe="mount") == 1
    assert outcome.incidents == []


@pytest.mark.parametrize("runner", ["CronJob", "Pod"])
def test_runs_of_another_job_are_not_compared_with_earlier_ones(runner: str) -> None:
    changed: Script = [(0, quick), (LEARNT_SECONDS, large_blocks)]
    outcomes = lived((LEARNT_SECONDS + 5 * PERIOD_SECONDS, changed), (5 * PERIOD_SECONDS, []), runner=runner)
    for outcome in outcomes:
        assert outcome.incidents == []
        assert outcome.value("pie_target_healthy", probe="mount") == 1


def ready(**spec: Any) -> dict[str, Any]:
    """Return the condition Ready of a PieProbe that an older CRD let in."""

    async def live() -> World:
        simulation = Simulation(at_once)
        simulation.world.begin({**BASE_SPEC, **spec})
        await simulation.run(PERIOD_SECONDS, [])
        return simulation.world

    world = in_virtual_time(live())
    assert not world.objects["cronjobs"]
    conditions = world.objects["pieprobes"]["p"]["status"]["conditions"]
    found: dict[str, Any] = next(each for each in conditions if each["type"] == "Ready")
    return found


@pytest.mark.parametrize(
    ("io", "words"),
    [
        ({"size": "50M --exec_prerun=id"}, "spec.io.size: must be one of 1M, 4M"),
        ({"ioDepth": 3}, "spec.io.ioDepth: must be one of 1, 2, 4, 8, 16"),
        ({"maxLatency": "fast"}, "spec.io.maxLatency: 'fast' is not a positive duration"),
    ],
)
def test_what_is_in_no_closed_set_is_refused_in_words(io: dict[str, Any], words: str) -> None:
    condition = ready(io=io)
    assert (condition["status"], condition["reason"]) == ("False", "InvalidSpec")
    assert words in condition["message"]
