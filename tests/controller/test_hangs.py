"""How long a target hangs is told while a run hangs on it, and no longer."""

from tests.controller.lives import Outcome, Script, lived
from tests.controller.stories import storage
from tests.controller.world import NODE, World

DUE_SECONDS = 120
HUNG: Script = [(DUE_SECONDS - 10, storage("hangs"))]


def hung_seconds(outcome: Outcome) -> float | None:
    return outcome.value("pie_target_hung_seconds", node=NODE, probe="mount")


def test_a_hang_lasts_from_its_due_time_on() -> None:
    (outcome,) = lived((DUE_SECONDS + 100, HUNG))
    assert hung_seconds(outcome) == 100


def test_a_hang_is_over_when_its_run_goes_though_maintenance_keeps_the_next_one_from_starting() -> None:
    cure: Script = [
        (DUE_SECONDS + 70, World.cordon),
        (DUE_SECONDS + 80, World.power_off),
        (DUE_SECONDS + 140, World.power_on),
    ]
    (outcome,) = lived((DUE_SECONDS + 200, [*HUNG, *cure]))
    assert hung_seconds(outcome) is None
    assert outcome.value("pie_target_suppressed", node=NODE) == 1


def test_a_hang_is_over_when_somebody_deletes_its_job() -> None:
    def delete_jobs(world: World) -> None:
        for name in list(world.objects["jobs"]):
            world.delete_job(name)

    cure: Script = [(DUE_SECONDS + 70, World.cordon), (DUE_SECONDS + 80, delete_jobs)]
    (outcome,) = lived((DUE_SECONDS + 90, [*HUNG, *cure]))
    assert hung_seconds(outcome) is None


def test_a_hang_goes_on_in_maintenance_while_its_pod_is_there() -> None:
    (outcome,) = lived((DUE_SECONDS + 100, [*HUNG, (DUE_SECONDS + 70, World.cordon)]))
    assert hung_seconds(outcome) == 100
