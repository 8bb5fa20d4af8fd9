"""A PieProbe that asks for more than the flags allow is refused in its status, and heals by itself."""

from typing import Any

import pytest

from pie.core.authorbounds import AuthorBounds
from tests.controller.simulation import Simulation
from tests.controller.stories import Script, at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, World


def lived(bounds: AuthorBounds, spec: dict[str, Any], script: Script, *nodes: str) -> World:
    """Let a controller with these bounds live for four minutes."""

    async def live() -> World:
        simulation = Simulation(at_once, author_bounds=bounds)
        simulation.world.begin({**BASE_SPEC, **spec}, *nodes)
        await simulation.run(240, script)
        return simulation.world

    return in_virtual_time(live())


def ready(world: World) -> dict[str, Any]:
    """Return the condition Ready of the PieProbe."""
    conditions = world.objects["pieprobes"]["p"]["status"]["conditions"]
    return next(each for each in conditions if each["type"] == "Ready")


@pytest.mark.parametrize(
    ("bounds", "spec", "words"),
    [
        (AuthorBounds(priority_classes=()), {"priorityClassName": "high"}, "spec.priorityClassName: high"),
        (AuthorBounds(tolerations=()), {"tolerations": [{"operator": "Exists"}]}, "spec.tolerations[0]"),
        (AuthorBounds(pvc_capacity="1Gi"), {"pvcCapacity": "2Gi"}, "spec.pvcCapacity: 2Gi is more than 1Gi"),
        (AuthorBounds(targets=1), {}, "spec.nodeSelector: matches 1 node, which makes 2 targets"),
    ],
)
def test_what_is_not_allowed_is_refused_in_words_and_nothing_is_created(
    bounds: AuthorBounds, spec: dict[str, Any], words: str
) -> None:
    world = lived(bounds, spec, [])
    condition = ready(world)
    assert (condition["status"], condition["reason"]) == ("False", "InvalidSpec")
    assert words in condition["message"]
    assert not world.objects["cronjobs"]
    assert not world.objects["persistentvolumeclaims"]


def test_with_fewer_nodes_a_pieprobe_that_had_too_many_targets_is_set_up() -> None:
    world = lived(AuthorBounds(targets=1), {}, [(30, World.unselect_node)])
    assert ready(world)["reason"] != "InvalidSpec"
    assert len(world.objects["cronjobs"]) <= 1


def test_more_nodes_than_allowed_are_reported() -> None:
    def grow(world: World) -> None:
        world.add_node("n2")

    world = lived(AuthorBounds(targets=2), {}, [(60, grow)])
    assert ready(world)["reason"] == "InvalidSpec"
