"""One controller for all namespaces: PieProbes of one name in two namespaces never influence each other."""

from functools import partial
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from structlog.testing import capture_logs

from pie.core.model import RunnerKind
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    BEGIN_SECONDS,
    BUSY_SECONDS,
    FAULTS,
    QUIET_SECONDS,
    SPEC,
    WELL,
    Script,
    at_once,
    fails_on,
    scripts,
    spec_change,
    storage,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, World
from tests.examples import examples

OTHER = "team"
SECONDS = BEGIN_SECONDS + BUSY_SECONDS + QUIET_SECONDS
few = settings(examples(0.05), phases=[Phase.explicit, Phase.generate])
"""Each plays three stories."""
on_each_runner = pytest.mark.parametrize("runner", list(RunnerKind))


class Seen:
    """What can be seen of a namespace: its objects, the status, the series, and the due times as counted."""

    def __init__(self, simulation: Simulation, world: World, lines: list[Any]) -> None:
        self.status = _comparable(world.objects["pieprobes"]["p"].get("status", {}))
        kinds = ("pods", "cronjobs", "persistentvolumeclaims")
        self.objects = {kind: sorted(world.objects[kind]) for kind in kinds}
        label = f'namespace="{world.namespace}",'
        text = simulation.metrics().splitlines()
        if simulation.beside is not None:
            assert all('namespace="' in line for line in text if "pie_probe_name=" in line)
            text = [line.replace(label, "") for line in text if label in line]
        self.series = sorted(line for line in text if 'pie_probe_name="p"' in line and "created" not in line)
        self.counted = sorted(
            (each["target"], each["due"], each.get("on_time", each.get("reason")))
            for each in lines
            if each["event"].startswith("counted") and each["namespace"] == world.namespace
        )


def _comparable(status: dict[str, Any]) -> dict[str, Any]:
    """Return a status without ids, and without when it was written."""
    incidents = sorted(({**each, "id": ""} for each in status.get("incidents") or []), key=str)
    conditions = {each["type"]: {**each, "lastTransitionTime": ""} for each in status.get("conditions") or []}
    return {**status, "incidents": incidents, "conditions": conditions, "lastProvisionTime": ""}


def seen(script: Script, beside: Script | None = None, *, forges: bool = False, **spec: Any) -> list[Seen]:
    """Play a story to a controller of one namespace; with a story `beside`, to one of all namespaces.

    With `forges`, somebody copies each object of the first namespace into the other, each second.
    """

    async def play() -> list[Seen]:
        simulation = Simulation(at_once, beside=OTHER if beside is not None else "")
        worlds = [simulation.world, *([simulation.beside] if simulation.beside is not None else [])]
        for world in worlds:
            world.begin({**SPEC, **spec})
        other = [(at, _in(worlds[-1], action)) for at, action in beside or ()]
        if forges:
            worlds[-1].each_second["forge"] = partial(forge, worlds[0])
        await simulation.run(SECONDS, [*script, *other])
        return [Seen(simulation, world, lines) for world in worlds]

    with capture_logs() as lines:
        return in_virtual_time(play())


def _in(world: World, action: Any) -> Any:
    return lambda _world: action(world)


def forge(of: World, into: World) -> None:
    """Copy what pie looks at: with owners, labels and annotations, as failed, and with Events about it."""
    for kind in ("pods", "jobs", "cronjobs", "persistentvolumeclaims"):
        for name, item in of.objects[kind].items():
            uid = into.objects[kind].get(name, {}).get("metadata", {}).get("uid", f"forged-{kind}-{name}")
            status = {"phase": "Failed"} if kind == "pods" else item.get("status", {})
            metadata = {**item["metadata"], "namespace": into.namespace, "uid": uid}
            into.put(kind, {**item, "metadata": metadata, "status": status})


def assert_alike(found: Seen, alone: Seen) -> None:
    assert found.counted == alone.counted
    assert found.series == alone.series
    assert found.objects == alone.objects
    for name, condition in alone.status["conditions"].items():
        assert found.status["conditions"][name] == condition
    assert found.status == alone.status


@on_each_runner
def test_a_fault_in_one_namespace_is_seen_there_and_only_there(runner: RunnerKind) -> None:
    fault: Script = [(BEGIN_SECONDS, fails_on("does not mount", NODE))]
    spec = {"runner": str(runner)}
    # With runner Pod the due times depend on the namespace, so each story is played in the first one.
    well, bad = seen([], fault, **spec)
    assert_alike(well, *seen([], **spec))
    assert bad.status["incidents"]
    bad, well = seen(fault, [], **spec)
    assert_alike(bad, *seen(fault, **spec))
    assert well.status["incidents"] == []
    assert [each["closedAt"] for each in bad.status["incidents"] if "closedAt" in each] == []
    assert bad.status["incidents"]
    assert well.objects["persistentvolumeclaims"] == bad.objects["persistentvolumeclaims"] != []


CHANGES = [
    *FAULTS[:4],  # not those of the control plane, which both share
    World.evict,
    World.delete_jobs,
    spec_change(paused=True),
    spec_change(paused=False),
]


@given(scripts(CHANGES), scripts(CHANGES))
@few
def test_whatever_happens_in_two_namespaces_each_is_as_it_is_alone(one: Script, other: Script) -> None:
    ends: Script = [
        (BEGIN_SECONDS + BUSY_SECONDS, action) for action in (*WELL[2:], spec_change(paused=False))
    ]
    one, other = [*one, *ends], [*other, *ends]
    for found, script in zip(seen(one, other), (one, other), strict=True):
        assert_alike(found, *seen(script))


@on_each_runner
def test_objects_that_somebody_forges_in_another_namespace_change_nothing(runner: RunnerKind) -> None:
    script: Script = [(BEGIN_SECONDS, storage("hangs")), (BEGIN_SECONDS + 150, storage("well"))]
    found, _ = seen(script, [], forges=True, runner=str(runner))
    assert_alike(found, *seen(script, runner=str(runner)))


def test_a_permission_that_is_missing_in_one_namespace_is_a_condition_there_only() -> None:
    async def play() -> list[Any]:
        simulation = Simulation(at_once, beside=OTHER)
        assert simulation.beside is not None
        assert simulation.wire_beside is not None
        worlds = simulation.world, simulation.beside
        for world in worlds:
            world.begin({**SPEC, "runner": "Pod"})
        simulation.wire_beside.forbidden.add(("create", "pods"))
        await simulation.run(200, [])
        return [each.objects["pieprobes"]["p"]["status"]["conditions"] for each in worlds]

    found = [
        {each["type"]: each for each in conditions}["PermissionMissing"]
        for conditions in in_virtual_time(play())
    ]
    assert [each["status"] for each in found] == ["False", "True"]
    assert "pie may not create pods in namespace team" in found[1]["message"]


def test_a_pieprobe_that_is_deleted_takes_nothing_with_it_in_another_namespace() -> None:
    def delete(world: World) -> None:
        del world.objects["pieprobes"]["p"]
        for kind in ("pods", "jobs", "cronjobs", "persistentvolumeclaims"):
            world.objects[kind].clear()

    def begin_again(world: World) -> None:
        world.begin(SPEC)

    gone: Script = [(BEGIN_SECONDS, delete), (BEGIN_SECONDS + 150, begin_again)]
    well, _ = seen([], gone)
    assert_alike(well, *seen([]))
