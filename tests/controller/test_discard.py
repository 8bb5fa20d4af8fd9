"""What nobody needs any more is taken away: in a simulation."""

import pytest

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Target
from pie.core.naming import ANNOTATION_FOLLOWS, ANNOTATION_RETRY, labels
from tests.controller.lives import Action, lived
from tests.controller.world import NAMESPACE, TARGET, World

OF_ANOTHER_NODE = Target("p", Kind.MOUNT, "c", "n9", NAMESPACE)


def named(target: Target = TARGET) -> str:
    """Return the name that pie gives a run outside of the schedule."""
    return f"{cronjob_names(target)[0]}-r1"


def one_off(target: Target = TARGET, why: str = ANNOTATION_RETRY) -> Action:
    """Return the action that starts a run of a target outside of its schedule."""

    def start(world: World) -> None:
        probe = world.objects["pieprobes"]["p"]["metadata"]
        owner = {"kind": "PieProbe", "name": "p", "uid": probe["uid"], "controller": True}
        world.make_job(named(target), labels(target), {why: "x"}, owner)

    return start


def hang(world: World) -> None:
    world.storage = "hangs"


def test_a_one_off_run_that_hangs_is_left_alone_while_its_target_lives() -> None:
    (outcome,) = lived((130, [(100, hang), (102, one_off())]))
    assert named() in outcome.jobs


@pytest.mark.parametrize("ends", [World.unselect_node, World.delete_node])
def test_a_one_off_run_goes_with_its_target(ends: Action) -> None:
    (outcome,) = lived((130, [(100, hang), (102, one_off()), (120, ends)]))
    assert named() not in outcome.jobs
    assert outcome.value("pie_lost_runs_total", reason="Pruned") == 0


@pytest.mark.parametrize("why", [ANNOTATION_RETRY, ANNOTATION_FOLLOWS])
def test_a_one_off_run_whose_target_ended_unseen_is_found_at_start(why: str) -> None:
    (outcome,) = lived((30, []), given=[hang, one_off(OF_ANOTHER_NODE, why)])
    assert named(OF_ANOTHER_NODE) not in outcome.jobs


def test_a_one_off_run_that_was_asked_for_just_before_its_target_ended_goes_as_well() -> None:
    (outcome,) = lived((130, [(100, hang), (100, World.unselect_node), (105, one_off())]))
    assert named() not in outcome.jobs
