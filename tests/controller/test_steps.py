"""Runs of several pods, as the canary `clone` has them: the last pod decides, and none is left."""

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
    fails_on,
    quick,
    scripts,
    with_gaps,
)
from tests.controller.world import NAMESPACE, NODE, T0, World
from tests.core.build import probe

CLONE = Target("p", "clone", "c", namespace=NAMESPACE)
WITH_CLONE = {**SPEC, "canaries": {"clone": {"period": "2m"}}}
SECOND = "-step2"
UNSUPPORTED = (
    'failed to provision volume with StorageClass "c": CSI driver does not support clone operations:'
    " controller CLONE_VOLUME capability is not reported"
)


class Lived(CanaryStory):
    """What came of a story with the canary `clone`."""

    def __init__(
        self, *script: tuple[int, Action], seconds: int = 600, lives: int = 1, lag: Lag = at_once, **spec: Any
    ) -> None:
        super().__init__("clone", {**WITH_CLONE, **spec}, *script, seconds=seconds, lives=lives, lag=lag)

    @property
    def seconds(self) -> list[str]:
        """The names of the second pods."""
        return [name for name in self.pods if name.endswith(SECOND)]


def second_step(outcome: Outcome, *nodes: str) -> Action:
    """Return the action after which the second pod ends so; on these nodes, if any are named."""

    def change(world: World) -> None:
        if not nodes:
            world.outcomes["clone of source"] = outcome
            return

        def note(_world: World) -> None:
            pods = world.objects["pods"].values()
            here = [pod for pod in pods if pod["metadata"]["name"].endswith(SECOND)]
            bad = any(pod["spec"].get("nodeName") in nodes for pod in here)
            world.outcomes["clone of source"] = outcome if bad else Outcome.OK

        world.each_second["second step"] = note

    return change


REFUSES_CLONES = refuses(lambda pod: "--source" in pod["spec"]["containers"][0]["command"], UNSUPPORTED)


def test_the_second_pod_starts_when_the_first_one_is_good_and_both_are_deleted_together() -> None:
    lived = Lived()
    firsts = [name for name in lived.pods if not name.endswith(SECOND)]
    assert len(firsts) >= 4
    over = [name for name in lived.seconds if name not in lived.left]
    assert len(over) >= len(firsts) - 1
    for name in over:
        first, second = name.removesuffix(SECOND), name
        created = seconds_of(lived.pods[second]["metadata"]["creationTimestamp"])
        assert seconds_of(lived.pods[first]["metadata"]["creationTimestamp"]) < created
        assert created < lived.deleted[first] == lived.deleted[second]
    assert lived.runs("true") == len(over)
    assert lived.runs("false") == 0
    assert lived.condition("Clone") == ("True", "OK")
    assert lived.summary == "fine"


