"""The canary `expand`: a volume grows while its container writes, and what pie says if it does not."""

from typing import Any

import pytest

from pie.core.model import Target, Verdict
from pie.core.pods.calendar import paced
from pie.core.quantity import quantity
from pie.core.reasons import Reason
from pie.core.result import Outcome
from tests.controller.sidecars import probe_state, seconds_of
from tests.controller.simulation import Simulation
from tests.controller.stories import SPEC, Action, Script, at_once
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NAMESPACE, T0, World, owner_of
from tests.core.build import probe
from tests.harness import Samples

EXPAND = Target("p", "expand", "c", namespace=NAMESPACE)
WITH_EXPAND = {
    **SPEC,
    "disableProvisionProbe": True,
    "disableMountProbes": True,
    "canaries": {"expand": {"period": "10m"}},
}
CLAIMS = "persistentvolumeclaims"
MIB = 2**20
PERIOD_SECONDS, PATIENCE_SECONDS = 600, 240
REFUSED = 'resize volume "pv" by resizer "d" failed: rpc error: code = Internal desc = the pool is offline'
UNIMPLEMENTED = (
    'resize volume "pv" by resizer "d" failed: rpc error: code = Unimplemented desc = no expansion'
)
QUOTA = 'persistentvolumeclaims "x" is forbidden: exceeded quota: storage, used: 1Gi, limited: 1Gi'


class Storage:
    """Gives each pod of the canary a volume, and expands it as the resizer and the kubelet do.

    `resizer`: `well`, `silent` (nobody expands), `lies` (the PVC says so, and nothing grows), or the words of
    an error; `infeasible`: it says that it gives up.
    """

    def __init__(self, resizer: str = "well", *, infeasible: bool = False) -> None:
        self.resizer = resizer
        self.infeasible = infeasible
        self.asked: dict[str, list[str]] = {}
        self._warned: set[str] = set()

    def __call__(self, world: World) -> None:
        for name, pod in list(world.objects["pods"].items()):
            if name.startswith("expand-"):
                self._serve(world, pod)
        for name, claim in list(world.objects[CLAIMS].items()):
            owner = owner_of(claim)
            if owner.get("kind") == "Pod" and owner["name"] not in world.objects["pods"]:
                del world.objects[CLAIMS][name]

    def _serve(self, world: World, pod: dict[str, Any]) -> None:
        name = f"{pod['metadata']['name']}-volume"
        claim = world.objects[CLAIMS].get(name)
        if claim is None:
            self._provision(world, pod, name)
            return
        wanted = claim["spec"]["resources"]["requests"]["storage"]
        known = self.asked.setdefault(name, [wanted])
        if known[-1] != wanted:
            known.append(wanted)
        if claim["status"]["capacity"]["storage"] == wanted or self.resizer == "silent":
            return
        if self.resizer in {"well", "lies"}:
            world.put(CLAIMS, {**claim, "status": {**claim["status"], "capacity": {"storage": wanted}}})
        elif name not in self._warned:
            self._warned.add(name)
            world.warn("PersistentVolumeClaim", claim, "VolumeResizeFailed", self.resizer)
            if self.infeasible:
                said = {"storage": "ControllerResizeInfeasible"}
                world.put(CLAIMS, {**claim, "status": {**claim["status"], "allocatedResourceStatuses": said}})

    def _provision(self, world: World, pod: dict[str, Any], name: str) -> None:
        by = {
            "kind": "Pod",
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
            "controller": True,
        }
        template = pod["spec"]["volumes"][0]["ephemeral"]["volumeClaimTemplate"]
        metadata = {"name": name, "namespace": NAMESPACE, "ownerReferences": [by], **template["metadata"]}
        status = {"phase": "Bound", "capacity": template["spec"]["resources"]["requests"]}
        spec = {**template["spec"], "volumeName": f"pv-{name}"}
        world.put(CLAIMS, {"metadata": metadata, "spec": spec, "status": status})

    def kubelet(self, world: World, pod: dict[str, Any]) -> bool:
        """Let the probe go on until its filesystem has grown, or it has waited in vain."""
        if not pod["metadata"]["name"].startswith("expand-") or "running" not in probe_state(pod):
            return False
        claim = world.objects[CLAIMS].get(f"{pod['metadata']['name']}-volume")
        size = quantity(claim["status"]["capacity"]["storage"]) if claim is not None else None
        grown = self.resizer == "well" and (size or 0) > 100 * MIB
        waited = world.now() - seconds_of(probe_state(pod)["running"]["startedAt"])
        world.outcomes["expand"] = Outcome.OK if grown else Outcome.NOT_EXPANDED
        return not grown and waited < PATIENCE_SECONDS


