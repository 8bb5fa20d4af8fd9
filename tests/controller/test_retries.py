"""A bad target is probed again before its next due time: on a real control plane, the kubelet played."""

import time
from typing import Any

import pytest

from pie.core.batch.cron import cron
from pie.core.model import Kind, Target
from pie.core.result import Outcome
from tests.controller.lives import lived
from tests.controller.mounts import A, mounts, result
from tests.controller.reported import until_incidents
from tests.controller.stage import Stage
from tests.controller.stories import storage
from tests.controller.world import PROVISION, T0, TARGET
from tests.harness import PERFORMANCE, until

pytestmark = pytest.mark.timeout(400)

PERIOD_MINUTES = 5


def node_with_time_left(stage: Stage) -> str:
    """Return a name for a node whose target has just been due: early runs need time until the next."""
    now = time.time()
    names = [f"node-{stage.unique}-{number}" for number in range(50)]
    return max(
        names,
        key=lambda name: cron(
            Target("p1", Kind.MOUNT, stage.storage_class, name), 60 * PERIOD_MINUTES
        ).next_due(now),
    )


async def until_retried(stage: Stage, known: set[str]) -> tuple[str, dict[str, Any]]:
    """Return the pod of a one-off Job that nobody knows, and the Job."""

    async def job() -> dict[str, Any] | None:
        found = [
            each
            for each in await stage.api.items(stage.path("jobs"))
            if each["metadata"]["name"] not in known
            and "pie.topolvm.io/retry" in each["metadata"]["annotations"]
        ]
        return found[0] if found else None

    started = await until(job, "the target is probed again", 120)
    selector = f"batch.kubernetes.io/controller-uid={started['metadata']['uid']}"

    async def pods() -> list[dict[str, Any]]:
        return await stage.api.items(stage.path("pods"), selector=selector)

    found = await until(pods, "the pod of the retry")
    return str(found[0]["metadata"]["name"]), started


async def test_a_failed_target_is_probed_again_early_which_opens_and_closes_its_incident(
    stage: Stage,
) -> None:
    spec = {"probePeriod": PERIOD_MINUTES, "probeThreshold": "20s", "deadline": "30s"}
    async with mounts(stage, node=node_with_time_left(stage), **spec) as target:
        broken = result(Outcome.IO_ERROR, message="write: EIO", found=A, sequence=1)
        await stage.end(await target.start(), broken, exit_code=1)
        await target.until_succeeded("false", 1)

        pod, job = await until_retried(stage, set())
        owner = job["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"]) == ("PieProbe", "p1")
        await stage.bind(pod, target.node)
        await stage.end(pod, broken, exit_code=1)
        (opened,) = await until_incidents(stage, 1, still_open=True)
        assert opened["reason"] == "IOError"
        # It is no due time's run: what is counted stays.
        assert await target.pie.value(PERFORMANCE, node=target.node, succeed="false") == 1

        pod, _ = await until_retried(stage, {job["metadata"]["name"]})
        await stage.bind(pod, target.node)
        await stage.end(pod, result(found=A, sequence=2))
        await until_incidents(stage, 1, still_open=False)
        assert await target.pie.value(PERFORMANCE, node=target.node, succeed="true") == 0
        await target.no_jobs()


@pytest.mark.parametrize("kind", [Kind.MOUNT, Kind.PROVISION])
def test_a_bad_target_of_a_long_period_is_known_to_be_well_again_long_before_its_next_due_time(
    kind: str,
) -> None:
    target = PROVISION if kind == Kind.PROVISION else TARGET
    due = int(cron(target, 59 * 60).next_due(T0) - T0)
    spec = {
        "probePeriod": 59,
        "disableMountProbes": kind == Kind.PROVISION,
        "disableProvisionProbe": kind == Kind.MOUNT,
    }
    story = [(due - 10, storage("does not mount")), (due + 600, storage("well"))]
    (bad,) = lived((due + 590, story), **spec)
    (mended,) = lived((due + 1500, story), **spec)
    assert [each["open"] for each in bad.incidents] == [True]
    assert [each["open"] for each in mended.incidents] == [False]
