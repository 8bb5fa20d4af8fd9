"""pie changes and deletes only what its PieProbe owns, and adopts what a backup restored without owner."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Target
from pie.core.naming import claim_names, labels
from tests.controller.simulation import Simulation
from tests.controller.stories import Script, at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, NAMESPACE, TARGET, World

PVCS = "persistentvolumeclaims"
PVC, UNAMBIGUOUS_PVC = claim_names(TARGET)
CRONJOB = cronjob_names(TARGET)[0]
TEAM = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "w", "controller": True}

Objects = dict[str, dict[str, Any]]


def put(world: World, kind: str, name: str, *, marks: dict[str, str], owner: dict[str, Any] | None) -> None:
    """Put an object into the cluster that pie did not create."""
    metadata = {"name": name, "namespace": NAMESPACE, "labels": marks}
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    world.put(kind, {"metadata": metadata, "spec": {"suspend": True}, "status": {}})


def restored(name: str = PVC) -> Callable[[World], None]:
    """Restore the PVC of the target from a backup, which kept no owner."""
    return lambda world: put(world, PVCS, name, marks=labels(TARGET), owner=None)


def lives(world_before: Callable[[World], None], script: Script = (), seconds: int = 90) -> World:
    """Let a controller live on a cluster in which something is there before it."""

    async def live() -> World:
        simulation = Simulation(at_once)
        simulation.world.begin(BASE_SPEC)
        world_before(simulation.world)
        await simulation.run(seconds, script)
        return simulation.world

    return in_virtual_time(live())


def owner_of(world: World, kind: str, name: str) -> str | None:
    """Return the uid of the owner of an object; None if it has none."""
    owners = world.objects[kind][name]["metadata"].get("ownerReferences", [])
    return owners[0]["uid"] if owners else None


def ready(world: World) -> dict[str, Any]:
    """Return the condition Ready of the PieProbe."""
    conditions = world.objects["pieprobes"]["p"]["status"]["conditions"]
    return next(each for each in conditions if each["type"] == "Ready")


@pytest.mark.parametrize("name", [PVC, UNAMBIGUOUS_PVC])
def test_a_pvc_restored_without_owner_is_adopted_and_used(name: str) -> None:
    world = lives(restored(name))
    (kept,) = world.objects[PVCS]
    assert kept == name
    assert owner_of(world, PVCS, name) == world.objects["pieprobes"]["p"]["metadata"]["uid"]
    template = world.objects["cronjobs"][CRONJOB]["spec"]["jobTemplate"]["spec"]["template"]
    assert template["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == name
    assert ready(world)["status"] == "True"


def test_a_pvc_restored_without_owner_outlives_a_pieprobe_that_is_read_late() -> None:
    hidden: Objects = {}

    def before(world: World) -> None:
        restored()(world)
        hidden.update(world.objects["pieprobes"])
        hidden["uid"] = copy.deepcopy(world.objects[PVCS][PVC]["metadata"])
        world.objects["pieprobes"].clear()

    def read(world: World) -> None:
        assert world.objects[PVCS][PVC]["metadata"] == hidden.pop("uid")
        world.put("pieprobes", hidden.pop("p"))

    world = lives(before, [(60, read)], seconds=120)
    assert owner_of(world, PVCS, PVC) == world.objects["pieprobes"]["p"]["metadata"]["uid"]


def test_objects_of_a_node_that_went_while_no_controller_was_there_are_deleted() -> None:
    async def live() -> World:
        first = Simulation(at_once)
        first.world.begin(BASE_SPEC)
        await first.run(30, [])
        assert CRONJOB in first.world.objects["cronjobs"]
        first.world.unselect_node()
        second = Simulation(at_once, first)
        await second.run(30, [])
        return second.world

    world = in_virtual_time(live())
    assert CRONJOB not in world.objects["cronjobs"]
    assert PVC not in world.objects[PVCS]


@pytest.mark.parametrize("kind", [PVCS, "cronjobs", "jobs"])
@pytest.mark.parametrize("owner", [None, TEAM], ids=["no owner", "another owner"])
@pytest.mark.parametrize("of", [TARGET, Target("gone", Kind.MOUNT, "c", "n1")], ids=str)
def test_what_only_carries_the_labels_is_not_touched(
    kind: str, owner: dict[str, Any] | None, of: Target
) -> None:
    before: Objects = {}

    def given(world: World) -> None:
        put(world, kind, "theirs", marks=labels(of), owner=owner)
        before.update(copy.deepcopy(world.objects[kind]["theirs"]))

    world = lives(given, [(30, World.unselect_node)], seconds=60)
    assert world.objects[kind]["theirs"] == before


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [(PVCS, PVC, "PersistentVolumeClaim"), ("cronjobs", CRONJOB, "CronJob")],
)
@pytest.mark.parametrize("marks", [{}, labels(TARGET)], ids=["no labels", "the labels"])
def test_an_object_of_another_owner_under_the_name_is_reported_until_it_goes(
    kind: str, name: str, words: str, marks: dict[str, str]
) -> None:
    before: Objects = {}
    said: list[dict[str, Any]] = []

    def given(world: World) -> None:
        put(world, kind, name, marks=marks, owner=TEAM)
        before.update(copy.deepcopy(world.objects[kind][name]))

    def look(world: World) -> None:
        said.append(ready(world))
        assert world.objects[kind].pop(name) == before

    world = lives(given, [(60, look)], seconds=180)
    (condition,) = said
    assert (condition["status"], condition["reason"]) == ("False", "NameTaken")
    assert f"{words} {name}" in condition["message"]
    assert "StatefulSet web" in condition["message"]
    assert ready(world)["status"] == "True"
    assert owner_of(world, kind, name) == world.objects["pieprobes"]["p"]["metadata"]["uid"]
