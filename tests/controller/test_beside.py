"""Runs of two pods that use one volume at once, as the canary `shared` has them: both have to be good."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.model import Target, Verdict
from pie.core.pods.calendar import paced
from pie.core.reasons import Reason
from pie.core.result import Outcome
from tests.controller.canarystories import OTHER, CanaryStory, refuses
from tests.controller.sidecars import seconds_of
from tests.controller.stories import (
    BEGIN_SECONDS,
    BUSY_SECONDS,
    FAULTS,
    GAPS,
    MAINTENANCE,
    SPEC,
    WELL,
    Action,
    Lag,
    Script,
    at_once,
    quick,
    scripts,
    with_gaps,
)
from tests.controller.world import NAMESPACE, NODE, T0, World
from tests.core.build import probe

SHARED = Target("p", "shared", "c", namespace=NAMESPACE)
WITH_SHARED = {**SPEC, "canaries": {"shared": {"period": "10m"}}}
SECOND = "-step2"
UNSUPPORTED = "code = InvalidArgument desc = unsupported access mode: MULTI_NODE_MULTI_WRITER"
THIRD = "n3"
PERIOD_SECONDS = 600
FIRST_DUE = next(
    iter(paced(SHARED, probe(period_seconds=PERIOD_SECONDS)).dues_between(T0, T0 + 900, limit=1))
)


class Lived(CanaryStory):
    """What came of a story with the canary `shared`."""

    def __init__(
        self,
        *script: tuple[int, Action],
        seconds: int = 2000,
        lives: int = 1,
        lag: Lag = at_once,
        **spec: Any,
    ) -> None:
        super().__init__("shared", {**WITH_SHARED, **spec}, *script, seconds=seconds, lives=lives, lag=lag)

    @property
    def seconds(self) -> list[str]:
        """The names of the second pods."""
        return [name for name in self.pods if name.endswith(SECOND)]

    def node(self, pod: str) -> str:
        return str(self.pods[pod]["spec"].get("nodeName", ""))


def ends(which: str, outcome: Outcome) -> Action:
    """Return the action after which the first pods (`shared`), or the second ones, end so."""

    def change(world: World) -> None:
        world.outcomes[which] = outcome

    return change


def _is_shared(pod: dict[str, Any]) -> bool:
    return str(pod["metadata"]["name"]).startswith("shared-")


def with_third_node(world: World) -> None:
    node = world.objects["nodes"][OTHER]
    world.put("nodes", {**node, "metadata": {**node["metadata"], "name": THIRD, "uid": "uid-n3"}})


def test_both_pods_run_at_once_on_two_nodes_with_one_volume_and_are_deleted_together() -> None:
    lived = Lived()
    over = [name for name in lived.seconds if name not in lived.left]
    assert len(over) >= 2
    for name in over:
        first, second = lived.pods[name.removesuffix(SECOND)], lived.pods[name]
        assert first["spec"]["nodeName"] != second["spec"]["nodeName"]
        (volume,) = second["spec"]["volumes"]
        claim = f"{first['metadata']['name']}-volume"
        assert volume["persistentVolumeClaim"] == {"claimName": claim}
        template = first["spec"]["volumes"][0]["ephemeral"]["volumeClaimTemplate"]["spec"]
        assert template["accessModes"] == ["ReadWriteMany"]
        assert "--second" in second["spec"]["containers"][0]["command"]
        assert "--second" not in first["spec"]["containers"][0]["command"]
        created = seconds_of(second["metadata"]["creationTimestamp"])
        ended = first["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
        assert created < seconds_of(ended)
        assert lived.deleted[name] == lived.deleted[name.removesuffix(SECOND)]
    assert (lived.runs("true"), lived.runs("false")) == (len(over), 0)
    assert lived.condition("Shared") == ("True", "OK")
    assert (lived.summary, lived.left) == ("fine", [])


@pytest.mark.parametrize("which", ["shared", "shared second"])
def test_writes_that_are_not_seen_are_bad_after_a_run_elsewhere_and_each_due_time_counts_once(
    which: str,
) -> None:
    lived = Lived((0, ends(which, Outcome.SHARED_NOT_SEEN)), seconds=900)
    assert lived.condition("Shared") == ("False", "SharedNotSeen")
    assert lived.states[SHARED].verdict is Verdict.FAILED
    scheduled = {name for name in lived.pods if "-s" in name and not name.endswith(SECOND)}
    followed = [name for name in lived.pods if "-x" in name and not name.endswith(SECOND)]
    assert len(followed) == len(scheduled)
    assert (lived.runs("true"), lived.runs("false")) == (0, len(scheduled))
    assert lived.left == []


def test_a_first_pod_that_fails_has_no_second_one_or_takes_it_along() -> None:
    lived = Lived((0, ends("shared", Outcome.IO_ERROR)), seconds=900)
    assert lived.condition("Shared") == ("False", "IOError")
    assert lived.left == []


def test_a_second_pod_that_cannot_mount_is_bad_at_the_threshold_and_its_node_is_not_used_again() -> None:
    def never_on_other(world: World) -> None:
        with_third_node(world)
        world.kubelets["no mount"] = lambda _world, pod: pod["spec"]["nodeName"] == OTHER

    lived = Lived((0, never_on_other))
    assert lived.states[SHARED].verdict is Verdict.OK
    assert lived.runs("false") == 0
    followed = [name for name in lived.pods if "-x" in name]
    assert followed
    assert {lived.node(name) for name in followed} == {NODE, THIRD}
    assert lived.left == []


def test_a_class_of_volumes_for_one_node_does_not_offer_it() -> None:
    lived = Lived((0, refuses(_is_shared, UNSUPPORTED)), seconds=1900)
    standing = lived.states[SHARED]
    assert (standing.verdict, standing.reason) == (Verdict.UNKNOWN, Reason.NOT_OFFERED)
    assert lived.condition("Shared") == ("Unknown", "NotOffered")
    assert "unsupported access mode" in lived.conditions["SharedHealthy"]["message"]
    assert (lived.runs("true"), lived.runs("false"), lived.summary, lived.left) == (0, 0, "fine", [])
    assert not [name for name in lived.pods if "-x" in name or "-r" in name]


def test_fewer_than_two_nodes_pause_it_with_a_condition_until_there_are_two() -> None:
    def alone(world: World) -> None:
        world.objects["nodes"].pop(OTHER)

    lived = Lived((0, alone), seconds=1300)
    assert lived.pods == {}
    assert lived.condition("Shared") == ("Unknown", "NoMatchingNode")
    assert "a shared run needs 2 nodes, but only 1 can be used" in str(lived.conditions["SharedHealthy"])
    assert lived.runs("false") in (None, 0)


def test_a_second_node_under_maintenance_makes_the_run_suppressed() -> None:
    def cordon(world: World) -> None:
        node = world.objects["nodes"][OTHER]
        world.put("nodes", {**node, "spec": {**node["spec"], "unschedulable": True}})

    lived = Lived((0, cordon), seconds=900)
    assert lived.seconds == []
    assert (lived.runs("true"), lived.runs("false")) == (0, 0)
    suppressed = lived.counted.value("pie_suppressed_runs_total", probe="shared", reason="NoUsableNode")
    assert (suppressed or 0) >= 1
    assert lived.left == []


@pytest.mark.parametrize("after", range(1, 16, 2))
def test_a_controller_that_restarts_at_any_moment_goes_on_with_the_run(after: int) -> None:
    lived = Lived(seconds=int(FIRST_DUE - T0) + after, lives=2)
    assert lived.seconds
    assert lived.condition("Shared") == ("True", "OK")
    over = {name for name in lived.pods if name not in lived.left}
    assert over == {
        each for name in over for each in (name.removesuffix(SECOND), name.removesuffix(SECOND) + SECOND)
    }


@pytest.mark.parametrize("after", range(1, 16, 2))
def test_nothing_is_left_of_a_run_that_the_spec_ends_at_any_moment(after: int) -> None:
    def off(world: World) -> None:
        stored = world.objects["pieprobes"]["p"]
        world.put(
            "pieprobes",
            {**stored, "metadata": {**stored["metadata"], "generation": 2}, "spec": SPEC},
        )

    begun = int(FIRST_DUE - T0)
    lived = Lived((begun + after, off), seconds=begun + 60)
    assert lived.pods
    assert lived.left == []
    assert SHARED not in lived.states


@pytest.mark.parametrize("second", [False, True])
def test_a_janitor_that_deletes_one_of_the_pods_makes_nothing_bad(second: bool) -> None:
    def deletes(world: World) -> None:
        pods = world.objects["pods"]
        for name in [name for name in pods if name.startswith("shared-")]:
            running = pods[name]["status"]["phase"] == "Running"
            if running and name.endswith(SECOND) is second and name.removesuffix(SECOND) + SECOND in pods:
                pods.pop(name)

    def janitor(world: World) -> None:
        world.each_second["janitor"] = deletes

    lived = Lived((0, janitor), seconds=900)
    assert lived.runs("false") == 0
    assert lived.states[SHARED].verdict in {Verdict.OK, Verdict.INCONCLUSIVE, Verdict.UNKNOWN}


QUIET_AT = BEGIN_SECONDS + BUSY_SECONDS


@quick
@given(
    script=scripts([*MAINTENANCE, *FAULTS]),
    gaps=GAPS,
    bad=st.sampled_from([None, "shared", "shared second"]),
)
def test_each_due_time_is_counted_once_whatever_happens_meanwhile(
    script: Script, gaps: list[tuple[str, int, int]], bad: str | None
) -> None:
    seconds = QUIET_AT + 1500
    calm = [
        (QUIET_AT, action)
        for action in (*WELL, ends("shared", Outcome.OK), ends("shared second", Outcome.OK))
    ]
    begin = [(0, ends(bad, Outcome.SHARED_NOT_SEEN))] if bad is not None else []
    lived = Lived(*begin, *script, *calm, seconds=seconds, lag=with_gaps(gaps))
    names = ("pie_canary_runs_total", "pie_suppressed_runs_total", "pie_inconclusive_runs_total")
    found = (each for name in names for each in lived.counted.all(name) if each.labels["probe"] == "shared")
    counted = sum(each.value for each in found)
    calendar = paced(SHARED, probe(period_seconds=PERIOD_SECONDS))
    dues = [calendar.dues_between(T0, T0 + until, limit=100) for until in (seconds - 100, seconds)]
    assert len(dues[0]) <= counted <= len(dues[1])
    assert lived.states[SHARED].verdict is Verdict.OK