class Lived:
    """What came of a story with the canary `expand`."""

    def __init__(
        self, storage: Storage, *script: tuple[int, Action], allows: bool = True, seconds: int = 1500
    ) -> None:
        self.storage = storage
        self._allows = allows
        in_virtual_time(self._live(seconds, list(script)))

    async def _live(self, seconds: int, script: Script) -> None:
        simulation = begun(self.storage, allows=self._allows)
        self.pods: set[str] = set()
        simulation.world.each_second["note"] = lambda world: self.pods.update(world.objects["pods"])
        await simulation.run(seconds, script)
        self.note(simulation)

    def note(self, simulation: Simulation) -> None:
        """Note how it ended."""
        self.states = simulation.states()
        self.runs = sorted(name for name in self.pods if name.startswith("expand-"))
        self.left = [name for name in simulation.world.objects["pods"] if name.startswith("expand-")]
        self.patches = simulation.wire.asked["patch", CLAIMS]
        status = simulation.world.objects["pieprobes"]["p"]["status"]
        found = {each["type"]: each for each in status["conditions"]}["ExpandHealthy"]
        self.condition = found["status"], found["reason"]
        self.message = found["message"]
        self.counted = Samples(simulation.metrics())

    def counts(self, on_time: str) -> float | None:
        return self.counted.value("pie_canary_runs_total", probe="expand", on_time=on_time)


def begun(storage: Storage, *, allows: bool = True) -> Simulation:
    """Return a simulation with a class that allows expansion, or does not."""
    simulation = Simulation(at_once)
    world = simulation.world
    world.each_second["storage"] = storage
    world.kubelets["grows"] = storage.kubelet
    world.begin(WITH_EXPAND, "n2")
    world.put("storageclasses", {**world.objects["storageclasses"]["c"], "allowVolumeExpansion": allows})
    return simulation


def test_each_run_asks_for_as_much_again_as_its_volume_has_once_and_is_good_when_it_grew() -> None:
    lived = Lived(Storage())
    assert lived.condition == ("True", "OK")
    assert len(lived.runs) >= 2
    assert lived.left == []
    assert set(map(tuple, lived.storage.asked.values())) == {("100Mi", str(200 * MIB))}
    assert lived.counts("true") == len(lived.runs) == lived.patches
    assert lived.counts("false") == 0


@pytest.mark.parametrize(
    ("storage", "reason", "words"),
    [
        (Storage("lies"), Reason.NOT_EXPANDED, "the filesystem had not grown"),
        (Storage("silent"), Reason.NOT_EXPANDED, "no resizer has begun"),
        (Storage(REFUSED), Reason.EXPAND_FAILED, "the pool is offline"),
        (Storage(REFUSED, infeasible=True), Reason.EXPAND_FAILED, "the pool is offline"),
    ],
)
def test_a_volume_that_does_not_grow_is_bad_on_two_nodes_and_then_the_class_is(
    storage: Storage, reason: Reason, words: str
) -> None:
    lived = Lived(storage)
    standing = lived.states[EXPAND]
    assert (standing.verdict, standing.reason) == (Verdict.FAILED, reason)
    assert lived.condition == ("False", reason.value)
    assert words in standing.message
    assert [name for name in lived.runs if "-x" in name], "a run on another node followed"
    assert lived.counts("true") == 0


@pytest.mark.parametrize(
    ("storage", "allows", "words"),
    [
        (Storage(), False, "does not have allowVolumeExpansion: true"),
        (Storage(UNIMPLEMENTED), True, "code = Unimplemented"),
    ],
)
def test_a_class_that_does_not_offer_it_is_not_bad_and_the_canary_is_paused(
    storage: Storage, allows: bool, words: str
) -> None:
    lived = Lived(storage, allows=allows)
    assert lived.condition == ("Unknown", "NotOffered")
    assert words in lived.message
    assert (lived.counts("true"), lived.counts("false")) == (0, 0)
    assert len(lived.runs) == 1
    assert lived.left == []
    assert allows or lived.patches == 0


def test_a_quota_that_refuses_the_larger_size_says_nothing_about_the_storage() -> None:
    def refuse(world: World) -> None:
        world.expansions_are_refused = QUOTA

    lived = Lived(Storage(), (0, refuse))
    assert lived.condition == ("Unknown", "ClaimRefused")
    assert "exceeded quota" in lived.states[EXPAND].message
    assert (lived.counts("true"), lived.counts("false")) == (0, 0)


@pytest.mark.parametrize(("resizer", "found"), [("well", ("True", "OK")), ("lies", ("False", "NotExpanded"))])
def test_a_controller_that_starts_while_a_volume_grows_goes_on_with_the_run(
    resizer: str, found: tuple[str, str]
) -> None:
    storage = Storage("silent")

    async def play() -> None:
        first = begun(storage)
        due = paced(EXPAND, probe(period_seconds=PERIOD_SECONDS)).next_due(T0)
        await first.run(round(due - T0) + 20, [])
        assert len(storage.asked) == first.wire.asked["patch", CLAIMS] == 1
        storage.resizer = resizer
        second = Simulation(at_once, first)
        await second.run(120, [])
        assert next(iter(storage.asked.values())) == ["100Mi", str(200 * MIB)]
        status = second.world.objects["pieprobes"]["p"]["status"]
        said = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
        assert said["ExpandHealthy"] == found
        followed = len(storage.asked) - 1
        assert second.wire.asked["patch", CLAIMS] == followed == (0 if resizer == "well" else 1)

    in_virtual_time(play())
