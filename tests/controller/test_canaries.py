"""Canaries: features of a class are tested at low frequency, with a period of their own."""

from typing import Any

import pytest
from hypothesis import given

from pie.core.model import Target, Verdict
from pie.core.pods.calendar import paced
from pie.core.reasons import Reason
from pie.core.result import Outcome
from tests.controller.canarystories import OTHER, CanaryStory, refuses
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

BLOCK = Target("p", "block", "c", namespace=NAMESPACE)
PERIOD_SECONDS = 120
WITH_BLOCK = {**SPEC, "canaries": {"block": {"period": "2m"}}}
UNSUPPORTED = "rpc error: code = InvalidArgument desc = block volumes are not supported"


class Lived(CanaryStory):
    """What came of a story with the canary `block`."""

    def __init__(
        self,
        *script: tuple[int, Action],
        spec: dict[str, Any] = WITH_BLOCK,
        seconds: int = 600,
        lag: Lag = at_once,
    ) -> None:
        super().__init__("block", spec, *script, seconds=seconds, lag=lag)


def refuses_block(words: str = UNSUPPORTED) -> Action:
    """Return the action after which no raw block volume is provisioned, for this reason."""
    return refuses(lambda pod: "volumeDevices" in pod["spec"]["containers"][0], words)


def test_it_runs_at_its_own_period_by_pie_itself_and_is_counted_by_itself() -> None:
    lived = Lived()
    assert 4 <= len(lived.pods) <= 600 // PERIOD_SECONDS + 1
    assert lived.runs("true") == len(lived.pods) - len(lived.left)
    assert lived.runs("false") == 0
    assert lived.states[BLOCK].verdict is Verdict.OK
    assert lived.condition("Block") == ("True", "OK")
    assert lived.counted.value("pie_target_healthy", probe="block") == 1
    assert lived.summary == "fine"


def test_its_pod_gets_a_new_raw_device_and_no_more_rights_than_others() -> None:
    pod = next(iter(Lived().pods.values()))
    (container,), (volume,) = pod["spec"]["containers"], pod["spec"]["volumes"]
    assert container["volumeDevices"] == [{"name": volume["name"], "devicePath": "/dev/pie"}]
    assert "volumeMounts" not in container
    assert container["command"][:5] == ["pie", "probe", "block", "--path", "/dev/pie"]
    assert volume["ephemeral"]["volumeClaimTemplate"]["spec"]["volumeMode"] == "Block"
    context = pod["spec"]["securityContext"]
    assert (context["runAsNonRoot"], context["supplementalGroups"]) == (True, [6])
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["metadata"]["labels"]["pie.topolvm.io/kind"] == "block"


@pytest.mark.parametrize("spec", [SPEC, {**SPEC, "canaries": {}}, {**SPEC, "canaries": {"other": {}}}])
def test_it_is_off_unless_the_spec_names_it(spec: dict[str, Any]) -> None:
    lived = Lived(spec=spec, seconds=300)
    assert lived.pods == {}
    assert "BlockHealthy" not in lived.conditions
    assert lived.runs("true") is None
    assert lived.summary == "fine"


def test_it_ends_when_the_spec_names_it_no_more() -> None:
    def off(world: World) -> None:
        stored = world.objects["pieprobes"]["p"]
        metadata = {**stored["metadata"], "generation": 2}
        world.put("pieprobes", {**stored, "metadata": metadata, "spec": SPEC})

    lived = Lived((300, off))
    assert lived.left == []
    assert BLOCK not in lived.states
    assert "BlockHealthy" not in lived.conditions
    assert lived.runs("true") is None


@pytest.mark.parametrize("runner", ["CronJob", "Pod"])
def test_it_leaves_the_other_probes_alone(runner: str) -> None:
    def others(canaries: dict[str, Any]) -> list[tuple[str, float]]:
        counted = Lived(spec={**SPEC, "runner": runner, "canaries": canaries}).counted
        names = ("pie_provision_probe_total", "pie_mount_probe_total")
        return [(name, each.value) for name in names for each in counted.all(name)]

    assert others({"block": {"period": "1m"}}) == others({})


@pytest.mark.parametrize("runner", ["CronJob", "Pod"])
def test_a_budget_that_thins_the_other_probes_does_not_thin_it(runner: str) -> None:
    thinned = Lived(spec={**WITH_BLOCK, "runner": runner, "budget": 0.2})
    assert (thinned.runs("true"), thinned.runs("false")) == (Lived().runs("true"), 0)


