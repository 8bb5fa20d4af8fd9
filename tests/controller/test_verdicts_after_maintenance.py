"""What a target was called before its maintenance is not said of it afterwards."""

from typing import Any

from tests.controller.simulation import Simulation
from tests.controller.stories import at_once, storage
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, World

# Runs are due at full minutes; the CronJob of a node that is back is resumed just after the next one.
BAD_SECONDS, CORDONED_SECONDS, BACK_SECONDS, ASKED_SECONDS = 110, 140, 190, 225


def status_after(fault: str) -> Any:
    """Return the status after a node with a fault came back from maintenance, and before its next run."""

    async def play() -> Any:
        simulation = Simulation(at_once)
        simulation.world.begin({**BASE_SPEC, "disableProvisionProbe": True})
        script = [
            (BAD_SECONDS, storage(fault)),
            (CORDONED_SECONDS, World.cordon),
            (BACK_SECONDS, World.uncordon),
        ]
        await simulation.run(ASKED_SECONDS, script)
        assert simulation.metrics().count("pie_mount_probe_total{") == 2
        return simulation.world.objects["pieprobes"]["p"]["status"]

    return in_virtual_time(play())


def test_a_node_that_was_bad_before_its_maintenance_is_not_known_after_it() -> None:
    status = status_after("fails")
    assert (status["targets"]["bad"], status["targets"]["pending"]) == (0, 1)
    assert status["summary"] == "no result yet"


def test_what_a_run_read_stands() -> None:
    assert status_after("corrupts")["targets"]["failed"] == 1
