"""A mount target with a controller that watches it, and the results of its runs."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Target
from pie.core.naming import claim_names
from pie.core.result import IoStats, Latency, Outcome, RecordStats, Result, encode
from tests.controller.stage import HOURLY_MINUTES, Stage
from tests.harness import (
    LIMIT_SECONDS,
    ON_TIME,
    PERFORMANCE,
    Pie,
    apply_probe,
    gone,
    pieprobe,
    until,
    until_condition,
)

SECONDS_UNTIL_HUNG = 5 + 3
# For runs that are not to be late, however slowly a busy machine plays them.
IN_TIME = {"probeThreshold": "40s", "deadline": "50s"}
# For runs in whose middle something happens before they are late.
LATE_AT_LAST = {"probeThreshold": "7s", "deadline": "12s"}
A, B, NEW = "a" * 32, "b" * 32, "c" * 32


def latency(seconds: float) -> Latency:
    return Latency(
        iops=1000, mean_seconds=seconds, p50_seconds=seconds, p99_seconds=seconds, max_seconds=seconds
    )


def result(
    outcome: Outcome = Outcome.OK,
    *,
    found: str | None = None,
    sequence: int | None = None,
    new: str = A,
    message: str = "",
) -> str:
    records = RecordStats(
        identity_found=found,
        sequence_found=sequence,
        identity_written=found or new,
        sequence_written=(sequence or 0) + 1,
    )
    measured = IoStats(read=latency(0.001), write=latency(0.002))
    return encode(
        Result(probe="mount", outcome=outcome, message=message, io=measured, records=records)
    ).decode()


class Mounts:
    """One mount target with a controller that watches it; its CronJob fires long after the test."""

    def __init__(self, stage: Stage, pie: Pie, node: str) -> None:
        self.stage = stage
        self.pie = pie
        self.node = node
        self._last_due = 0.0
        target = Target("p1", Kind.MOUNT, stage.storage_class, node)
        self.cronjob, self.claim = cronjob_names(target)[0], claim_names(target)[0]

    async def start(self, due: float | None = None) -> str:
        """Start a run, bound to the node, and return its pod."""
        if due is None:  # stamps have whole seconds, and a due time counts once
            due = self._last_due = max(time.time(), self._last_due + 1)
        pod = await self.stage.start_job(self.cronjob, due)
        await self.stage.bind(pod, self.node)
        return pod

    async def on_time(self, value: str) -> float | None:
        return await self.pie.value(ON_TIME["mount"], node=self.node, on_time=value)

    async def succeeded(self, value: str) -> float | None:
        return await self.pie.value(PERFORMANCE, node=self.node, succeed=value)

    async def until_on_time(self, value: str, count: float, timeout_seconds: float = LIMIT_SECONDS) -> None:
        await self.pie.until_value(
            ON_TIME["mount"], lambda found: found == count, timeout_seconds, node=self.node, on_time=value
        )

    async def until_succeeded(self, value: str, count: float, timeout_seconds: float = LIMIT_SECONDS) -> None:
        await self.pie.until_value(
            PERFORMANCE, lambda found: found == count, timeout_seconds, node=self.node, succeed=value
        )

    async def no_jobs(self) -> None:
        await until(lambda: gone(self.stage.api, self.stage.path("jobs")), "recorded Jobs are deleted")


@asynccontextmanager
async def mounts(
    stage: Stage, *, node: str = "", provisioner: str = "test.pie", **spec: Any
) -> AsyncIterator[Mounts]:
    await stage.make_class(provisioner=provisioner)
    node = await stage.node(node)
    wanted = {
        "probePeriod": HOURLY_MINUTES,
        "probeThreshold": "3s",
        "deadline": "5s",
        "disableProvisionProbe": True,
        **spec,
    }
    async with stage.pie() as pie:
        await apply_probe(
            stage.api, stage.namespace, pieprobe("p1", stage.storage_class, stage.label, **wanted)
        )
        await until_condition(stage.api, stage.namespace, "p1", "Ready", "True")
        target = Mounts(stage, pie, node)
        await until(lambda: stage.api.find(stage.path("cronjobs", target.cronjob)), "the CronJob")
        await until(lambda: stage.api.find(stage.path("persistentvolumeclaims", target.claim)), "the claim")
        yield target
