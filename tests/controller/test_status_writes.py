"""Writes of the status: which are urgent, and what becomes of one that is refused. In a simulation."""

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pie.kube.pacing import Pacer
from tests.controller.simulation import Simulation
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, NODE, PERIOD_SECONDS, T0, World, rfc3339


class Turns(Pacer):
    """A pacer that lets everything pass, and counts what was urgent."""

    def __init__(self) -> None:
        super().__init__(qps=1e6, burst=10**6)
        self.urgent = 0

    async def wait(self, *, urgent: bool = False, last: bool = False) -> None:
        self.urgent += urgent
        await super().wait(urgent=urgent, last=last)


def break_mounts(world: World) -> None:
    world.storage = "does not mount"


async def play() -> tuple[Turns, World]:
    simulation, turns = Simulation(lambda _kind, _second: 0), Turns()
    simulation.client._pacer = turns
    simulation.world.begin(BASE_SPEC)
    await simulation.run(4 * PERIOD_SECONDS, [(PERIOD_SECONDS, break_mounts)])
    return turns, simulation.world


def test_the_opening_of_an_incident_is_urgent_and_nothing_else() -> None:
    turns, world = in_virtual_time(play())
    (incident,) = world.objects["pieprobes"]["p"]["status"]["incidents"]
    assert "closedAt" not in incident
    assert turns.urgent == 1


def break_one_of_two(world: World) -> None:
    """Let volumes no longer be mounted on the first node."""
    world.storage, world.storage_fails_on = "does not mount", frozenset({NODE})


def say_much(world: World) -> None:
    """Have the other node not Ready, with a message of 40 kB in several lines."""
    node = world.objects["nodes"]["n2"]
    message = "\x1b[31mPLEG is not healthy\n" * 1800
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": rfc3339(world.now())}
    world.put(
        "nodes", {**node, "status": {**node["status"], "conditions": [{**condition, "message": message}]}}
    )


def take_little(world: World) -> None:
    """Leave room for 100 bytes more than the object has now, while all is well."""
    world.largest_object_bytes = 100 + len(msgspec.json.encode(world.objects["pieprobes"]["p"]))


def know_no_incident(world: World) -> None:
    """Have the CRD of a release that knew no stage of a run."""
    schema = world.status_schema = copy.deepcopy(world.status_schema)
    schema["properties"]["incidents"]["items"]["properties"]["stage"]["enum"] = ["none"]


async def refuse(*trouble: Callable[[World], None]) -> tuple[dict[str, Any], int]:
    """Play ten minutes of trouble; return the status at the end, and how many writes of it were tried."""
    simulation = Simulation(lambda _kind, _second: 0)
    spec = {**BASE_SPEC, "suppression": {"newNodeGrace": "0s", "maxDuration": "1m"}}
    simulation.world.begin(spec, "n2")
    await simulation.run(10 * PERIOD_SECONDS, [(3 * PERIOD_SECONDS, each) for each in trouble])
    asked = simulation.wire.asked["patch", "pieprobes"]
    return simulation.world.objects["pieprobes"]["p"]["status"], asked


@pytest.mark.parametrize(("trouble", "incidents"), [(say_much, 1), (take_little, 1), (know_no_incident, 0)])
def test_a_status_that_is_refused_is_written_shorter(
    trouble: Callable[[World], None], incidents: int
) -> None:
    status, tried = in_virtual_time(refuse(trouble, break_one_of_two))
    conditions = {each["type"]: each for each in status["conditions"]}
    assert conditions["MountHealthy"]["status"] == "False"
    assert conditions["LongSuppressed"]["status"] == ("True" if trouble is say_much else "False")
    assert [each["openedAt"] for each in status["incidents"]] == [
        rfc3339(T0 + 3 * PERIOD_SECONDS)
    ] * incidents
    assert tried <= 15
