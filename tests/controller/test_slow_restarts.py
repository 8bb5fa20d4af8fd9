"""Storage that turned slow stays slow for the next controller too, and costs no writes."""

from pie.core.latency import RUNS_NEEDED
from tests.controller.lives import Script, lived
from tests.controller.world import PERIOD_SECONDS, World

GOOD_SECONDS = (RUNS_NEEDED + 1) * PERIOD_SECONDS
SLOW_SECONDS = 6 * PERIOD_SECONDS


def takes(world: World, seconds: float) -> None:
    world.io_seconds = seconds


def slow(world: World) -> None:
    takes(world, 0.5)


def quick(world: World) -> None:
    takes(world, 0.001)


FIRST: tuple[int, Script] = (GOOD_SECONDS + SLOW_SECONDS, [(0, quick), (GOOD_SECONDS, slow)])


def test_an_incident_of_slow_io_stays_open_over_a_restart_and_closes_when_it_is_quick_again() -> None:
    before, after, again = lived(FIRST, (4 * PERIOD_SECONDS, []), (3 * PERIOD_SECONDS, [(0, quick)]))
    (incident,) = before.incidents
    assert (incident["reason"], incident["open"]) == ("IOSlow", True)
    assert after.incidents == [incident]
    assert again.incidents == [{**incident, "open": False}]


def test_after_a_restart_a_quick_target_is_slow_only_after_several_runs() -> None:
    spike: Script = [(PERIOD_SECONDS, slow), (3 * PERIOD_SECONDS, quick)]
    _, after = lived((GOOD_SECONDS, [(0, quick)]), (6 * PERIOD_SECONDS, spike))
    assert after.incidents == []
    assert after.value("pie_target_healthy", probe="mount") == 1


def test_what_is_usual_is_written_once() -> None:
    once, steady = lived((GOOD_SECONDS, [(0, quick)]), (GOOD_SECONDS, []))
    assert once.asked["patch", "persistentvolumeclaims"] == 2  # the other one: its identity
    assert steady.asked["patch", "persistentvolumeclaims"] == 0
