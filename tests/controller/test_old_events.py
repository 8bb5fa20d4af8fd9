"""What was said about an object long ago does not explain today's run."""

from typing import Any

import pytest

from pie.core.naming import claim_names, labels
from tests.controller.simulation import Simulation
from tests.controller.stories import at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, NAMESPACE, T0, TARGET, rfc3339

PVC = claim_names(TARGET)[0]


def said(seconds_ago: float) -> dict[str, Any]:
    """Return an Event of the provisioner about the PVC of the target."""
    at = rfc3339(T0 - seconds_ago)
    about = {"kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": PVC, "uid": "uid-of-the-pvc"}
    return {
        "metadata": {"name": "e", "namespace": NAMESPACE, "creationTimestamp": at},
        "involvedObject": about,
        "type": "Warning",
        "reason": "ProvisioningFailed",
        "message": "the pool is full",
        "firstTimestamp": at,
        "lastTimestamp": at,
    }


@pytest.mark.parametrize(("seconds_ago", "explained"), [(3600, False), (-62, True)])
def test_only_what_was_said_since_the_run_began_explains_it(seconds_ago: float, explained: bool) -> None:
    async def live() -> dict[str, Any]:
        simulation = Simulation(at_once)
        world = simulation.world
        world.begin(BASE_SPEC)
        world.storage = "does not bind"
        metadata = {"name": PVC, "namespace": NAMESPACE, "labels": labels(TARGET), "uid": "uid-of-the-pvc"}
        world.put("persistentvolumeclaims", {"metadata": metadata, "spec": {}, "status": {}})
        world.warnings.append(said(seconds_ago))
        await simulation.run(100, [])
        assert simulation.wire.asked["list", "events"], "the controller asked for what was said before"
        conditions = world.objects["pieprobes"]["p"]["status"]["conditions"]
        return {each["type"]: each for each in conditions}["MountHealthy"]

    condition = in_virtual_time(live())
    assert condition["status"] == "False"
    assert (condition["reason"] == "ProvisioningFailed") is explained