def test_a_bad_run_is_followed_on_another_node_before_the_class_is_bad() -> None:
    lived = Lived((0, fails_on("fails", NODE)))
    assert lived.states[BLOCK].verdict is Verdict.OK
    assert {pod["spec"].get("nodeName") for name, pod in lived.pods.items() if "-x" in name} == {OTHER}
    assert lived.runs("false") == 0


def test_it_is_bad_if_no_node_can_and_says_so_without_calling_the_other_probes_bad() -> None:
    def fails(world: World) -> None:
        world.outcomes["block"] = Outcome.IO_ERROR

    lived = Lived((0, fails))
    assert lived.states[BLOCK].verdict is Verdict.FAILED
    assert lived.condition("Block") == ("False", "IOError")
    assert lived.condition("Provision") == lived.condition("Mount") == ("True", "OK")
    (incident,) = lived.incidents
    assert (incident["canaries"], incident.get("provision", False), incident["targets"]) == (
        ["block"],
        False,
        1,
    )
    assert lived.summary == "canary block: I/O fails or is wrong in the whole class (IOError)"
    assert lived.runs("true") == 0


def test_a_class_that_does_not_offer_it_is_not_bad_and_is_asked_again_much_later() -> None:
    lived = Lived((0, refuses_block()), seconds=1400)
    standing = lived.states[BLOCK]
    assert (standing.verdict, standing.reason) == (Verdict.UNKNOWN, Reason.NOT_OFFERED)
    assert lived.condition("Block") == ("Unknown", "NotOffered")
    assert "block volumes are not supported" in lived.conditions["BlockHealthy"]["message"]
    assert (lived.conditions["Ready"]["status"], lived.summary) == ("True", "fine")
    assert (lived.incidents, lived.targets["total"], lived.targets["unknown"]) == ([], 3, 0)
    assert (lived.runs("true"), lived.runs("false")) == (0, 0)
    assert 3 <= len(lived.pods) <= 4  # at every fourth due time, and no follow-up run
    assert not [name for name in lived.pods if "-x" in name or "-r" in name.rpartition("-")[2]]
    assert lived.left == []


def test_it_runs_again_once_the_class_offers_it() -> None:
    def offers(world: World) -> None:
        world.kubelets.clear()
        world.each_second.pop("refuses")

    lived = Lived((0, refuses_block()), (400, offers), seconds=1500)
    assert lived.condition("Block") == ("True", "OK")


def test_a_device_that_the_probe_may_not_open_is_the_nodes_problem() -> None:
    def denied(world: World) -> None:
        world.outcomes["block"] = Outcome.BLOCK_PERMISSION

    lived = Lived((0, denied))
    assert lived.states[BLOCK].reason is Reason.BLOCK_PERMISSION
    assert lived.states[BLOCK].verdict in {Verdict.INCONCLUSIVE, Verdict.UNKNOWN}
    assert lived.condition("Block") == ("Unknown", "BlockPermission")
    assert lived.runs("false") == 0


QUIET_AT = BEGIN_SECONDS + BUSY_SECONDS


@quick
@given(script=scripts([*MAINTENANCE, *FAULTS]), gaps=GAPS)
def test_each_due_time_is_counted_once_whatever_happens_meanwhile(
    script: Script, gaps: list[tuple[str, int, int]]
) -> None:
    seconds = QUIET_AT + 300
    calm = [(QUIET_AT, action) for action in WELL]
    spec = {**SPEC, "canaries": {"block": {"period": "1m"}}}
    lived = Lived(*script, *calm, spec=spec, seconds=seconds, lag=with_gaps(gaps))
    names = ("pie_canary_runs_total", "pie_suppressed_runs_total", "pie_inconclusive_runs_total")
    found = (each for name in names for each in lived.counted.all(name) if each.labels["probe"] == "block")
    counted = sum(each.value for each in found)
    dues = [
        paced(BLOCK, probe()).dues_between(T0, T0 + until, limit=100) for until in (QUIET_AT + 200, seconds)
    ]
    assert len(dues[0]) <= counted <= len(dues[1])
    assert lived.states[BLOCK].verdict is Verdict.OK
