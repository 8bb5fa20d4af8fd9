"""What others put beside the runs changes nothing: only the first pod of a Job of pie's own is a run."""

from typing import Any

import pytest

from pie.core.batch.naming import ANNOTATION_SCHEDULED
from pie.core.model import Kind, Target, Verdict
from pie.core.naming import ANNOTATION_TARGET, labels
from pie.core.result import Outcome
from tests.controller.mounts import result
from tests.controller.simulation import Simulation
from tests.controller.stories import (
    BEGIN_SECONDS,
    END,
    PERFORMANCE,
    SPEC,
    Action,
    Samples,
    Script,
    at_once,
    played,
)
from tests.controller.virtualtime import in_virtual_time
from tests.controller.world import NAMESPACE, NODE, T0, TARGET, World, rfc3339

STRANGER = {"kind": "Job", "name": "theirs", "uid": "theirs", "controller": True}
FIRST = BEGIN_SECONDS + 60
"""A moment at which runs are there."""


def bad(name: str, owner: dict[str, Any] | None, target: Target = TARGET) -> dict[str, Any]:
    """Return a pod that says that data was corrupted."""
    said = {"exitCode": 1, "message": result(Outcome.DATA_CORRUPTED), "startedAt": rfc3339(T0)}
    state = {"terminated": {**said, "finishedAt": rfc3339(T0)}}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels(target)}
    metadata["ownerReferences"] = [owner] if owner is not None else []
    status = {"phase": "Failed", "containerStatuses": [{"name": "probe", "state": state}]}
    return {"metadata": metadata, "spec": {"nodeName": NODE}, "status": status}


def owned_by(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "controller": True,
    }


def cronjob(world: World) -> dict[str, Any]:
    """Return the CronJob of the mount target."""
    found = world.objects["cronjobs"].values()
    return next(each for each in found if each["metadata"]["labels"] == labels(TARGET))


def second_pods(world: World) -> None:
    """Give each Job a second pod."""
    for name, job in list(world.objects["jobs"].items()):
        node = job["metadata"]["labels"].get("node", "")
        target = Target("p", Kind.MOUNT if node else Kind.PROVISION, "c", node, NAMESPACE)
        world.put("pods", bad(f"{name}-zzzzz", owned_by("Job", job), target))


def pods_with_labels(world: World) -> None:
    """Create pods with pie's labels: of nobody, of another Job, of the PieProbe."""
    of_probe = owned_by("PieProbe", world.objects["pieprobes"]["p"])
    for number, owner in enumerate((None, STRANGER, of_probe)):
        pod = bad(f"forged-{number}", owner)
        pod["metadata"]["annotations"] = {ANNOTATION_TARGET: str(TARGET)}
        world.put("pods", pod)


def forged(name: str, owner: dict[str, Any], target: Target) -> Action:
    """Return the action that creates a Job, and a pod of it, which ended badly."""

    def create(world: World) -> None:
        by = owner or owned_by("CronJob", cronjob(world))
        stamp = {ANNOTATION_SCHEDULED: rfc3339(T0 + FIRST)}
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels(target), "annotations": stamp}
        over = {"type": "Failed", "status": "True", "lastTransitionTime": rfc3339(world.now())}
        status = {"conditions": [over]}
        job = world.put("jobs", {"metadata": {**metadata, "ownerReferences": [by]}, "status": status})
        world.put("pods", bad(f"{name}-zzzzz", owned_by("Job", job), target))

    return create


NOBODYS = {"kind": "PieProbe", "name": "p", "uid": "another", "controller": True}
OTHER = Target("p", Kind.MOUNT, "c", "n2", NAMESPACE)


@pytest.mark.parametrize(
    "action",
    [
        second_pods,
        pods_with_labels,
        forged("theirs", {}, TARGET),
        forged("mount-p-n1-c-000000-1", {}, OTHER),
        forged("mount-p-n1-c-r1", NOBODYS, TARGET),
        forged("theirs", STRANGER, TARGET),
    ],
    ids=[
        "second pods",
        "labels only",
        "a Job with another name",
        "a Job of another target",
        "a Job of another PieProbe",
        "a pod of another Job",
    ],
)
def test_what_others_create_changes_no_count_and_no_verdict(action: Action) -> None:
    script: Script = [(FIRST + seconds, action) for seconds in range(60)]
    outcome = played(script)
    assert outcome.errors(END) == []
    assert outcome.counted_as() == {"on time"}
    assert {verdict for verdict, _ in outcome.states.values()} == {Verdict.OK}
    assert outcome.io["false"] == 0
    assert not outcome.incidents


def test_after_a_restart_the_first_pod_of_a_job_still_is_its_run() -> None:
    counted: list[float | None] = []

    async def play() -> None:
        first = Simulation(at_once)
        first.world.begin(SPEC)
        script: Script = [(second, second_pods) for second in range(FIRST + 60)]
        await first.run(FIRST, script)
        second = Simulation(at_once, first)
        await second.run(90, script)
        counted.append(Samples(second.metrics()).value(PERFORMANCE, node=NODE, succeed="false"))

    in_virtual_time(play())
    assert not counted[0]


def test_an_image_that_admission_rewrote_changes_nothing() -> None:
    def rewrite(world: World) -> None:
        for pod in list(world.objects["pods"].values()):
            containers = [{"name": "probe", "image": "mirror.example.com/pie@sha256:0"}]
            world.put("pods", {**pod, "spec": {**pod["spec"], "containers": containers}})

    outcome = played([(second, rewrite) for second in range(int(END - T0))])
    assert outcome.errors(END) == []
    assert outcome.counted_as() == {"on time"}
