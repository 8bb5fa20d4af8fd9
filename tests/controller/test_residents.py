"""The resident probe: each node has one pod that stays, and pie reports when its mount is bad."""

from typing import Any

import pytest
from hypothesis import given

from pie.core.model import Target, Verdict
from pie.core.naming import ANNOTATION_MOUNTED_ANEW
from pie.core.reasons import Reason
from pie.core.wire import parse_seconds, rfc3339
from tests.controller.residentpods import OTHER, SPEC_FIELDS, ResidentPods, of
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    MAINTENANCE,
    SPEC,
    WELL,
    Action,
    Script,
    at_once,
    quick,
    scripts,
    spec_change,
    storage,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NAMESPACE, NODE, World
from tests.harness import Samples

RESIDENT = Target("p", "resident", "c", NODE, NAMESPACE)
ELSEWHERE = Target("p", "resident", "c", OTHER, NAMESPACE)
BEGUN = 150
"""By then all resident pods are ready."""


class Lived:
    """What came of a story with resident probes on two nodes."""

    def __init__(
        self, *script: tuple[int, Action], seconds: int = 400, nodes: tuple[str, ...] = (OTHER,), **spec: Any
    ) -> None:
        self.noted: list[tuple[int, Verdict, Reason]] = []
        in_virtual_time(self._live({**SPEC, **SPEC_FIELDS, **spec}, list(script), seconds, nodes))

    async def _live(self, spec: dict[str, Any], script: Script, seconds: int, nodes: tuple[str, ...]) -> None:
        simulation = self.simulation = Simulation(at_once)
        self.pods = ResidentPods(simulation.world)
        simulation.world.begin(spec, *nodes)
        script = [(at, self._bound(action)) for at, action in script]
        await simulation.run(seconds, script)
        self.states = simulation.states()
        self.left = of(simulation.world)
        self.claims = sorted(simulation.world.objects["persistentvolumeclaims"])
        self.counted = Samples(simulation.metrics())
        status = simulation.world.objects["pieprobes"]["p"]["status"]
        self.conditions = {each["type"]: each for each in status["conditions"]}
        self.incidents = status.get("incidents", [])
        self.targets = status["targets"]

    def _bound(self, action: Action) -> Action:
        return lambda world: action(self.pods) if getattr(action, "of_pods", False) else action(world)

    def verdict(self, target: Target = RESIDENT) -> tuple[Verdict, Reason]:
        return self.states[target].verdict, self.states[target].reason

    def condition(self) -> tuple[str, str]:
        found = self.conditions["ResidentHealthy"]
        return found["status"], found["reason"]


def answers(code: int, *nodes: str, events: bool = True) -> Action:
    """Return the action after which resident probes answer this, on these nodes."""

    def change(pods: ResidentPods) -> None:
        pods.events = events
        pods.codes |= dict.fromkeys(nodes or (NODE,), code)

    change.of_pods = True  # type: ignore[attr-defined]
    return change  # type: ignore[return-value]


def test_one_pod_per_node_goes_on_and_its_node_is_well() -> None:
    lived = Lived()
    assert len(lived.pods.seen) == 2
    assert lived.pods.most == {NODE: 1, OTHER: 1}
    assert {lived.verdict(), lived.verdict(ELSEWHERE)} == {(Verdict.OK, Reason.OK)}
    assert lived.condition() == ("True", "OK")
    assert lived.counted.value("pie_target_healthy", probe="resident", node=NODE) == 1
    assert lived.incidents == []
    assert sum(name.startswith("pie-resident-p-") for name in lived.claims) == 2


def test_over_a_budget_the_pods_start_more_slowly() -> None:
    nodes = tuple(f"n{number}" for number in range(2, 21))
    only = {"disableMountProbes": True, "disableProvisionProbe": True}

    def started_in_the_first_minute(**spec: Any) -> int:
        lived = Lived(nodes=nodes, seconds=500, **only, **spec)
        assert len(lived.left) == len(nodes) + 1
        seconds = [parse_seconds(each["metadata"]["creationTimestamp"]) or 0.0 for each in lived.left]
        return sum(each <= min(seconds) + 60 for each in seconds)

    assert started_in_the_first_minute() == len(nodes) + 1
    assert started_in_the_first_minute(budget=1) <= len(nodes) / 2


