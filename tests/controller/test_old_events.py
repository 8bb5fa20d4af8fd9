"""What was said about a PVC explains today's run while the PVC is the same one, however long ago that was."""

from typing import Any

import pytest

from pie.core.naming import claim_names, labels
from tests.controller.simulation import Simulation
from tests.controller.stories import at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, NAMESPACE, T0, TARGET, rfc3339

PVC = claim_names(TARGET)[0]


def said(seconds_ago: float, uid: str) -> dict[str, Any]:
    """Return an Event of the provisioner about the PVC with this uid."""
    at = rfc3339(T0 - seconds_ago)
    about = {"kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": PVC, "uid": uid}
    return {
        "metadata": {"name": "e", "namespace": NAMESPACE, "creationTimestamp": at},
        "involvedObject": about,
        "type": "Warning",
        "reason": "ProvisioningFailed",
        "message": "unknown pool",
        "firstTimestamp": at,
        "lastTimestamp": at,
    }


@pytest.mark.parametrize(
    ("seconds_ago", "uid", "explained"),
    [(-62, "uid-of-the-pvc", True), (3600, "uid-of-the-pvc", True), (3600, "uid-of-an-earlier-pvc", False)],
)
def test_what_was_said_of_a_pvc_explains_its_runs_while_it_is_the_same(
    seconds_ago: float, uid: str, explained: bool
) -> None:
    async def live() -> dict[str, Any]:
        simulation = Simulation(at_once)
        world = simulation.world
        world.begin(BASE_SPEC)
        world.storage = "does not bind"
        metadata = {"name": PVC, "namespace": NAMESPACE, "labels": labels(TARGET), "uid": "uid-of-the-pvc"}
        world.put("persistentvolumeclaims", {"metadata": metadata, "spec": {}, "status": {}})
        world.warnings.append(said(seconds_ago, uid))
        await simulation.run(100, [])
        assert simulation.wire.asked["list", "events"], "the controller asked for what was said before"
        conditions = world.objects["pieprobes"]["p"]["status"]["conditions"]
        return {each["type"]: each for each in conditions}["MountHealthy"]

    condition = in_virtual_time(live())
    assert condition["status"] == "False"
    assert (condition["reason"] == "ProvisioningFailed") is explained
