"""A provision target with a controller that watches it, and its follow-up run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Target
from pie.core.naming import ANNOTATION_FOLLOWS
from tests.controller.stage import HOURLY_MINUTES, Stage
from tests.harness import Pie, apply_probe, pieprobe, until, until_condition


@asynccontextmanager
async def provisions(stage: Stage, nodes: int, **spec: Any) -> AsyncIterator[tuple[Pie, str, list[str]]]:
    """Give a controller with one provision target, its CronJob and its nodes."""
    await stage.make_class()
    names = [await stage.node() for _ in range(nodes)]
    wanted = {
        "probePeriod": HOURLY_MINUTES,
        "probeThreshold": "3s",
        "deadline": "20s",
        "disableMountProbes": True,
        **spec,
    }
    async with stage.pie() as pie:
        await apply_probe(
            stage.api, stage.namespace, pieprobe("p1", stage.storage_class, stage.label, **wanted)
        )
        cronjob = cronjob_names(Target("p1", Kind.PROVISION, stage.storage_class))[0]
        await until(lambda: stage.api.find(stage.path("cronjobs", cronjob)), "the CronJob")
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        yield pie, cronjob, names


async def follow_up_pod(stage: Stage) -> dict[str, Any]:
    """Return the pod of the follow-up run when there is one."""

    async def found() -> dict[str, Any] | None:
        for job in await stage.api.items(stage.path("jobs")):
            if ANNOTATION_FOLLOWS in job["metadata"]["annotations"]:
                selector = f"batch.kubernetes.io/controller-uid={job['metadata']['uid']}"
                pods = await stage.api.items(stage.path("pods"), selector=selector)
                return pods[0] if pods else None
        return None

    pod: dict[str, Any] = await until(found, "a follow-up run")
    return pod
