"""How often a bad run has things looked at: its own target a few times, no other one."""

import pytest

from tests.controller.simulation import Simulation
from tests.controller.stories import OTHER, SPEC, TARGETS, Action, Lag, at_once, fails_on
from tests.controller.turns import Turns
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, PERIOD_SECONDS, TARGET, World

MOST_TURNS = 8
"""Of a target, from its run's pod to its discard."""

DUE = 2 * PERIOD_SECONDS
MOUNT_ONLY = {**SPEC, "disableProvisionProbe": True}


def each_kind_by_itself(kind: str, _second: int) -> int:
    """Show a pod, its Job and its CronJob one after the other: each of their changes comes alone."""
    return {"pods": 0, "jobs": 1, "cronjobs": 2}.get(kind, 0)


def nothing_happens(_world: World) -> None:
    """Leave all well."""


def lived(lag: Lag, action: Action) -> tuple[Turns, str]:
    """Do something before a due time; return all turns until the next one, and the run of the node."""

    async def live() -> tuple[Turns, str]:
        runs: list[str] = []

        def note_run(world: World) -> None:
            jobs = [each["metadata"] for each in world.objects["jobs"].values()]
            runs.extend(each["uid"] for each in jobs if each["labels"].get("node") == NODE)

        with pytest.MonkeyPatch.context() as patch:
            turns = Turns()
            turns.count(patch)
            simulation = Simulation(lag)
        simulation.world.begin(MOUNT_ONLY, OTHER)
        await simulation.run(DUE + PERIOD_SECONDS, [(DUE - 10, action), (DUE + 1, note_run)])
        assert len(runs) == 1
        return turns, runs[0]

    return in_virtual_time(live())


@pytest.mark.parametrize(
    ("state", "lag", "today"),
    [
        ("fails", at_once, 6),
        ("fails", each_kind_by_itself, 8),
        ("does not mount", at_once, 8),
    ],
)
def test_a_bad_mount_run_takes_few_turns_of_its_target_and_none_of_others(
    state: str, lag: Lag, today: int
) -> None:
    turns, run = lived(lag, fails_on(state, NODE))
    discarded_at = next(each.at for each in turns.all if (each.work, each.thing) == ("discard", run))
    taken = turns.of("target", TARGET, DUE, discarded_at)
    print(f"{state}, {lag.__name__}: {taken} turns, {today} when this was written")  # noqa: T201  the number is for the reader
    assert taken <= MOST_TURNS
    well, _ = lived(lag, nothing_happens)
    assert turns.of("target", TARGETS[OTHER], DUE, discarded_at) == well.of(
        "target", TARGETS[OTHER], DUE, discarded_at
    )


@pytest.mark.parametrize("lag", [at_once, each_kind_by_itself])
def test_a_bad_run_has_the_incidents_and_the_status_of_its_pieprobe_looked_at_once_each(lag: Lag) -> None:
    turns, _ = lived(lag, fails_on("fails", NODE))
    well, _ = lived(lag, nothing_happens)
    until = DUE + 15
    for work in ("incidents", "status"):
        assert turns.of(work, "p", DUE, until) - well.of(work, "p", DUE, until) == 1, work
