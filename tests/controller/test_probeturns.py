"""Incidents open once, outlive the controller, and close: on a real control plane, the kubelet played."""

import asyncio
import time
from typing import Any

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Target
from pie.core.result import Outcome
from tests.controller.mounts import IN_TIME, A, mounts, result
from tests.controller.reported import events, incidents, status, until_incidents
from tests.controller.stage import HOURLY_MINUTES, Stage
from tests.harness import apply_probe, pieprobe, until

OPEN = "pie_incident_open"


async def until_summary(stage: Stage, text: str) -> None:
    async def says() -> bool:
        return text in str((await status(stage)).get("summary", ""))

    await until(says, f"kubectl get says {text!r}")


async def test_an_incident_opens_after_two_bad_runs_outlives_the_controller_and_closes_on_recovery(
    stage: Stage,
) -> None:
    async with mounts(stage, **IN_TIME) as target:
        broken = result(Outcome.IO_ERROR, message="write: EIO", found=A, sequence=1)
        await stage.end(await target.start(), broken, exit_code=1)
        await until_summary(stage, "1 target failed once; an incident opens if it fails again")
        await target.no_jobs()
        assert await incidents(stage) == []

        await stage.end(await target.start(time.time() + 60), broken, exit_code=1)
        (opened,) = await until_incidents(stage, 1, still_open=True)
        assert (opened["scope"], opened["stage"], opened["reason"]) == ("node", "io", "IOError")
        assert (opened["nodes"], opened["evidence"]) == ([target.node], "write: EIO")
        labels = {"scope": "node", "stage": "io", "reason": "IOError"}
        await target.pie.until_value(OPEN, lambda value: value == 1, **labels)
        await until_summary(stage, f"I/O fails or is wrong on node {target.node} (IOError)")
        await target.no_jobs()

        await target.pie.kill()
        await target.pie.start()
        await target.pie.until_value(OPEN, lambda value: value == 1, **labels)
        await stage.end(await target.start(time.time() + 120), broken, exit_code=1)
        await target.until_succeeded("false", 1)
        await target.no_jobs()
        assert await until_incidents(stage, 1, still_open=True) == [opened]

        await stage.end(await target.start(time.time() + 180), result(found=A, sequence=2))
        (closed,) = await until_incidents(stage, 1, still_open=False)
        assert (closed["id"], closed["closedBecause"]) == (opened["id"], "Recovered")
        await target.pie.until_value(OPEN, lambda value: value == 0, **labels)
        await until_summary(stage, "fine")

        async def both() -> list[dict[str, Any]]:
            found = await events(stage)
            return found if len(found) == 2 else []

        seen = await until(both, "an Event at opening and one at closing")
        assert {(each["type"], each["reason"]) for each in seen} == {
            ("Warning", "IncidentOpened"),
            ("Normal", "IncidentClosed"),
        }
        opening = next(each for each in seen if each["type"] == "Warning")
        for part in (stage.storage_class, target.node, "write: EIO", "Next: "):
            assert part in opening["message"]


async def test_nodes_that_fail_together_are_one_incident_of_the_class_at_once(stage: Stage) -> None:
    await stage.make_class()
    nodes = [await stage.node() for _ in range(3)]
    spec = {
        "probePeriod": HOURLY_MINUTES,
        "probeThreshold": "3s",
        "deadline": "50s",
        "disableProvisionProbe": True,
        "suppression": {"newNodeGrace": "0s"},
    }
    async with stage.pie() as pie:
        await apply_probe(
            stage.api, stage.namespace, pieprobe("p1", stage.storage_class, stage.label, **spec)
        )
        names = [cronjob_names(Target("p1", Kind.MOUNT, stage.storage_class, node))[0] for node in nodes]
        for name in names:
            await until(lambda name=name: stage.api.find(stage.path("cronjobs", name)), "the CronJob")

        async def fail(name: str, node: str) -> None:
            pod = await stage.start_job(name, time.time())
            await stage.bind(pod, node)
            await stage.report(pod, {"waiting": {"reason": "ContainerCreating"}}, "Pending")

        await asyncio.gather(*(fail(*pair) for pair in zip(names, nodes, strict=True)))
        (opened,) = await until_incidents(stage, 1, still_open=True)
        assert (opened["scope"], opened["stage"], opened["targets"]) == ("class", "mount", 3)
        assert sorted(opened["nodes"]) == sorted(nodes)
        assert len([each for each in await events(stage) if each["reason"] == "IncidentOpened"]) <= 1
        await pie.until_value(OPEN, lambda value: value == 1, scope="class", stage="mount")
