"""Pods to which a webhook adds containers: they are counted, judged and started as if it did not."""

from typing import Any

import pytest
from hypothesis import given
from structlog.testing import capture_logs

from pie.core.model import Verdict
from pie.core.reasons import Reason
from tests.accounting import Accounts
from tests.controller.sidecars import Sidecar
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    BEGIN_SECONDS,
    BUSY_SECONDS,
    END,
    FAULTS,
    GAPS,
    MAINTENANCE,
    SPEC,
    WELL,
    Action,
    Script,
    at_once,
    played,
    quick,
    scripts,
    storage,
    with_gaps,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import PROVISION, T0, TARGET, World

LONG: dict[str, Any] = {"spec": {**SPEC, "probeThreshold": "1m", "deadline": "1m"}, "quiet": 2400}
"""A pod that only its deadline ends is a few seconds longer there than a period, each time."""

SIDECARS = {
    "runs on, sorted first": (Sidecar("istio-proxy"),),
    "runs on, sorted last": (Sidecar("vault-agent"),),
    "ends well before the probe": (Sidecar("a", 1),),
    "fails before the probe": (Sidecar("a", 1, exit_code=1),),
    "ends well after the probe": (Sidecar("istio-proxy", 30),),
    "fails after the probe": (Sidecar("z", 30, exit_code=1),),
    "several": (Sidecar("a", 1), Sidecar("istio-proxy"), Sidecar("vault-agent", 20, exit_code=2)),
}
each_sidecar = pytest.mark.parametrize("sidecars", SIDECARS.values(), ids=SIDECARS.keys())


def inject(sidecars: tuple[Sidecar, ...]) -> Action:
    """Return the action after which each new pod gets these containers."""

    def change(world: World) -> None:
        world.sidecars = sidecars

    return change


@each_sidecar
def test_every_run_is_on_time_and_the_next_starts_when_it_is_due(sidecars: tuple[Sidecar, ...]) -> None:
    outcome = played([(0, inject(sidecars))], **LONG)
    assert outcome.errors(END + 2000) == []
    assert outcome.counted_as() == {"on time"}
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}
    assert outcome.io["false"] == 0


@each_sidecar
def test_corruption_is_told_at_once_though_the_pod_runs_on(sidecars: tuple[Sidecar, ...]) -> None:
    outcome = played([(0, inject(sidecars)), (BEGIN_SECONDS, storage("corrupts"))], **LONG)
    assert outcome.errors(END + 2000) == []
    assert outcome.states[TARGET] == (Verdict.FAILED, Reason.DATA_CORRUPTED)
    assert outcome.io["false"] >= 5


@quick
@given(
    script=scripts([*MAINTENANCE, *FAULTS, *(inject(each) for each in SIDECARS.values())]),
    gaps=GAPS,
)
def test_every_due_time_is_counted_exactly_once(script: Script, gaps: list[tuple[str, int, int]]) -> None:
    ending = [(BEGIN_SECONDS + BUSY_SECONDS, action) for action in WELL]
    outcome = played([(0, inject(SIDECARS["several"])), *script, *ending], with_gaps(gaps))
    assert outcome.errors(END) == []


DUE, COUNTED = 120, 128
"""A run's due time, and a second at which it is counted and its pod deleted, by seconds of the world."""


@pytest.mark.parametrize("second", range(DUE + 4, COUNTED + 3))
@pytest.mark.parametrize("state", ["well", "corrupts"])
def test_a_restart_while_a_lingering_run_is_ended_loses_no_due_time_and_no_verdict(
    second: int, state: str
) -> None:
    """The first controller may count the run and delete its pod, and not come to delete the Job."""

    async def play() -> tuple[list[Any], World]:
        first = Simulation(at_once)
        first.world.begin(LONG["spec"])
        first.world.sidecars, first.world.storage = SIDECARS["several"], state
        await first.run(second, [])
        second_one = Simulation(at_once, first)
        await second_one.run(300, [])
        return [(each.verdict, each.reason) for each in second_one.states().values()], first.world

    with capture_logs() as lines:
        verdicts, world = in_virtual_time(play())
    expected = (Verdict.OK, Reason.OK) if state == "well" else (Verdict.FAILED, Reason.DATA_CORRUPTED)
    assert verdicts == [expected] * 2
    assert len(world.objects["jobs"]) <= 2
    accounts = Accounts(lines)
    for target in (TARGET, PROVISION):
        # Each controller may count the run of the restart once (see docs/metrics.md), and nothing is missed.
        counted = [what for due in accounts.errors(target, 60, T0 + 60, T0 + second + 200) for what in [due]]
        assert all(f" {T0 + DUE:.0f} " in f" {each}" and "2 times" in each for each in counted), counted
