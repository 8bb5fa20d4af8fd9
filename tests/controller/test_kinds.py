"""A new kind of probe is one module and one row: nothing else has to know of it."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from pie.core.batch.naming import cronjob_names
from pie.core.kinds import KINDS
from pie.core.kinds.row import Row
from pie.core.model import Target, Verdict
from pie.core.reasons import Reason
from tests.controller import toykind
from tests.controller.simulation import Simulation
from tests.controller.stories import at_once, storage
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import BASE_SPEC, NAMESPACE, NODE, World
from tests.harness import Samples

ONLY_TOY = {**BASE_SPEC, "disableProvisionProbe": True, "disableMountProbes": True}
OTHER = "n2"

EVERY_KIND = [
    replace(toykind.ROW, per_node=per_node, pvc=pvc, io_apart=io_apart)
    for per_node, pvc, io_apart in product((True, False), ("", "pie-toy"), (True, False))
    if per_node or not io_apart
]


def words(row: Row) -> str:
    """Return what distinguishes a kind."""
    where, volume = "each node" if row.per_node else "any node", "kept" if row.pvc else "new"
    return f"{where}, {volume} volume, I/O {'apart' if row.io_apart else 'in time'}"


@pytest.fixture(params=EVERY_KIND, ids=words)
def toy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Row:
    """Add the toy's row to the table, with each combination of what distinguishes kinds."""
    row: Row = request.param
    monkeypatch.setitem(KINDS, row.name, row)
    return row


class Lived:
    """What came of the toy's targets, and the pods that there were."""

    def __init__(self, row: Row, *script: tuple[int, Any], seconds: int = 200) -> None:
        self.targets = [
            Target("p", row.name, "c", node, NAMESPACE) for node in ((NODE, OTHER) if row.per_node else ("",))
        ]
        self.pods: dict[str, dict[str, Any]] = {}
        in_virtual_time(self._live(seconds, list(script)))

    async def _live(self, seconds: int, script: list[tuple[int, Any]]) -> None:
        simulation = Simulation(at_once)
        simulation.world.each_second["note"] = lambda world: self.pods.update(world.objects["pods"])
        simulation.world.begin(ONLY_TOY, OTHER)
        await simulation.run(seconds, script)
        self.counted = Samples(simulation.metrics())
        self.verdicts = {target: state.verdict for target, state in simulation.states().items()}
        self.reasons = {state.reason for state in simulation.states().values()}
        self.claims = list(simulation.world.objects["persistentvolumeclaims"])
        status = simulation.world.objects["pieprobes"]["p"]["status"]
        self.conditions = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
        self.incidents = {each["reason"] for each in status.get("incidents", [])}

    def on_time(self, target: Target, yes: str) -> float:
        more = {"node": target.node} if target.node else {}
        return self.counted.value("pie_toy_probe_total", on_time=yes, **more) or 0.0

    def succeeded(self, yes: str) -> float | None:
        found = self.counted.all("pie_performance_on_toy_probe_total")
        return sum(each.value for each in found if each.labels["succeed"] == yes) if found else None


def test_its_runs_are_started_judged_counted_and_shown(toy: Row) -> None:
    lived = Lived(toy)
    volumes = [pod["spec"]["volumes"][0] for pod in lived.pods.values()]
    commands = {tuple(pod["spec"]["containers"][0]["command"][:3]) for pod in lived.pods.values()}
    assert commands == {toy.command}
    assert all(("persistentVolumeClaim" if toy.pvc else "ephemeral") in volume for volume in volumes)
    assert len(lived.claims) == (len(lived.targets) if toy.pvc else 0)
    assert lived.verdicts == dict.fromkeys(lived.targets, Verdict.OK)
    for target in lived.targets:
        assert lived.on_time(target, "true") >= 2
        assert lived.on_time(target, "false") == 0
        names = tuple(f"{name}-" for name in cronjob_names(target))
        assert any(name.startswith(names) for name in lived.pods)
    assert (lived.succeeded("true") or 0) >= 2 if toy.io_apart else lived.succeeded("true") is None
    healthy = lived.counted.all("pie_target_healthy")
    assert [(each.labels["probe"], each.value) for each in healthy] == [("toy", 1.0)] * len(lived.targets)
    assert lived.conditions["ToyHealthy"] == ("True", "OK")
    assert lived.incidents == set()


def test_its_bad_runs_are_an_incident_and_followed_elsewhere_where_any_node_can_serve(toy: Row) -> None:
    lived = Lived(toy, (0, storage("fails")))
    assert lived.verdicts == dict.fromkeys(lived.targets, Verdict.FAILED)
    assert lived.reasons == {Reason.IO_ERROR}
    for target in lived.targets:
        bad_in_time = 0 if toy.io_apart else 2
        assert lived.on_time(target, "false") >= bad_in_time
    assert (lived.succeeded("false") or 0) >= 2 if toy.io_apart else lived.succeeded("false") is None
    assert lived.conditions["ToyHealthy"] == ("False", "IOError")
    assert lived.incidents == {"IOError"}
    elsewhere = [pod for name, pod in lived.pods.items() if "-x" in name]
    assert bool(elsewhere) is not toy.per_node
    assert {pod["spec"].get("nodeName") for pod in elsewhere} <= {OTHER}
    claims = [pod["spec"]["volumes"][0].get("persistentVolumeClaim") for pod in lived.pods.values()]
    assert {each["claimName"] for each in claims if each} == set(lived.claims)


def test_io_is_not_counted_apart_where_another_node_may_do_better() -> None:
    with pytest.raises(ValueError, match="toy: where any node can serve, I/O cannot be counted apart"):
        replace(toykind.ROW, per_node=False, io_apart=True)


def test_its_runs_are_suppressed_while_no_node_is_usable(toy: Row) -> None:
    def cordon_all(world: World) -> None:
        for node in list(world.objects["nodes"].values()):
            world.put("nodes", {**node, "spec": {"unschedulable": True}})

    lived = Lived(toy, (0, cordon_all))
    suppressed = lived.counted.all("pie_suppressed_runs_total")
    assert sum(each.value for each in suppressed if each.labels["probe"] == "toy") >= 2
    assert {each.labels["node"] for each in lived.counted.all("pie_target_suppressed")} == {
        target.node for target in lived.targets
    }
    assert all(lived.on_time(target, yes) == 0 for target in lived.targets for yes in ("true", "false"))
