"""Hostile text of nodes, and in a status, in a simulation: what pie writes and shows is plain and bounded."""

from typing import Any

from tests.controller.simulation import Simulation
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, NODE, PERIOD_SECONDS, World, rfc3339
from tests.hostile import HOSTILE, assert_fit, texts

SPEC = {**BASE_SPEC, "suppression": {"newNodeGrace": "0s", "maxDuration": "1m"}}
INCIDENT = {
    "id": "old",
    "scope": "node",
    "stage": "mount",
    "reason": "MountFailed",
    "openedAt": "2023-11-14T22:00:00Z",
}


def is_not_ready(world: World) -> None:
    node = world.objects["nodes"][NODE]
    stamp = rfc3339(world.now())
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "Bad",
        "message": HOSTILE,
        "lastTransitionTime": stamp,
    }
    world.put("nodes", {**node, "status": {**node["status"], "conditions": [ready]}})


def does_not_mount(world: World) -> None:
    world.storage = "does not mount"


async def play() -> dict[str, Any]:
    simulation = Simulation(lambda _kind, _second: 0)
    simulation.world.begin(SPEC)
    probe = simulation.world.objects["pieprobes"]["p"]
    said = {"type": "Ready", "status": "True", "reason": HOSTILE, "message": HOSTILE}
    status = {"summary": HOSTILE, "conditions": [said], "incidents": [INCIDENT | {"evidence": HOSTILE}]}
    simulation.world.put("pieprobes", {**probe, "status": status})
    script = [(PERIOD_SECONDS, does_not_mount), (4 * PERIOD_SECONDS + 30, is_not_ready)]
    await simulation.run(12 * PERIOD_SECONDS, script)
    return simulation.world.objects["pieprobes"]["p"]["status"]


def test_a_status_is_plain_and_bounded_whatever_nodes_and_earlier_statuses_say() -> None:
    status = in_virtual_time(play())
    by_type = {each["type"]: each for each in status["conditions"]}
    assert by_type["LongSuppressed"]["status"] == "True"
    assert "Bad red txt" in by_type["LongSuppressed"]["message"]
    assert any(each.get("evidence", "").startswith("red txt") for each in status["incidents"])
    assert_fit(status, 4096)
    assert sum(map(len, texts(status))) < 16_384
