"""The canary `snapshot`: three pods and a VolumeSnapshot; the last pod decides, and nothing is left."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from pie.core.model import Target, Verdict
from pie.core.pods.calendar import paced
from pie.core.result import Outcome
from tests.controller.canarystories import OTHER, CanaryStory
from tests.controller.sidecars import seconds_of
from tests.controller.stories import SPEC, Action
from tests.controller.world import NAMESPACE, NODE, T0, World
from tests.core.build import probe

SNAPSHOT = Target("p", "snapshot", "c", namespace=NAMESPACE)
PERIOD_SECONDS = 120
ALONE = {**SPEC, "disableMountProbes": True, "disableProvisionProbe": True}
OFFLINE = "failed to take snapshot: rpc error: code = Internal desc = the pool is offline"
UNIMPLEMENTED = "failed to take snapshot: rpc error: code = Unimplemented desc = no snapshots"
DELETES = {"metadata": {"name": "s"}, "driver": "", "deletionPolicy": "Delete"}


@dataclass
class Snapshotter:
    """Does what snapshot-controller and csi-snapshotter do, and collects snapshots whose pod is gone.

    `error`: the driver refuses, in these words. `after_seconds`: so long does it take.
    """

    error: str = ""
    after_seconds: int = 3
    classes: tuple[dict[str, Any], ...] = (DELETES,)
    taken: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __call__(self, world: World) -> None:
        """Begin."""
        world.objects["volumesnapshots"] = type(world.objects["pods"])()
        world.objects["volumesnapshotclasses"] = type(world.objects["pods"])()
        for each in self.classes:
            world.put("volumesnapshotclasses", each)
        world.each_second["snapshotter"] = self.work

    def work(self, world: World) -> None:
        """Do what is to be done in a second."""
        uids = {pod["metadata"]["uid"] for pod in world.objects["pods"].values()}
        for name, item in list(world.objects["volumesnapshots"].items()):
            (owner,) = item["metadata"]["ownerReferences"]
            if owner["uid"] not in uids:
                world.objects["volumesnapshots"].pop(name)
                continue
            self.taken[name] = item
            age = world.now() - seconds_of(item["metadata"]["creationTimestamp"])
            if age >= self.after_seconds:
                status = {"error": {"message": self.error}} if self.error else {"readyToUse": True}
                world.put("volumesnapshots", {**item, "status": status})


class Lived(CanaryStory):
    """What came of a story with the canary `snapshot`; `snapshots` are the names of those at the end."""

    def __init__(
        self,
        snapshotter: Snapshotter | None,
        *script: tuple[int, Action],
        seconds: int = 330,
        lives: int = 1,
        **canary: Any,
    ) -> None:
        spec = {**ALONE, "canaries": {"snapshot": {"period": "2m"} | canary}}
        self._world: World | None = None
        begin = [(0, snapshotter)] if snapshotter is not None else []
        super().__init__("snapshot", spec, (0, self._remember), *begin, *script, seconds=seconds, lives=lives)
        assert self._world is not None
        if snapshotter is not None:
            snapshotter.work(self._world)  # what the last second left to the garbage collector
        self.snapshots = list(self._world.objects.get("volumesnapshots", {}))

    def _remember(self, world: World) -> None:
        self._world = world

    @property
    def only_of_pods_that_are_left(self) -> bool:
        """Whether each snapshot at the end is one of a pod that is there."""
        return {name.removesuffix("-volume") for name in self.snapshots} <= set(self.left)

    def step(self, number: int) -> list[str]:
        """Return the names of the pods of a step, from 1."""
        suffix = f"-step{number}"
        return [name for name in self.pods if (name.endswith(suffix) if number > 1 else "-step" not in name)]


def restores_something_else(world: World) -> None:
    """Have the pods that have a volume from a snapshot find other records there."""

    def note(_world: World) -> None:
        third = any(name.endswith("-step3") for name in world.objects["pods"])
        world.outcomes["snapshot of source"] = Outcome.SNAPSHOT_DIFFERS if third else Outcome.OK

    world.each_second["restored"] = note


def test_the_snapshot_is_taken_after_the_first_pod_and_the_others_follow_when_it_is_ready() -> None:
    snapshotter = Snapshotter(after_seconds=20)
    lived = Lived(snapshotter)
    assert lived.condition("Snapshot") == ("True", "OK")
    over = [name for name in lived.step(3) if name not in lived.left]
    assert (lived.runs("true"), lived.runs("false")) == (len(over), 0)
    assert len(over) >= 2
    assert lived.only_of_pods_that_are_left
    first, second, third = (lived.pods[lived.step(number)[0]] for number in (1, 2, 3))
    name = f"{first['metadata']['name']}-volume"
    snapshot = snapshotter.taken[name]
    source = {"persistentVolumeClaimName": name}
    assert snapshot["spec"] == {"volumeSnapshotClassName": "s", "source": source}
    (owner,) = snapshot["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Pod", first["metadata"]["uid"])
    times = [seconds_of(each["metadata"]["creationTimestamp"]) for each in (first, snapshot, second, third)]
    assert times == sorted(times)
    assert times[2] >= times[1] + 20
    assert {each["spec"]["nodeName"] for each in (first, second, third)} == {first["spec"]["nodeName"]}
    templates = [
        each["spec"]["volumes"][0]["ephemeral"]["volumeClaimTemplate"]["spec"]
        for each in (first, second, third)
    ]
    group = "snapshot.storage.k8s.io"
    assert [each.get("dataSource") for each in templates] == [
        None,
        None,
        {"apiGroup": group, "kind": "VolumeSnapshot", "name": name},
    ]
    commands = [each["spec"]["containers"][0]["command"] for each in (first, second, third)]
    assert ["--source" in each for each in commands] == [False, True, True]
    assert ["--later" in each for each in commands] == [False, True, False]
    for pod in (second, third):
        assert pod["spec"]["volumes"][1]["persistentVolumeClaim"] == {"claimName": name}


def test_a_restored_volume_with_other_records_on_each_node_is_bad() -> None:
    lived = Lived(Snapshotter(), (0, restores_something_else), seconds=300)
    assert lived.condition("Snapshot") == ("False", "SnapshotDiffers")
    assert {lived.pods[name]["spec"]["nodeName"] for name in lived.step(3)} == {NODE, OTHER}
    assert lived.runs("true") == 0


@pytest.mark.parametrize(
    ("snapshotter", "words"),
    [
        (Snapshotter(OFFLINE), "the pool is offline"),
        (Snapshotter(after_seconds=10_000), "the VolumeSnapshot was not ready to use after 120 s"),
    ],
    ids=["refused", "never ready"],
)
def test_a_snapshot_that_is_not_ready_at_the_deadline_is_bad_in_the_words_of_the_driver(
    snapshotter: Snapshotter, words: str
) -> None:
    lived = Lived(snapshotter, seconds=600)
    standing = lived.states[SNAPSHOT]
    assert (standing.verdict, standing.reason) == (Verdict.FAILED, "SnapshotFailed")
    assert lived.condition("Snapshot") == ("False", "SnapshotFailed")
    assert words in standing.message
    assert lived.step(2) == lived.step(3) == []
    assert {lived.pods[name]["spec"]["nodeName"] for name in lived.step(1)} == {NODE, OTHER}


RETAINS = {**DELETES, "deletionPolicy": "Retain"}
OF_ANOTHER = {**DELETES, "driver": "another.example.com"}


@pytest.mark.parametrize(
    ("snapshotter", "canary", "words"),
    [
        (Snapshotter(UNIMPLEMENTED), {}, "code = Unimplemented"),
        (Snapshotter(classes=(RETAINS,)), {}, "deletionPolicy Retain"),
        (Snapshotter(classes=()), {}, "no VolumeSnapshotClass of the driver"),
        (Snapshotter(classes=(OF_ANOTHER,)), {}, "no VolumeSnapshotClass of the driver"),
        (Snapshotter(), {"snapshotClass": "t"}, "no VolumeSnapshotClass t"),
        (Snapshotter(classes=(OF_ANOTHER,)), {"snapshotClass": "s"}, "is of driver another.example.com"),
    ],
)
def test_without_snapshots_the_canary_is_paused_and_says_why(
    snapshotter: Snapshotter, canary: dict[str, str], words: str
) -> None:
    lived = Lived(snapshotter, **canary)
    assert lived.condition("Snapshot") == ("Unknown", "NotOffered")
    assert words in lived.conditions["SnapshotHealthy"]["message"]
    assert (lived.runs("true"), lived.runs("false"), lived.summary) == (0, 0, "fine")
    assert len(lived.pods) == 1
    assert lived.left == lived.snapshots == []


@pytest.mark.parametrize("after", range(3, 40, 6))
def test_a_controller_that_restarts_at_any_moment_goes_on_with_the_run(after: int) -> None:
    # Each life is long enough for the rest of a run.
    due = paced(SNAPSHOT, probe(period_seconds=PERIOD_SECONDS)).next_due(T0 + 90)
    snapshotter = Snapshotter(after_seconds=15)
    begins = round(due - T0)
    lived = Lived(snapshotter, seconds=begins + after, lives=2)
    assert lived.condition("Snapshot") == ("True", "OK")
    assert lived.runs("false") == 0
    assert any(name not in lived.left for name in lived.step(1))
    assert lived.only_of_pods_that_are_left


@pytest.mark.parametrize("after", range(1, 40, 6))
def test_nothing_is_left_of_a_run_that_the_spec_ends_at_any_moment(after: int) -> None:
    due = round(paced(SNAPSHOT, probe(period_seconds=PERIOD_SECONDS)).next_due(T0) - T0)

    def off(world: World) -> None:
        stored = world.objects["pieprobes"]["p"]
        world.put(
            "pieprobes",
            {**stored, "metadata": {**stored["metadata"], "generation": 2}, "spec": ALONE},
        )

    lived = Lived(Snapshotter(after_seconds=15), (due + after, off), seconds=due + 90)
    assert lived.pods
    assert lived.left == lived.snapshots == []


def test_a_node_that_is_cordoned_while_the_snapshot_is_taken_makes_nothing_bad() -> None:
    def cordon(world: World) -> None:
        if world.objects["volumesnapshots"] and not world.objects["nodes"][NODE]["spec"].get("unschedulable"):
            world.cordon()

    def begin(world: World) -> None:
        world.each_second["cordon"] = cordon

    lived = Lived(Snapshotter(after_seconds=30), (0, begin))
    assert lived.runs("false") == 0
    assert lived.states[SNAPSHOT].verdict is Verdict.OK
    assert lived.only_of_pods_that_are_left