def test_the_second_pod_has_a_volume_made_from_the_first_ones_beside_it_and_is_on_its_node() -> None:
    lived = Lived()
    name = lived.seconds[0]
    first, second = lived.pods[name.removesuffix(SECOND)], lived.pods[name]
    source = f"{first['metadata']['name']}-volume"
    new, old = second["spec"]["volumes"]
    template = new["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert template["dataSource"] == {"kind": "PersistentVolumeClaim", "name": source}
    assert old["persistentVolumeClaim"] == {"claimName": source}
    (container,) = second["spec"]["containers"]
    assert {each["mountPath"]: each["name"] for each in container["volumeMounts"]} == {
        "/pie": new["name"],
        "/source": old["name"],
    }
    assert container["command"][:7] == ["pie", "probe", "clone", "--path", "/pie", "--source", "/source"]
    assert second["spec"]["nodeName"] == first["spec"]["nodeName"]
    assert "dataSource" not in str(first["spec"])
    assert "--source" not in first["spec"]["containers"][0]["command"]


def test_a_bad_first_pod_has_no_second_one() -> None:
    def fails(world: World) -> None:
        world.outcomes["clone"] = Outcome.IO_ERROR

    lived = Lived((0, fails))
    assert lived.seconds == []
    assert lived.condition("Clone") == ("False", "IOError")
    assert lived.runs("true") == 0


def test_a_clone_that_differs_on_each_node_is_bad_after_a_whole_run_on_another_node() -> None:
    lived = Lived((0, second_step(Outcome.CLONE_DIFFERS)), seconds=400)
    assert lived.condition("Clone") == ("False", "CloneDiffers")
    assert lived.states[CLONE].verdict is Verdict.FAILED
    assert lived.summary == "canary clone: I/O fails or is wrong in the whole class (CloneDiffers)"
    followed = [name for name in lived.pods if "-x" in name]
    assert {lived.pods[name]["spec"]["nodeName"] for name in followed} == {OTHER}
    assert any(name.endswith(SECOND) for name in followed)
    assert (lived.runs("true"), (lived.runs("false") or 0) >= 2) == (0, True)


@pytest.mark.parametrize("bad", [fails_on("fails", NODE), second_step(Outcome.CLONE_DIFFERS, NODE)])
def test_a_run_that_is_bad_on_one_node_only_does_not_make_the_class_bad(bad: Action) -> None:
    lived = Lived((0, bad))
    assert lived.states[CLONE].verdict is Verdict.OK
    assert lived.runs("false") == 0
    assert (lived.runs("true") or 0) >= 3
    assert {pod["spec"].get("nodeName") for name, pod in lived.pods.items() if "-x" in name} == {OTHER}


def test_a_class_without_clones_does_not_offer_them_and_is_asked_again_much_later() -> None:
    lived = Lived((0, REFUSES_CLONES), seconds=1400)
    standing = lived.states[CLONE]
    assert (standing.verdict, standing.reason) == (Verdict.UNKNOWN, Reason.NOT_OFFERED)
    assert lived.condition("Clone") == ("Unknown", "NotOffered")
    assert "CLONE_VOLUME capability is not reported" in lived.conditions["CloneHealthy"]["message"]
    assert (lived.runs("true"), lived.runs("false"), lived.summary) == (0, 0, "fine")
    assert 3 <= len(lived.seconds) <= 4
    assert not [name for name in lived.pods if "-x" in name or "-r" in name]
    assert lived.left == []


@pytest.mark.parametrize("seconds", range(94, 112, 2))  # the first run is due 93 s after the beginning
def test_a_controller_that_restarts_at_any_moment_goes_on_with_the_run(seconds: int) -> None:
    lived = Lived(seconds=seconds, lives=2)
    assert lived.seconds
    assert lived.condition("Clone") == ("True", "OK")
    over = {name for name in lived.pods if name not in lived.left}
    assert {name for name in over if not name.endswith(SECOND)} == {
        name.removesuffix(SECOND) for name in over if name.endswith(SECOND)
    }


@pytest.mark.parametrize("after", range(1, 18, 2))
def test_nothing_is_left_of_a_run_that_the_spec_ends_at_any_moment(after: int) -> None:
    due = next(iter(paced(CLONE, probe(period_seconds=120)).dues_between(T0, T0 + 300, limit=1)))

    def off(world: World) -> None:
        stored = world.objects["pieprobes"]["p"]
        metadata = {**stored["metadata"], "generation": 2}
        world.put("pieprobes", {**stored, "metadata": metadata, "spec": SPEC})

    lived = Lived((int(due - T0) + after, off), seconds=int(due - T0) + 60)
    assert lived.left == []
    assert lived.pods
    assert CLONE not in lived.states


def test_a_janitor_that_deletes_the_first_pod_makes_nothing_bad() -> None:
    def deletes(world: World) -> None:
        for name, pod in list(world.objects["pods"].items()):
            over = pod["status"]["phase"] == "Succeeded"
            if name.startswith("clone-") and over and not name.endswith(SECOND):
                world.objects["pods"].pop(name)

    def janitor(world: World) -> None:
        world.each_second["janitor"] = deletes

    lived = Lived((0, janitor))
    assert lived.runs("false") == 0
    assert lived.states[CLONE].verdict in {Verdict.OK, Verdict.INCONCLUSIVE, Verdict.UNKNOWN}


def delete_node_alone(world: World) -> None:
    """Delete the node, and leave its pods to the garbage collector."""
    world.objects["nodes"].pop(NODE)


@pytest.mark.parametrize("change", [World.cordon, World.delete_node, delete_node_alone])
def test_a_node_that_is_cordoned_or_deleted_between_the_pods_makes_nothing_bad(change: Action) -> None:
    def changes(world: World) -> None:
        pods = world.objects["pods"].items()
        over = any(name.startswith("clone-") and pod["status"]["phase"] == "Succeeded" for name, pod in pods)
        if over and NODE in world.objects["nodes"]:
            change(world)

    def after_the_first(world: World) -> None:
        world.each_second["changes"] = changes

    lived = Lived((0, after_the_first))
    assert lived.runs("false") == 0
    assert lived.states[CLONE].verdict is Verdict.OK
    assert {pod["spec"]["nodeName"] for pod in lived.pods.values() if "nodeName" in pod["spec"]} == {
        NODE,
        OTHER,
    }


QUIET_AT = BEGIN_SECONDS + BUSY_SECONDS


@quick
@given(script=scripts([*MAINTENANCE, *FAULTS]), gaps=GAPS, bad=st.sampled_from([None, Outcome.CLONE_DIFFERS]))
def test_each_due_time_is_counted_once_whatever_happens_meanwhile(
    script: Script, gaps: list[tuple[str, int, int]], bad: Outcome | None
) -> None:
    seconds = QUIET_AT + 300
    calm = [(QUIET_AT, action) for action in (*WELL, second_step(Outcome.OK))]
    begin = [(0, second_step(bad))] if bad is not None else []
    canaries = {"clone": {"period": "1m"}}
    lived = Lived(*begin, *script, *calm, canaries=canaries, seconds=seconds, lag=with_gaps(gaps))
    names = ("pie_canary_runs_total", "pie_suppressed_runs_total", "pie_inconclusive_runs_total")
    found = (each for name in names for each in lived.counted.all(name) if each.labels["probe"] == "clone")
    counted = sum(each.value for each in found)
    dues = [
        paced(CLONE, probe()).dues_between(T0, T0 + until, limit=100) for until in (QUIET_AT + 200, seconds)
    ]
    assert len(dues[0]) <= counted <= len(dues[1])
    assert lived.states[CLONE].verdict is Verdict.OK
