"""A PieProbe over its budget: its runs are thinned, and each due time that is left is counted once."""

from typing import Any

import pytest
from hypothesis import given
from structlog.testing import capture_logs

from pie.core.cost.load import Demand
from pie.core.model import RunnerKind, Verdict
from pie.core.pace.budget import needs_of
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    FAULTS,
    GAPS,
    MAINTENANCE,
    SPEC,
    TARGETS,
    WELL,
    Action,
    Lag,
    Outcome,
    Script,
    at_once,
    quick,
    scripts,
    spec_change,
    storage,
    with_gaps,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import T0, TARGET, World
from tests.harness import Samples

POD = {**SPEC, "runner": "Pod"}
NODES = 12
NEEDS = needs_of(Demand(nodes=NODES, runner=RunnerKind.POD))
OTHERS = tuple(f"n{i}" for i in range(2, NODES + 1))


def budget(writes: float | None) -> Action:
    """Return the action that makes `spec.budget` so."""
    return spec_change(budget=writes)


class Story:
    """What came of a story: when pods were created, in seconds, and what was counted."""

    def __init__(
        self,
        script: Script,
        *,
        spec: dict[str, Any] = POD,
        seconds: int = 900,
        nodes: tuple[str, ...] = OTHERS,
        lag: Lag = at_once,
        of_all: float | None = None,
    ) -> None:
        self.budget = of_all
        self.created: dict[str, float] = {}
        with capture_logs() as lines:
            in_virtual_time(self._live(script, spec, seconds, nodes, lag))
            self.outcome = Outcome(self.simulation, lines)

    async def _live(
        self, script: Script, spec: dict[str, Any], seconds: int, nodes: tuple[str, ...], lag: Lag
    ) -> None:
        simulation = self.simulation = Simulation(lag, budget=self.budget)
        simulation.world.each_second["note"] = self._note
        simulation.world.begin(spec, *nodes)
        await simulation.run(seconds, script)
        self.status = simulation.world.objects["pieprobes"]["p"]["status"]
        self.metrics = Samples(simulation.metrics())

    def _note(self, world: World) -> None:
        for pod in world.objects["pods"].values():
            self.created.setdefault(pod["metadata"]["uid"], world.now() - T0)

    def started(self, since: float, until: float) -> int:
        """Return how many pods were created in [since, until)."""
        return sum(since <= at < until for at in self.created.values())

    def condition(self, name: str) -> dict[str, Any]:
        return next(each for each in self.status["conditions"] if each["type"] == name)


def test_half_a_budget_halves_the_runs_and_each_due_time_is_counted_once() -> None:
    story = Story([(300, budget(NEEDS / 2))])
    before, after = story.started(60, 300), story.started(420, 900)
    assert before == 4 * (NODES + 1)
    assert abs(after - before) <= 2, "in twice the time"
    assert story.outcome.errors(T0 + 800) == []
    assert story.outcome.counted_as() == {"on time"}
    assert story.status["effectivePeriodSeconds"] == 120
    assert story.metrics.value("pie_effective_period_seconds") == 120
    assert story.metrics.value("pie_caused_writes_per_second") == pytest.approx(NEEDS / 2)


def test_the_budget_of_the_controller_thins_runs_without_one_in_the_spec() -> None:
    story = Story([], of_all=NEEDS / 2 + 0.2, seconds=400)
    assert story.started(100, 400) == pytest.approx(2.5 * (NODES + 1), abs=2)
    assert story.outcome.errors(T0 + 300) == []
    assert story.condition("OverBudget")["reason"] == "RunsThinned"


def test_the_condition_names_what_is_needed_and_what_is_allowed() -> None:
    story = Story([], spec={**POD, "budget": 1}, seconds=60)
    found = story.condition("OverBudget")
    assert (found["status"], found["reason"]) == ("True", "RunsThinned")
    assert "every 180 s instead of every 60 s" in found["message"]
    assert "would cause 2.73 writes and Events a second; the budget allows 1" in found["message"]


def test_runs_are_spread_over_the_effective_period_and_never_start_together() -> None:
    story = Story([(300, budget(NEEDS / 4)), (700, budget(None))], seconds=1000)
    seconds = [int(at) for at in story.created.values() if at > 300]
    assert max(seconds.count(each) for each in seconds) <= 3
    assert story.started(760, 1000) == pytest.approx(4 * (NODES + 1), abs=2)
    assert story.status["effectivePeriodSeconds"] == 60


def test_within_its_budget_nothing_changes() -> None:
    free, bound = Story([], seconds=400), Story([], spec={**POD, "budget": NEEDS}, seconds=400)
    assert list(free.created.values()) == list(bound.created.values())
    assert bound.condition("OverBudget")["status"] == "False"


def test_runs_of_cronjobs_go_on_and_the_condition_recommends_pods() -> None:
    story = Story([], spec={**SPEC, "budget": 2}, seconds=200, nodes=())
    assert story.condition("OverBudget")["status"] == "False"
    story = Story([], spec={**SPEC, "budget": 0.5}, seconds=200, nodes=())
    found = story.condition("OverBudget")
    assert (found["status"], found["reason"]) == ("True", "BudgetNotHeld")
    assert "Set spec.runner to Pod" in found["message"]
    assert story.outcome.errors(T0 + 100) == []


def test_a_thinned_target_is_not_unknown_between_its_runs() -> None:
    story = Story([], spec={**POD, "budget": NEEDS / 6}, seconds=1200)
    assert {state.verdict for state in story.simulation.states().values()} == {Verdict.OK}
    assert story.outcome.told == set()


def test_while_nodes_come_and_go_at_the_limit_of_the_budget_runs_go_on() -> None:
    def select(world: World) -> None:
        world.relabel_node({"a": ""})

    flaps: Script = [
        (second, World.unselect_node if second % 40 else select) for second in range(200, 800, 20)
    ]
    needs = [needs_of(Demand(nodes=nodes, runner=RunnerKind.POD)) for nodes in (NODES - 1, NODES)]
    story = Story(flaps, spec={**POD, "budget": sum(needs) / 2}, seconds=800)
    assert story.started(300, 800) >= 0.4 * NODES * 500 / 60


def test_a_fault_is_found_although_runs_are_thinned() -> None:
    story = Story(
        [(400, storage("does not mount"))], spec={**POD, "budget": NEEDS / 2}, seconds=900, nodes=()
    )
    assert story.outcome.errors(T0 + 700) == []
    assert "late" in story.outcome.accounts.as_what(TARGET)
    assert story.outcome.incidents


@quick
@given(scripts([*MAINTENANCE, *FAULTS, budget(0.1), budget(0.5), budget(None)]), GAPS)
def test_each_due_time_is_counted_once_whatever_happens(
    script: Script, gaps: list[tuple[str, int, int]]
) -> None:
    end = [(400, budget(None)), *((400, action) for action in WELL)]
    story = Story([*script, *end], seconds=700, nodes=("n2",), lag=with_gaps(gaps))
    assert story.outcome.errors(T0 + 600) == []
    assert set(TARGETS.values()) == set(story.outcome.calendars)
