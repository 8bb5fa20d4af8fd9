"""A run that cannot recover is replaced by pie itself; what it was counted as stays."""

from collections.abc import Coroutine
from typing import Any

from structlog.testing import capture_logs

from pie.core.model import Verdict
from tests.controller.simulation import Simulation
from tests.controller.stories import Script, at_once, storage
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, T0, TARGET, World

DUE_SECONDS, REPLACED_SECONDS = 120, 170
UNBOUND: Script = [(DUE_SECONDS - 10, storage("does not bind"))]
DUE = T0 + DUE_SECONDS
ALONE = {**BASE_SPEC, "disableProvisionProbe": True}


def lines_of(play: Coroutine[Any, Any, None]) -> list[Any]:
    with capture_logs() as lines:
        in_virtual_time(play)
    return lines


def counted(lines: list[Any]) -> list[tuple[str, Any]]:
    """Return what the due time was counted as, each time."""
    events = {"counted", "counted as suppressed", "counted as inconclusive"}
    return [
        (line["event"], line.get("on_time"))
        for line in lines
        if line["event"] in events and line["due"] == DUE
    ]


def test_a_run_that_pie_replaced_stays_late_in_the_history() -> None:
    async def play() -> None:
        simulation = Simulation(at_once)
        simulation.world.begin(ALONE)
        await simulation.run(REPLACED_SECONDS + 5, UNBOUND)
        (run,) = [each for each in simulation.controller.history.runs(TARGET) if each.due == DUE]
        assert (run.verdict, run.ended) == (Verdict.LATE, True)
        assert simulation.controller.history.letters(TARGET, DUE, 1) == "l"

    lines = lines_of(play())
    assert any(line["event"] == "deleting the pod of a run that cannot recover" for line in lines)
    assert counted(lines) == [("counted", False)]


def test_of_a_run_that_an_earlier_controller_replaced_nobody_knows_why_it_was_late() -> None:
    def jobs_unseen(kind: str, second: int) -> int:
        return max(0, second - DUE_SECONDS - 20) if kind == "jobs" else 0

    async def play() -> None:
        first = Simulation(jobs_unseen)
        first.world.begin(ALONE)
        await first.run(REPLACED_SECONDS + 5, UNBOUND)
        assert not first.world.objects["pods"]
        await Simulation(at_once, first).run(10, [])

    assert counted(lines_of(play())) == [("counted", False), ("counted as inconclusive", None)]


def test_a_run_whose_pod_is_deleted_before_its_threshold_is_inconclusive() -> None:
    async def play() -> None:
        simulation = Simulation(at_once)
        simulation.world.begin(ALONE)
        await simulation.run(REPLACED_SECONDS, [*UNBOUND, (DUE_SECONDS + 15, World.evict)])

    assert counted(lines_of(play())) == [("counted as inconclusive", None)]
