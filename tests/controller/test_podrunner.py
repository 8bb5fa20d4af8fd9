"""`runner: Pod`: pie starts the pods itself, each due time once, and few at a time."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from pie.core.model import RunnerKind, Verdict
from pie.core.naming import ANNOTATION_SUPPRESSED_SINCE
from pie.core.pods.calendar import paced
from pie.core.pods.naming import pod_name
from pie.core.reasons import Reason
from pie.core.result import Outcome, RecordStats, Result, encode
from pie.kube.errors import Unreachable
from pie.kube.transport import Answer, Request
from tests.controller.actors import report
from tests.controller.sidecars import probe_state
from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, Lag, Script, at_once, played, storage
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NODE, PROVISION, T0, TARGET, World
from tests.core.build import probe

POD = {**SPEC, "runner": "Pod"}
SECONDS = 400


class Lived:
    """What came of a story with `runner: Pod`."""

    def __init__(
        self,
        script: Script,
        *nodes: str,
        spec: dict[str, Any] = POD,
        seconds: int = SECONDS,
        lag: Lag = at_once,
        prepare: Callable[[Simulation], None] = lambda _: None,
    ) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.most_at_once: Counter[str] = Counter()
        self._prepare, self._lag = prepare, lag
        in_virtual_time(self._live(script, nodes, spec, seconds))

    async def _live(self, script: Script, nodes: tuple[str, ...], spec: dict[str, Any], seconds: int) -> None:
        simulation = self.simulation = Simulation(self._lag)
        simulation.world.each_second["note"] = self._note
        simulation.world.begin(spec, *nodes)
        self._prepare(simulation)
        await simulation.run(seconds, script)
        self.asked = simulation.wire.asked

    def _note(self, world: World) -> None:
        now: Counter[str] = Counter()
        for pod in world.objects["pods"].values():
            self.pods.setdefault(pod["metadata"]["uid"], pod)
            now[(pod["metadata"].get("labels") or {}).get("node", "?")] += 1
        self.most_at_once |= now

    def verdicts(self) -> set[Verdict]:
        return {state.verdict for state in self.simulation.states().values()}


def test_pie_creates_no_cronjob_and_no_job_and_writes_a_pod_once_and_deletes_it_once() -> None:
    lived = Lived([])
    assert not lived.asked["apply", "cronjobs"]
    assert not lived.asked["create", "jobs"]
    assert lived.asked["create", "pods"] == len(lived.pods)
    assert len(lived.pods) - 2 <= lived.asked["delete", "pods"] <= len(lived.pods)
    assert not lived.asked["patch", "pods"]
    assert lived.verdicts() == {Verdict.OK}


def test_a_pod_belongs_to_the_pieprobe_and_is_bound_by_the_scheduler() -> None:
    for pod in Lived([]).pods.values():
        (owner,) = pod["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("PieProbe", "p", True)
        assert "nodeName" not in pod["spec"] or pod["status"]["conditions"]
        assert pod["spec"]["activeDeadlineSeconds"] == 40


@pytest.mark.parametrize("state", ["well", "does not mount", "hangs", "fails"])
def test_a_mount_target_has_one_pod_and_the_class_one_and_a_follow_up(state: str) -> None:
    lived = Lived([(90, storage(state))], "n2")
    assert lived.most_at_once[NODE] == 1
    assert lived.most_at_once["?"] <= 2


def test_a_suppressed_node_gets_no_pod_and_its_due_times_are_suppressed() -> None:
    outcome = played([(100, World.cordon), (300, World.uncordon)], runner=RunnerKind.POD)
    assert set(outcome.accounts.as_what(TARGET)) == {"on time", Reason.NODE_CORDONED}
    assert outcome.accounts.as_what(TARGET)[Reason.NODE_CORDONED] >= 2
    lived = Lived([(100, World.cordon), (300, World.uncordon)])
    due = [int(pod["metadata"]["name"].rpartition("-s")[2], 16) - T0 for pod in lived.pods.values()]
    assert not [each for each in due if 101 < each < 300]


def test_since_when_a_target_is_paused_stands_on_its_pvc_while_it_is() -> None:
    def annotation(world: World) -> list[str]:
        claims = world.objects["persistentvolumeclaims"].values()
        marks = [each["metadata"].get("annotations", {}) for each in claims]
        return [each[ANNOTATION_SUPPRESSED_SINCE] for each in marks if ANNOTATION_SUPPRESSED_SINCE in each]

    seen: dict[int, list[str]] = {}
    looks = [(second, lambda world, at=second: seen.update({at: annotation(world)})) for second in (90, 200)]
    lived = Lived([(100, World.cordon), (210, World.uncordon), *looks])
    assert seen == {90: [], 200: ["2023-11-14T22:15:40Z"]}
    assert annotation(lived.simulation.world) == []


def unanswered(simulation: Simulation, *, done: bool, times: int) -> None:
    """Let the first requests that create pods time out, carried out or not."""
    send, left = simulation.wire.send, [times]

    async def without_answer(request: Request) -> Answer:
        if request.verb != "create" or request.resource.plural != "pods" or not left[0]:
            return await send(request)
        left[0] -= 1
        if done:
            await send(request)
        raise Unreachable(f"{request}: timed out")

    simulation.wire.send = without_answer  # type: ignore[method-assign]  # the transport has the one method


@pytest.mark.parametrize("done", [True, False])
def test_a_pod_whose_creation_is_not_answered_is_created_once(done: bool) -> None:
    lived = Lived([], prepare=lambda simulation: unanswered(simulation, done=done, times=6))
    names = Counter(pod["metadata"]["name"] for pod in lived.pods.values())
    assert set(names.values()) == {1}
    assert not [name for name in names if name.endswith("-2")]
    assert lived.verdicts() == {Verdict.OK}
    assert lived.most_at_once[NODE] == 1


def test_a_pod_that_the_watch_does_not_show_yet_keeps_its_target_from_having_another_one() -> None:
    def slow(simulation: Simulation) -> None:
        creates = lambda request: request.verb == "create" and request.resource.plural == "pods"  # noqa: E731
        simulation.wire.answers_after = lambda request: (
            65.0 if creates(request) and simulation.world.now() < T0 + 300 else 0.0
        )

    def behind(kind: str, second: int) -> int:
        return max(0, second - 95) if kind == "pods" and second < 230 else 0

    lived = Lived([(96, storage("hangs")), (300, storage("well"))], lag=behind, prepare=slow, seconds=700)
    assert lived.most_at_once[NODE] == 1
    assert lived.verdicts() == {Verdict.OK}


def test_a_name_that_another_object_has_leads_to_another_name_for_the_same_due_time() -> None:
    due = paced(TARGET, probe()).next_due(T0 + 100)
    name = pod_name(TARGET, "schedule", due)

    def take(world: World) -> None:
        metadata = {"name": name, "namespace": "pie"}
        world.put("pods", {"metadata": metadata, "spec": {"nodeName": "x"}, "status": {"phase": "Running"}})

    lived = Lived([(90, take)])
    names = {pod["metadata"]["name"] for pod in lived.pods.values()}
    assert pod_name(TARGET, "schedule", due, 2) in names


def test_a_pod_that_is_not_bound_is_late_at_its_threshold() -> None:
    spec = {**POD, "probeThreshold": "10s"}
    due = int(paced(TARGET, probe()).next_due(T0 + 100) - T0)
    lived = Lived([(90, storage("does not bind"))], spec=spec, seconds=due + 15)
    assert lived.simulation.states()[TARGET].verdict is Verdict.LATE


@pytest.mark.parametrize("seconds", [30, 45, 90])
def test_a_period_in_seconds_has_a_run_each_time(seconds: int) -> None:
    spec = {**POD, "probePeriodSeconds": seconds, "deadline": "25s"}
    due_times = sorted(
        int(pod["metadata"]["name"].rpartition("-s")[2], 16)
        for pod in Lived([], spec=spec).pods.values()
        if pod["metadata"]["labels"].get("node")
    )
    assert len(due_times) >= SECONDS // seconds - 1
    assert {after - before for before, after in pairwise(due_times)} == {seconds}


def test_a_quota_that_refuses_pods_is_the_reason_of_the_due_times_without_one() -> None:
    def refuse(world: World) -> None:
        world.pods_are_refused = "forbidden: exceeded quota: q, requested: pods=1"

    outcome = played([(100, refuse)], runner=RunnerKind.POD)
    assert set(outcome.accounts.as_what(PROVISION)) == {"on time", Reason.POD_REFUSED}


def test_a_pod_that_somebody_deletes_at_once_is_no_late_run() -> None:
    def janitor(world: World) -> None:
        world.each_second["janitor"] = lambda world: world.evict()

    outcome = played([(100, janitor)], runner=RunnerKind.POD)
    assert "late" not in outcome.counted_as()


def test_a_pod_is_deleted_once_its_phase_says_that_it_ended() -> None:
    phases: list[str] = []

    def ends_in_two_steps(world: World, pod: dict[str, Any]) -> bool:
        """End the container first and the pod a second later, as real kubelets do."""
        if "running" not in (state := probe_state(pod)):
            return False
        records = RecordStats(identity_found="a" * 32, identity_written="a" * 32)
        message = encode(Result(probe="mount", outcome=Outcome.OK, records=records)).decode()
        ended = {"exitCode": 0, **state["running"], "finishedAt": world.node_time(NODE), "message": message}
        report(world, pod, "Running", {"terminated": ended})
        return True

    def prepare(simulation: Simulation) -> None:
        send, world = simulation.wire.send, simulation.world

        async def note(request: Request) -> Answer:
            if request.verb == "delete" and request.resource.plural == "pods":
                phases.append(world.objects["pods"][str(request.name)]["status"]["phase"])
            return await send(request)

        simulation.wire.send = note  # type: ignore[method-assign]  # the transport has the one method
        world.kubelets["ends in two steps"] = ends_in_two_steps

    assert Lived([], prepare=prepare).verdicts() == {Verdict.OK}
    assert set(phases) == {"Succeeded"}
