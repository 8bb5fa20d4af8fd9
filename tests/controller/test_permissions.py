"""What keeps a PieProbe from being set up, or pie from knowing all, is in its status in words."""

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.controller.simulation import Simulation
from tests.controller.virtualtime import in_virtual_time
from tests.controller.wire import Wire
from tests.controller.world import BASE_SPEC, World

Conditions = dict[str, dict[str, Any]]


def conditions_after(
    *lives: tuple[int, Callable[[Wire], None]],
    given: Callable[[World], None] = lambda _world: None,
    spec: dict[str, Any] | None = None,
) -> list[Conditions]:
    """Let one controller live; before each part of its life something is done to the API server."""

    async def live() -> list[Conditions]:
        simulation = Simulation(lambda _kind, _second: 0)
        simulation.world.begin({**BASE_SPEC, **(spec or {})})
        given(simulation.world)
        found: list[Conditions] = []

        def note(world: World) -> None:
            status = world.objects["pieprobes"]["p"].get("status", {})
            found.append({each["type"]: each for each in status.get("conditions", [])})

        def change(how: Callable[[Wire], None]) -> Callable[[World], None]:
            return lambda _world: how(simulation.wire)

        script, at = [], 0
        for seconds, how in lives:
            script += [(at, change(how)), (at + seconds - 1, note)]
            at += seconds
        await simulation.run(at, script)
        return found

    return in_virtual_time(live())


def forbid(verb: str, kind: str) -> Callable[[Wire], None]:
    return lambda wire: wire.forbidden.add((verb, kind))


def allow_all(wire: Wire) -> None:
    wire.forbidden.clear()


def test_a_permission_that_is_missing_is_a_condition_and_one_log_line_until_it_is_there() -> None:
    with capture_logs() as lines:
        missing, there = conditions_after((90, forbid("list", "persistentvolumes")), (180, allow_all))
    found = missing["PermissionMissing"]
    assert (found["status"], found["reason"]) == ("True", "PermissionMissing")
    assert "pie may not list persistentvolumes" in found["message"]
    assert 'User "pie" cannot list resource "persistentvolumes"' in found["message"]
    assert there["PermissionMissing"]["status"] == "False"
    assert [line["what"] for line in lines if line["event"] == "permission missing"] == [
        "list persistentvolumes"
    ]


def test_a_pvc_that_pie_may_not_create_is_a_missing_permission_not_a_refused_pvc() -> None:
    bad, healed = conditions_after((60, forbid("create", "persistentvolumeclaims")), (180, allow_all))
    assert (bad["Ready"]["status"], bad["Ready"]["reason"]) == ("False", "PermissionMissing")
    assert healed["Ready"]["status"] == "True"


def test_a_defect_while_a_pieprobe_is_set_up_is_in_its_status_too() -> None:
    async def live() -> dict[str, Any]:
        simulation = Simulation(lambda _kind, _second: 0)
        simulation.world.begin(BASE_SPEC)
        finder = simulation.controller.probes.finder
        finder._matching = lambda _probe: {}["odd"]  # type: ignore[method-assign]  # no defect is known
        with pytest.raises(AssertionError, match="the controller met no defect"):
            await simulation.run(30, [])
        status: dict[str, Any] = simulation.world.objects["pieprobes"]["p"]["status"]
        return status

    ready = next(each for each in in_virtual_time(live())["conditions"] if each["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "SetupFailed")
    assert "defect in pie" in ready["message"]
