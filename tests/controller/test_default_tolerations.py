"""Tolerations that a namespace gives its pods by default count as the pods' own: stories in virtual time."""

from collections.abc import Callable
from typing import Any

import pytest

from pie.core.model import BAD, Verdict
from tests.controller.simulation import Simulation
from tests.controller.stories import OTHER, SPEC, at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, World

DEFAULT = {"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}
Action = Callable[[World], None]


def taints(*nodes: str) -> Action:
    """Return the action that taints nodes as those that are kept for something."""

    def act(world: World) -> None:
        for name in nodes:
            node = world.objects["nodes"][name]
            taint = {"key": "dedicated", "value": "storage", "effect": "NoSchedule"}
            world.put("nodes", {**node, "spec": {"taints": [taint]}})

    return act


def gives_tolerations(world: World) -> None:
    """Have admission add the namespace's tolerations to each new pod."""
    create = world.make_pod

    def make_pod(pod: dict[str, Any]) -> dict[str, Any]:
        listed = [*(pod["spec"].get("tolerations") or []), DEFAULT]
        return create({**pod, "spec": {**pod["spec"], "tolerations": listed}})

    world.make_pod = make_pod  # type: ignore[method-assign]


def play(*acts: Action, spec: dict[str, Any] = SPEC, seconds: int = 330) -> Simulation:
    async def played() -> Simulation:
        simulation = Simulation(at_once)
        simulation.world.begin(spec, OTHER)
        for act in acts:
            act(simulation.world)
        await simulation.run(seconds, [])
        return simulation

    return in_virtual_time(played())


def verdicts(simulation: Simulation) -> dict[str, Verdict]:
    return {target.node: state.verdict for target, state in simulation.states().items()}


def suspended(simulation: Simulation) -> set[str]:
    """Return the nodes whose CronJob is suspended; the class is the empty name."""
    cronjobs = simulation.world.objects["cronjobs"].values()
    return {each["metadata"]["labels"].get("node", "") for each in cronjobs if each["spec"]["suspend"]}


@pytest.mark.parametrize("tainted", [(OTHER,), (NODE, OTHER)])
@pytest.mark.parametrize("off", [{}, {"disableProvisionProbe": True}])
def test_a_taint_that_the_namespaces_default_tolerates_is_no_maintenance(
    tainted: tuple[str, ...], off: dict[str, Any]
) -> None:
    simulation = play(gives_tolerations, taints(*tainted), spec={**SPEC, **off})
    assert set(verdicts(simulation).values()) == {Verdict.OK}
    assert suspended(simulation) == set()


@pytest.mark.parametrize("tainted", [(OTHER,), (NODE, OTHER)])
def test_a_taint_that_nothing_tolerates_suppresses_as_before(tainted: tuple[str, ...]) -> None:
    simulation = play(taints(*tainted))
    everywhere = len(tainted) == 2
    assert suspended(simulation) == {*tainted, *([""] if everywhere else [])}
    assert BAD.isdisjoint(verdicts(simulation).values())
