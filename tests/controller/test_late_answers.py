"""The answer to a write may come after the watch has shown what was written."""

import pytest

from pie.core.batch.naming import cronjob_names
from pie.core.manifests import API_VERSION
from pie.core.naming import claim_names, labels
from pie.kube.transport import Request
from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NAMESPACE, TARGET

CRONJOB = cronjob_names(TARGET)[0]
PVC = claim_names(TARGET)[0]


@pytest.mark.parametrize("verb", ["patch", "create", "apply", "delete"])
def test_a_write_whose_answer_is_later_than_its_watch_event_is_no_defect(verb: str) -> None:
    def late(request: Request) -> float:
        return 2.0 if request.verb == verb else 0.0

    async def play() -> set[str]:
        simulation = Simulation(at_once)
        simulation.wire.answers_after = late
        simulation.world.begin(SPEC)
        await simulation.run(400, [])  # it fails when the controller meets a defect
        return {asked for asked, _ in simulation.wire.asked}

    assert verb in in_virtual_time(play())


def test_a_cronjob_is_replaced_also_if_its_deletion_is_answered_after_its_watch_event() -> None:
    async def play() -> set[str]:
        simulation = Simulation(at_once)
        world = simulation.world
        simulation.wire.answers_after = lambda request: 2.0 if request.verb == "delete" else 0.0
        world.begin(SPEC)
        uid = world.objects["pieprobes"]["p"]["metadata"]["uid"]
        by = {"apiVersion": API_VERSION, "kind": "PieProbe", "name": "p", "uid": uid, "controller": True}
        for kind, name in (("persistentvolumeclaims", PVC), ("cronjobs", CRONJOB)):
            of_go_pie = {"name": name, "namespace": NAMESPACE}
            of_go_pie |= {"labels": labels(TARGET), "ownerReferences": [by]}
            world.put(kind, {"metadata": of_go_pie, "spec": {"suspend": False}, "status": {"phase": "Bound"}})
        await simulation.run(60, [])
        assert simulation.wire.asked["delete", "cronjobs"] == 1
        return set(world.objects["cronjobs"])

    assert CRONJOB in in_virtual_time(play())
