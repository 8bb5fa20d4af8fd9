"""What a suppressed run measured is not shown: it says nothing about storage."""

from tests.controller.lives import lived
from tests.controller.stories import Script, storage
from tests.controller.world import NODE, World

DUE_SECONDS = 120


def quick(world: World) -> None:
    world.io_seconds = 0.001


def slow(world: World) -> None:
    world.io_seconds = 0.5


def test_a_run_that_maintenance_excuses_changes_neither_latency_nor_stages() -> None:
    maintenance: Script = [
        (DUE_SECONDS - 10, slow),
        (DUE_SECONDS - 10, storage("fails")),
        (DUE_SECONDS + 2, World.cordon),
    ]
    (outcome,) = lived((DUE_SECONDS + 30, [(0, quick), *maintenance]))
    excused = outcome.value("pie_suppressed_runs_total", probe="performance", reason="NodeCordoned")
    assert excused == 1
    assert outcome.value("pie_io_read_latency_on_mount_probe_seconds", node=NODE) == 0.001
    stages = outcome.value("pie_stage_duration_seconds_count", probe="mount", stage="schedule")
    assert stages == 1
