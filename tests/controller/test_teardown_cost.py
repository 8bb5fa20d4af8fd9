"""The work for volumes that are left behind grows with their number, not with its square."""

from collections.abc import Callable

import pytest

from tests.controller.lives import Outcome, lived
from tests.controller.stories import CLAIM_OF_A_RUN
from tests.controller.world import World
from tests.linecount import lines_of_pie


def volumes(count: int) -> Callable[[World], None]:
    """Leave the volumes of so many runs whose PVC is gone."""

    def leave(world: World) -> None:
        for number in range(count):
            world.make_volume(CLAIM_OF_A_RUN, f"uid-{number}")

    return leave


def work_of(count: int, *given: Callable[[World], None]) -> tuple[int, Outcome]:
    with lines_of_pie() as lines:
        (outcome,) = lived((300, [(230, World.delete_volumes)]), given=[*given, volumes(count)])
    return lines[0], outcome


@pytest.mark.parametrize(
    ("given", "left"),
    [([], {}), ([World.delete_node], {"NodeGone": 300})],
    ids=["the node is there", "the node was deleted"],
)
def test_ten_times_the_volumes_left_behind_cost_at_most_twelve_times_the_work(
    given: list[Callable[[World], None]], left: dict[str, float]
) -> None:
    (nothing, _), (few, _), (many, outcome) = (work_of(count, *given) for count in (0, 30, 300))
    assert outcome.left == left
    assert outcome.asked["get", "persistentvolumes"] >= 300
    assert many - nothing <= 12 * (few - nothing)


def test_thousands_of_volumes_left_behind_cost_a_bounded_number_of_reads() -> None:
    seconds = 150
    (outcome,) = lived((seconds, []), given=[volumes(1000)])
    assert outcome.asked["get", "persistentvolumes"] <= 10 * seconds
