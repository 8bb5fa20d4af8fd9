"""A late provision run is followed by one elsewhere before the class is called bad."""

import time

from tests.controller.lives import lived
from tests.controller.mounts import result
from tests.controller.provisions import follow_up_pod, provisions
from tests.controller.reported import events
from tests.controller.stage import Stage
from tests.controller.world import NODE, World
from tests.harness import ON_TIME, Pie, until, until_condition

# The run that follows another one has as long as that one.
LATE = {"probeThreshold": "7s", "deadline": "60s"}


async def counted(pie: Pie, value: str) -> float | None:
    return await pie.value(ON_TIME["provision"], on_time=value)


async def test_a_class_that_works_on_another_node_is_well(stage: Stage) -> None:
    async with provisions(stage, nodes=2, **LATE) as (pie, cronjob, nodes):
        pod = await stage.start_job(cronjob, time.time())
        await stage.bind(pod, nodes[0])
        following = await follow_up_pod(stage)
        assert nodes[0] in str(following["spec"]["affinity"])
        name = following["metadata"]["name"]
        await stage.bind(name, nodes[1])
        await stage.end(name, result())
        await pie.until_value(ON_TIME["provision"], lambda value: value == 1, on_time="true")
        await until_condition(stage.api, stage.namespace, "p1", "ProvisionHealthy", "True")
        (told,) = await until(lambda: events(stage), "an Event about the node")
        assert (told["type"], told["reason"]) == ("Warning", "NoVolumeOnNode")
        assert told["message"].startswith(f"Node {nodes[0]}: a new volume could not be used in time there (")
        await stage.end(pod, result(), after_seconds=10)
        await until(lambda: no_jobs(stage), "recorded Jobs are deleted")
        assert (await counted(pie, "true"), await counted(pie, "false")) == (1, 0)


async def no_jobs(stage: Stage) -> bool:
    return not await stage.names("jobs")


async def test_a_class_that_works_nowhere_is_bad_once(stage: Stage) -> None:
    async with provisions(stage, nodes=3, **LATE) as (pie, cronjob, nodes):
        pod = await stage.start_job(cronjob, time.time())
        await stage.bind(pod, nodes[0])
        following = await follow_up_pod(stage)
        assert await counted(pie, "false") == 0
        await stage.bind(following["metadata"]["name"], nodes[1])
        await pie.until_value(ON_TIME["provision"], lambda value: value == 1, on_time="false")
        await until_condition(stage.api, stage.namespace, "p1", "ProvisionHealthy", "False")
        assert len(await stage.names("jobs")) == 2


async def test_where_there_is_no_other_node_the_first_run_is_the_verdict(stage: Stage) -> None:
    async with provisions(stage, nodes=2) as (pie, cronjob, nodes):
        await stage.cordon(nodes[1])
        pod = await stage.start_job(cronjob, time.time())
        await stage.bind(pod, nodes[0])
        await pie.until_value(ON_TIME["provision"], lambda value: value == 1, on_time="false")
        assert len(await stage.names("jobs")) == 1


def test_a_class_that_works_nowhere_is_an_incident_at_the_first_due_time() -> None:
    def nothing_is_mounted(world: World) -> None:
        world.storage = "does not mount"

    # The run of second 60 is late at 81, the one that follows it elsewhere some 25 s later; 120 is the next.
    (outcome,) = lived((119, []), given=[nothing_is_mounted], nodes=["n2"], disableMountProbes=True)
    assert [each["open"] for each in outcome.incidents] == [True]
    assert outcome.asked["create", "events"] == 1  # the incident; no node is told of as if others were well


def test_a_node_on_which_no_volume_works_is_told_of_once_an_hour_though_the_class_is_well() -> None:
    def nothing_is_mounted_on_one(world: World) -> None:
        world.storage, world.storage_fails_on = "does not mount", frozenset({NODE})

    (outcome,) = lived((1500, []), given=[nothing_is_mounted_on_one], nodes=["n2"], disableMountProbes=True)
    assert outcome.incidents == []
    assert outcome.asked["create", "events"] == 1
