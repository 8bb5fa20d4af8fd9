"""What of a class probably cannot work stands in the status before the first run, until a run is good."""

from typing import Any

import pytest

from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, at_once, storage
from tests.controller.virtualtime import in_virtual_time

DRIVER = "d.example"
XFS = {"csi.storage.k8s.io/fstype": "xfs"}


def warned(
    seconds: int,
    parameters: dict[str, str],
    *,
    policy: str = "File",
    state: str = "does not mount",
    lives: int = 1,
) -> tuple[str, str]:
    """Return status and reason of the condition after so many seconds, of the last of some controllers."""

    async def play() -> tuple[str, str]:
        simulation: Simulation | None = None
        for _ in range(lives):
            first = simulation is None
            simulation = Simulation(at_once, simulation)
            world = simulation.world
            if first:
                world.begin(SPEC)
                found = world.objects["storageclasses"]["c"]
                world.put("storageclasses", {**found, "provisioner": DRIVER, "parameters": parameters})
                world.objects["csidrivers"] = {
                    DRIVER: {"metadata": {"name": DRIVER}, "spec": {"fsGroupPolicy": policy}}
                }
            await simulation.run(seconds, [(0, storage(state))])
        assert simulation is not None
        listed: list[dict[str, Any]] = simulation.world.objects["pieprobes"]["p"]["status"]["conditions"]
        (told,) = [each for each in listed if each["type"] == "ClassWarning"]
        return told["status"], told["reason"]

    return in_virtual_time(play())


@pytest.mark.parametrize(
    ("parameters", "policy", "reason"),
    [
        (XFS, "File", "CapacityTooSmall"),
        ({}, "ReadWriteOnceWithFSType", "FsGroupIgnored"),
    ],
)
def test_it_is_said_before_the_first_run_and_until_a_run_is_good(
    parameters: dict[str, str], policy: str, reason: str
) -> None:
    assert warned(20, parameters, policy=policy) == ("True", reason)
    assert warned(300, parameters, policy=policy) == ("True", reason)
    assert warned(300, parameters, policy=policy, state="well") == ("False", "OK")


def test_what_a_good_run_disproved_is_not_said_again_after_a_restart() -> None:
    assert warned(130, XFS, state="well") == ("False", "OK")
    assert warned(200, XFS, state="well", lives=2) == ("False", "OK")


def test_a_class_of_which_nothing_is_known_is_not_warned_of() -> None:
    assert warned(20, {}) == ("False", "OK")
