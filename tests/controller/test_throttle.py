"""pie spares a control plane that lags, and takes no fault of the storage for that."""

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from pie.core.model import Verdict
from pie.core.timeline import ANNOTATION_PROVISIONER
from pie.core.wire import rfc3339
from pie.kube.errors import TooManyRequests
from pie.kube.leader import Reign
from pie.kube.transport import Answer, Request
from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, Outcome, Script, at_once, cronjobs_stand_still, storage
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import PROBE, T0, World
from tests.harness import Samples

POD = {**SPEC, "runner": "Pod"}
NODES = 12
OTHERS = tuple(f"n{i}" for i in range(2, NODES + 1))
Prepare = Callable[[Simulation], None]


class Story:
    """What came of a story: when pods were created, the conditions by second, and what was counted."""

    def __init__(
        self,
        script: Script = (),  # type: ignore[assignment]
        *,
        spec: dict[str, Any] = POD,
        seconds: int = 1200,
        nodes: tuple[str, ...] = OTHERS,
        prepare: Prepare = lambda _: None,
    ) -> None:
        self.created: dict[str, float] = {}
        self.throttled: list[tuple[float, dict[str, Any]]] = []
        with capture_logs() as lines:
            in_virtual_time(self._live(script, spec, seconds, nodes, prepare))
            self.outcome = Outcome(self.simulation, lines)

    async def _live(
        self, script: Script, spec: dict[str, Any], seconds: int, nodes: tuple[str, ...], prepare: Prepare
    ) -> None:
        simulation = self.simulation = Simulation(at_once)
        simulation.world.each_second["note"] = self._note
        simulation.world.begin(spec, *nodes)
        prepare(simulation)
        await simulation.run(seconds, script)
        self.metrics = Samples(simulation.metrics())

    def _note(self, world: World) -> None:
        for pod in world.objects["pods"].values():
            self.created.setdefault(pod["metadata"]["uid"], world.now() - T0)
        conditions = world.objects["pieprobes"]["p"].get("status", {}).get("conditions", ())
        for each in conditions:
            if each["type"] == "Throttled" and each["status"] == "True":
                self.throttled.append((world.now() - T0, each))

    def started(self, since: float, until: float) -> int:
        """Return how many pods were created in [since, until)."""
        return sum(since <= at < until for at in self.created.values())


def storm(since: float, until: float, verb: str = "delete") -> Prepare:
    """Let the API server answer 429 to these requests for a while."""

    def prepare(simulation: Simulation) -> None:
        send = simulation.wire.send

        async def busy(request: Request) -> Answer:
            if request.verb == verb and since <= simulation.now() - T0 < until:
                raise TooManyRequests(429, "TooManyRequests", f"{request}: too many")
            return await send(request)

        simulation.wire.send = busy  # type: ignore[method-assign]  # the transport has the one method

    return prepare


def slow(since: float, until: float, seconds: float) -> Prepare:
    """Let the API server answer late for a while."""

    def prepare(simulation: Simulation) -> None:
        send = simulation.wire.send

        async def late(request: Request) -> Answer:
            answer = await send(request)
            took = seconds if since <= simulation.now() - T0 < until else 0.0
            return Answer(answer.body, took, answer.date_seconds)

        simulation.wire.send = late  # type: ignore[method-assign]  # the transport has the one method

    return prepare


@pytest.mark.parametrize("prepare", [storm(300, 360), slow(300, 360, 2.0)], ids=["429", "slow"])
def test_a_busy_api_server_slows_runs_down_within_a_period_and_they_come_back(prepare: Prepare) -> None:
    story = Story(prepare=prepare)
    first, last = story.throttled[0][0], story.throttled[-1][0]
    assert 300 < first < 360
    assert 480 < last < 1100
    usual = NODES + 1
    assert story.started(240, 300) == pytest.approx(usual, abs=1)
    assert story.started(360, 480) <= usual, "at most half of it"
    assert story.started(1140, 1200) == pytest.approx(usual, abs=1)
    assert story.metrics.value("pie_throttled") == 0
    assert story.metrics.value("pie_pace_ratio") == 1
    assert story.outcome.errors(T0 + 1100) == []
    assert story.outcome.counted_as() == {"on time"}
    assert {state.verdict for state in story.simulation.states().values()} == {Verdict.OK}