def test_it_is_off_by_default_and_nothing_shows_it() -> None:
    lived = Lived(residentProbe=False)
    assert lived.pods.seen == {}
    assert "ResidentHealthy" not in lived.conditions
    assert not any("resident" in name for name in lived.claims)


def test_its_pod_is_that_of_a_mount_run_but_for_what_makes_it_stay() -> None:
    lived = Lived(seconds=BEGUN)
    pod = next(pod for pod in lived.left if pod["spec"]["nodeName"] == NODE)
    (container,) = pod["spec"]["containers"]
    assert container["command"][:3] == ["pie", "probe", "resident"]
    assert container["command"][-2:] == ["--threshold", "10"]
    assert container["readinessProbe"] == {
        "httpGet": {"path": "/ready", "port": 8111, "scheme": "HTTP"},
        "initialDelaySeconds": 2,
        "periodSeconds": 2,
        "failureThreshold": 1,
        "successThreshold": 1,
        "timeoutSeconds": 60,
    }
    assert (pod["spec"]["restartPolicy"], pod["spec"]["terminationGracePeriodSeconds"]) == ("Always", 5)
    assert "activeDeadlineSeconds" not in pod["spec"]
    assert [owner["kind"] for owner in pod["metadata"]["ownerReferences"]] == ["PieProbe"]
    assert pod["metadata"]["labels"]["pie.topolvm.io/kind"] == "resident"
    mounts = lived.simulation.world.objects["cronjobs"].values()
    of_run = [
        each["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        for each in mounts
        if each["metadata"]["name"].startswith("mount-")
    ]
    assert pod["spec"].get("tolerations") == of_run[0].get("tolerations")
    assert container["securityContext"] == of_run[0]["containers"][0]["securityContext"]
    assert pod["spec"]["securityContext"] == of_run[0]["securityContext"]


def test_a_healthy_node_costs_no_request_of_pie_while_its_resident_pod_goes_on() -> None:
    asked: list[int] = []

    async def live() -> None:
        simulation = Simulation(at_once)
        counts = simulation.wire.asked

        def count(_world: World) -> None:
            reads = {"list", "get", "watch"}
            asked.append(sum(number for (verb, _), number in counts.items() if verb not in reads))

        ResidentPods(simulation.world)
        only = {"disableProvisionProbe": True, "disableMountProbes": True}
        simulation.world.begin({**SPEC, **SPEC_FIELDS, **only}, OTHER)
        await simulation.run(900, [(200, count), (899, count)])

    in_virtual_time(live())
    assert asked[0] == asked[1]


@pytest.mark.parametrize(
    ("code", "verdict", "reason"),
    [
        (503, Verdict.HUNG, Reason.STALLED),
        (500, Verdict.FAILED, Reason.IO_ERROR),
        (507, Verdict.FAILED, Reason.READ_ONLY),
        (409, Verdict.FAILED, Reason.DATA_CORRUPTED),
        (410, Verdict.FAILED, Reason.STALE_MOUNT),
        (404, Verdict.FAILED, Reason.VOLUME_MISSING),
    ],
)
def test_a_bad_code_is_an_incident_of_the_node_at_once_and_closes_when_io_is_well(
    code: int, verdict: Verdict, reason: Reason
) -> None:
    bad = Lived((BEGUN, answers(code)), seconds=BEGUN + 20)
    assert bad.verdict() == (verdict, reason)
    assert bad.verdict(ELSEWHERE) == (Verdict.OK, Reason.OK)
    assert [(each["reason"], each["nodes"], "closedAt" in each) for each in bad.incidents] == [
        (reason.value, [NODE], False)
    ]
    assert str(code) in bad.incidents[0]["evidence"]
    assert bad.condition() == ("False", reason.value)
    well = Lived((BEGUN, answers(code)), (BEGUN + 60, answers(200)), seconds=BEGUN + 80)
    assert well.verdict() == (Verdict.OK, Reason.OK)
    assert [each["closedBecause"] for each in well.incidents] == ["Recovered"]


@pytest.mark.parametrize(("code", "reason"), [(423, Reason.LOCKED), (501, Reason.INTERNAL)])
def test_what_is_not_the_storages_is_inconclusive(code: int, reason: Reason) -> None:
    assert Lived((BEGUN, answers(code)), seconds=BEGUN + 20).verdict() == (Verdict.INCONCLUSIVE, reason)


def test_no_answer_says_nothing_for_a_while_and_is_never_the_storages_fault() -> None:
    short = Lived((BEGUN, answers(0)), (BEGUN + 25, answers(200)), seconds=BEGUN + 60)
    assert short.verdict() == (Verdict.OK, Reason.OK)
    assert short.incidents == []
    long = Lived((BEGUN, answers(0)), seconds=BEGUN + 60)
    assert long.verdict() == (Verdict.INCONCLUSIVE, Reason.NO_ANSWER)


def test_a_pod_that_is_not_ready_without_a_word_is_unknown_after_a_while() -> None:
    soon = Lived((BEGUN, answers(503, events=False)), seconds=BEGUN + 100)
    assert soon.verdict() == (Verdict.OK, Reason.OK)
    late = Lived((BEGUN, answers(503, events=False)), seconds=BEGUN + 300)
    assert late.verdict() == (Verdict.UNKNOWN, Reason.NO_RECENT_RUN)
    assert late.incidents == []


def no_node_controller(world: World) -> None:
    world.node_controller_stands_still = True


def test_a_ready_pod_of_a_silent_kubelet_proves_nothing_also_where_kubernetes_calls_its_node_ready() -> None:
    script = (0, no_node_controller), (BEGUN, World.power_off)
    silent = Lived(*script, seconds=BEGUN + 400)
    assert silent.verdict() == (Verdict.UNKNOWN, Reason.NO_RECENT_RUN)
    assert silent.verdict(ELSEWHERE) == (Verdict.OK, Reason.OK)
    back = Lived(*script, (BEGUN + 400, World.power_on), seconds=BEGUN + 600)
    assert back.verdict() == back.verdict(ELSEWHERE) == (Verdict.OK, Reason.OK)


def test_a_drained_node_has_no_pod_until_it_is_back() -> None:
    cordoned = BEGUN + 10
    drained = Lived((cordoned, World.cordon), (cordoned + 2, World.evict), seconds=cordoned + 150)
    assert [pod["spec"]["nodeName"] for pod in drained.left] == [OTHER]
    assert drained.incidents == []
    back = Lived(
        (cordoned, World.cordon),
        (cordoned + 2, World.evict),
        (cordoned + 100, World.uncordon),
        seconds=cordoned + 300,
    )
    assert sorted(pod["spec"]["nodeName"] for pod in back.left) == [NODE, OTHER]
    assert back.verdict() == (Verdict.OK, Reason.OK)


def test_a_paused_pieprobe_has_no_resident_pod_and_keeps_its_volumes() -> None:
    paused = Lived((BEGUN, spec_change(paused=True)), seconds=BEGUN + 60)
    assert paused.left == []
    assert sum(name.startswith("pie-resident-p-") for name in paused.claims) == 2
    resumed = Lived(
        (BEGUN, spec_change(paused=True)), (BEGUN + 60, spec_change(paused=False)), seconds=BEGUN + 250
    )
    assert len(resumed.left) == 2


def test_pods_and_volumes_go_when_it_is_switched_off() -> None:
    lived = Lived((BEGUN, spec_change(residentProbe=False)), seconds=BEGUN + 60)
    assert lived.left == []
    assert not any(name.startswith("pie-resident-") for name in lived.claims)
    assert RESIDENT not in lived.states


def test_a_pod_that_is_deleted_is_started_again() -> None:
    lived = Lived((BEGUN, World.evict), seconds=BEGUN + 150)
    assert len(lived.left) == 2
    assert len(lived.pods.seen) == 4
    assert lived.verdict() == (Verdict.OK, Reason.OK)


def test_the_next_controller_still_knows_of_a_stall() -> None:
    async def live() -> Simulation:
        first = Simulation(at_once)
        pods = ResidentPods(first.world)
        first.world.begin({**SPEC, **SPEC_FIELDS}, OTHER)
        await first.run(BEGUN, [(BEGUN - 30, lambda _world: pods.codes.update({NODE: 503}))])
        second = Simulation(at_once, first)
        await second.run(30, [])
        return second

    ended: list[Simulation] = []

    async def keep() -> None:
        ended.append(await live())

    in_virtual_time(keep())
    assert ended[0].states()[RESIDENT].verdict is Verdict.HUNG
    (incident,) = ended[0].world.objects["pieprobes"]["p"]["status"]["incidents"]
    assert (incident["reason"], "closedAt" in incident) == ("Stalled", False)


def mends(node: str) -> Action:
    """Return the action after which the next mount on a node is well, and the one that is there is not."""

    def change(pods: ResidentPods) -> None:
        pods.dead = frozenset(pod["metadata"]["uid"] for pod in pods.of() if pod["spec"]["nodeName"] == node)

    change.of_pods = True  # type: ignore[attr-defined]
    return change  # type: ignore[return-value]


def test_a_dead_mount_gets_a_new_pod_once_and_the_incident_says_what_may_still_be_broken() -> None:
    waits = Lived((BEGUN, answers(410)), seconds=BEGUN + 590)
    assert len(waits.pods.seen) == 2
    lived = Lived((BEGUN, mends(NODE)), seconds=BEGUN + 750)
    assert len(lived.pods.seen) == 3
    assert lived.pods.most[NODE] == 1
    assert lived.verdict() == (Verdict.OK, Reason.OK)
    (incident,) = lived.incidents
    assert (incident["reason"], incident["closedBecause"]) == ("StaleMount", "Replaced")
    assert incident["closedMessage"].startswith("applications that mounted before 2023-")


def test_a_new_mount_that_is_dead_too_is_not_replaced_again() -> None:
    lived = Lived((BEGUN, answers(410)), seconds=BEGUN + 1500)
    assert len(lived.pods.seen) == 3
    assert lived.verdict() == (Verdict.FAILED, Reason.STALE_MOUNT)
    assert ["closedAt" in each for each in lived.incidents] == [False]


class TakenOver:
    """A story with a dead mount in which another controller leads from a second on."""

    def __init__(self, *, at: int, seconds: int, between: Action = lambda _world: None) -> None:
        self._at, self._seconds, self._between = at, seconds, between
        in_virtual_time(self._live())

    async def _live(self) -> None:
        first = Simulation(at_once)
        self.pods = ResidentPods(first.world)
        first.world.begin({**SPEC, **SPEC_FIELDS}, OTHER)
        await first.run(self._at, [(BEGUN, lambda _world: self.pods.codes.update({NODE: 410}))])
        self._between(first.world)
        second = Simulation(at_once, first)
        await second.run(self._seconds, [])
        self.states = second.states()
        self.claims = second.world.objects["persistentvolumeclaims"]


def test_the_next_controller_does_not_replace_the_pod_of_a_dead_mount_again() -> None:
    lived = TakenOver(at=BEGUN + 700, seconds=1500)
    assert len(lived.pods.seen) == 3
    assert (lived.states[RESIDENT].verdict, lived.states[RESIDENT].reason) == (
        Verdict.FAILED,
        Reason.STALE_MOUNT,
    )


def test_the_next_controller_deletes_a_pod_that_the_one_before_was_about_to_replace() -> None:
    def about_to_replace(world: World) -> None:
        (claim,) = (
            each
            for name, each in world.objects["persistentvolumeclaims"].items()
            if name.startswith("pie-resident-") and each["metadata"]["labels"]["node"] == NODE
        )
        metadata = claim["metadata"]
        marks = {**metadata.get("annotations", {}), ANNOTATION_MOUNTED_ANEW: rfc3339(world.now() - 1)}
        world.put("persistentvolumeclaims", {**claim, "metadata": {**metadata, "annotations": marks}})

    assert len(TakenOver(at=BEGUN + 200, seconds=150).pods.seen) == 2
    assert len(TakenOver(at=BEGUN + 200, seconds=150, between=about_to_replace).pods.seen) == 3


def test_a_mount_that_is_well_again_may_be_replaced_once_more() -> None:
    lived = Lived(
        (BEGUN, answers(410)),
        (BEGUN + 750, answers(200)),
        (BEGUN + 800, answers(410)),
        seconds=BEGUN + 1550,
    )
    assert len(lived.pods.seen) == 4


def test_pods_of_an_earlier_spec_are_replaced_in_their_turn_and_a_bad_one_is_evidence_that_stays() -> None:
    changed = (BEGUN + 10, spec_change(residentThreshold="20s"))
    lived = Lived((BEGUN, answers(503)), changed, seconds=BEGUN + 1900)
    commands = {pod["spec"]["nodeName"]: pod["spec"]["containers"][0]["command"][-1] for pod in lived.left}
    assert commands == {NODE: "10", OTHER: "20"}
    assert len(lived.pods.seen) == 3
    assert lived.verdict(ELSEWHERE) == (Verdict.OK, Reason.OK)
    assert [each["nodes"] for each in lived.incidents] == [[NODE]]


def test_each_minute_is_shown_with_the_worst_that_was_heard_in_it() -> None:
    lived = Lived((240, answers(503)), (300, answers(200)), (420, World.cordon), seconds=540)
    history, now = lived.simulation.controller.history, lived.simulation.now()
    shown = history.letters(RESIDENT, now, 9)
    assert "h" in shown
    assert shown[-2] == "s", "the last minute has just begun"
    assert set(history.letters(ELSEWHERE, now, 6)[:-1]) == {"o"}


def test_pods_are_not_replaced_while_nothing_changes() -> None:
    assert len(Lived(seconds=2400).pods.seen) == 2


@pytest.mark.parametrize("code", [503, 409], ids=["hangs", "has wrong records"])
def test_a_pod_that_hangs_or_has_evidence_is_never_replaced(code: int) -> None:
    assert len(Lived((BEGUN, answers(code)), seconds=BEGUN + 900).pods.seen) == 2


def test_a_resident_pod_is_not_replaced_in_maintenance() -> None:
    lived = Lived((BEGUN, answers(410)), (BEGUN + 300, World.cordon), seconds=BEGUN + 900)
    assert len(lived.pods.seen) == 2


def test_the_incident_says_that_new_mounts_work_once_a_run_has_shown_it() -> None:
    before = Lived((BEGUN, answers(410)), seconds=BEGUN + 8)
    after = Lived((BEGUN, answers(410)), seconds=BEGUN + 200)
    assert ["new mounts" in each["evidence"] for each in before.incidents] == [False]
    assert [each["evidence"].endswith("; new mounts on this node work") for each in after.incidents] == [True]


def test_the_incident_says_that_old_mounts_work_where_new_ones_fail() -> None:
    lived = Lived((BEGUN, storage("does not mount")), seconds=BEGUN + 300)
    evidence = {each["evidence"] for each in lived.incidents}
    assert any(each.endswith("; a volume that stays mounted there works") for each in evidence), evidence


@quick
@given(scripts([*MAINTENANCE, *WELL]))
def test_maintenance_alone_never_makes_a_resident_probe_bad_and_a_node_has_one_at_most(
    script: Script,
) -> None:
    lived = Lived(*script, seconds=400)
    assert [each for each in lived.incidents if each["reason"] in {"Stalled", "StaleMount", "NoAnswer"}] == []
    assert set(lived.pods.most.values()) <= {1}


def crowded(*, own_storage: bool) -> tuple[set[str], dict[str, Any]]:
    """Return the intervals of the resident pods of 161 nodes, and the condition about their class."""

    async def live() -> Simulation:
        simulation = Simulation(at_once)
        world = simulation.world
        world.begin({**SPEC, **SPEC_FIELDS, "disableMountProbes": True})
        world.put("storageclasses", {**world.objects["storageclasses"]["c"], "provisioner": "d"})
        for name in (NODE, *(f"m{number}" for number in range(160))):
            world.add_node(name, a="", host=name if own_storage else "")
            drivers = [{"name": "d", "nodeID": name, "topologyKeys": ["host"]}]
            world.put("csinodes", {"metadata": {"name": name}, "spec": {"drivers": drivers}})
        await simulation.run(75, [])
        return simulation

    ended: list[Simulation] = []

    async def keep() -> None:
        ended.append(await live())

    in_virtual_time(keep())
    commands = [pod["spec"]["containers"][0]["command"] for pod in of(ended[0].world)]
    conditions = ended[0].world.objects["pieprobes"]["p"]["status"]["conditions"]
    return (
        {each[-1] if "--interval" in each else "2" for each in commands},
        next(each for each in conditions if each["type"] == "ClassWarning"),
    )


def test_where_nodes_share_the_storage_of_a_class_they_do_io_less_often_and_a_condition_says_so() -> None:
    intervals, condition = crowded(own_storage=False)
    assert intervals == {"16"}
    assert (condition["status"], condition["reason"]) == ("True", "ResidentIntervalLong")
    assert "161 nodes" in condition["message"]


def test_nodes_with_storage_of_their_own_do_not_slow_each_other_down() -> None:
    intervals, condition = crowded(own_storage=True)
    assert intervals == {"2"}
    assert condition["status"] == "False"
