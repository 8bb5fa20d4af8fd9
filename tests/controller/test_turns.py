"""How often a bad run has things looked at: its own target a few times, no other one."""

from itertools import permutations

import pytest

from pie.controller.queue import SETTLE_SECONDS
from tests.controller.simulation import Simulation
from tests.controller.stories import OTHER, SPEC, TARGETS, Action, Lag, at_once, fails_on
from tests.controller.turns import Turns
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, PERIOD_SECONDS, TARGET, World

MOST_TURNS = 8
"""Of a target, from its run's pod to its discard."""

DUE = 2 * PERIOD_SECONDS
MOUNT_ONLY = {**SPEC, "disableProvisionProbe": True}


def one_after_the_other(*kinds: str) -> Lag:
    """Return the lag that shows what happens in one second of each kind in a second of its own."""

    def lag(kind: str, _second: int) -> int:
        return kinds.index(kind) if kind in kinds else 0

    return lag


LAGS: dict[str, Lag] = {
    "at once": at_once,
    **{", ".join(kinds): one_after_the_other(*kinds) for kinds in permutations(("pods", "jobs", "cronjobs"))},
}


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


@pytest.mark.parametrize("order", LAGS)
@pytest.mark.parametrize("state", ["fails", "does not mount"])
def test_a_bad_mount_run_takes_few_turns_of_its_target_one_of_its_pieprobe_and_none_of_others(
    state: str, order: str
) -> None:
    turns, run = lived(LAGS[order], fails_on(state, NODE))
    well, _ = lived(LAGS[order], nothing_happens)
    discarded_at = next(each.at for each in turns.all if (each.work, each.thing) == ("discard", run))
    taken = turns.of("target", TARGET, DUE, discarded_at)
    print(f"{state}, {order}: {taken} turns")  # noqa: T201  the number is for the reader
    assert taken <= MOST_TURNS
    until = discarded_at + SETTLE_SECONDS
    for work, thing, more in (("probe", TARGET.probe_id, 1), ("target", TARGETS[OTHER], 0)):
        assert turns.of(work, thing, DUE, until) - well.of(work, thing, DUE, until) == more, thing