def test_the_next_leader_goes_on_as_slowly() -> None:
    found: list[tuple[float, int]] = []

    async def play() -> None:
        first = Simulation(at_once)
        first.world.begin(POD, *OTHERS)
        storm(100, 115)(first)
        await first.run(150, [])
        second = Simulation(at_once, first, reign=Reign(first.now(), first.now()))
        await second.run(60, [])
        for each in (first, second):
            spec = each.controller.probes.spec(PROBE)
            assert spec is not None
            found.append((each.controller.paces.throttle.part, each.controller.paces.parts(spec)[-1].every))

    in_virtual_time(play())
    assert found == [(0.5, 2), (0.5, 2)]


def test_the_condition_says_what_lags_and_how_often_targets_are_probed() -> None:
    _, found = Story(prepare=storm(300, 330), seconds=340).throttled[-1]
    assert found["reason"] == "ControlPlaneBusy"
    assert "the API server refuses requests (429); each target is probed every 120 s" in found["message"]


@pytest.mark.parametrize("state", ["does not mount", "hangs", "fails"])
@pytest.mark.parametrize("runner", ["Pod", "CronJob"])
def test_a_fault_of_the_storage_alone_is_never_throttled(state: str, runner: str) -> None:
    story = Story([(200, storage(state))], spec={**SPEC, "runner": runner}, seconds=700)
    assert story.throttled == []
    assert story.outcome.told, "the fault was found"


def provisioner_gone(world: World) -> None:
    """Let no volume be created from now on: PVCs wait, and with them their pods; mount runs are well."""

    def wait(world: World) -> None:
        for pod in list(world.objects["pods"].values()):
            metadata, node = pod["metadata"], pod["metadata"]["labels"].get("node")
            if node and "nodeName" not in pod["spec"]:
                bound = {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(world.now())}
                status = {**pod["status"], "conditions": [bound]}
                world.put("pods", {**pod, "spec": {**pod["spec"], "nodeName": node}, "status": status})
            elif not node and f"{metadata['name']}-volume" not in world.objects["persistentvolumeclaims"]:
                owner = {"kind": "Pod", "name": metadata["name"], "uid": metadata["uid"], "controller": True}
                labels = {name: metadata["labels"][name] for name in ("pie-probe", "storage-class")}
                world.put(
                    "persistentvolumeclaims",
                    {
                        "metadata": {
                            "name": f"{metadata['name']}-volume",
                            "namespace": metadata["namespace"],
                            "labels": labels,
                            "ownerReferences": [{"apiVersion": "v1", **owner}],
                            "annotations": {ANNOTATION_PROVISIONER: "driver"},
                        },
                        "spec": {"storageClassName": "c"},
                        "status": {"phase": "Pending"},
                    },
                )

    world.storage = "does not bind"
    world.each_second["wait"] = wait


@pytest.mark.parametrize("runner", ["Pod", "CronJob"])
def test_a_provisioner_that_is_gone_is_never_throttled(runner: str) -> None:
    story = Story([(200, provisioner_gone)], spec={**SPEC, "runner": runner}, seconds=700)
    assert story.throttled == []
    assert ("provision", "ProvisionerSilent") in story.outcome.incidents


def test_cronjobs_that_stand_still_are_a_sign_and_the_condition_recommends_pods() -> None:
    story = Story([(200, cronjobs_stand_still)], spec=SPEC, seconds=500, nodes=("n2",))
    _, found = story.throttled[-1]
    assert "Kubernetes starts runs late" in found["message"]
    assert "use spec.runner Pod" in found["message"]
