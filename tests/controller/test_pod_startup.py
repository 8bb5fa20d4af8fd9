"""How long pods take to start, on a real control plane, with the kubelet played."""

import asyncio
from datetime import datetime
from typing import Any

from pie.controller.imagepulls import ImagePulls
from pie.core.decode import convert
from pie.core.wire import Pod
from pie.kube.client import Client
from pie.kube.config import load
from tests.controller.mounts import IN_TIME, Mounts, mounts, result
from tests.controller.reported import warn_about
from tests.controller.stage import Stage
from tests.harness import until

STARTUP = "pie_pod_startup_seconds"


async def played(target: Mounts) -> dict[str, Any]:
    """Play a good run to its end; return its pod as it was when its container ran."""
    stage = target.stage
    name = await target.start()
    await stage.run(name)
    running = await stage.api.get(stage.path("pods", name))
    before = await target.succeeded("true") or 0
    await stage.end(name, result())
    await target.until_succeeded("true", before + 1)
    return running


def seconds(pod: dict[str, Any]) -> float:
    """Return the time from a pod's creation to the report on its container."""
    (reported,) = (
        entry["time"]
        for entry in pod["metadata"]["managedFields"]
        if "f:containerStatuses" in entry["fieldsV1"].get("f:status", {})
    )
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return (datetime.fromisoformat(reported) - created).total_seconds()


async def test_a_start_is_timed_by_the_clock_of_the_api_server(stage: Stage) -> None:
    async with mounts(stage, **IN_TIME) as target:
        labels = {"pie_probe_name": "p1", "storage_class": stage.storage_class, "probe": "mount"}
        last: list[float] = []

        async def timed() -> bool:
            # Of a pod that is older than the watch of its Events it is not known whether an image was pulled.
            last[:] = [seconds(await played(target))]
            return await target.pie.value(f"{STARTUP}_count", **labels) == 1

        await until(timed, "a start is timed")
        assert await target.pie.value(f"{STARTUP}_sum", **labels) == last[0]


async def test_a_pod_whose_image_was_pulled_is_known(stage: Stage) -> None:
    async with mounts(stage, **IN_TIME) as target, Client(load(str(stage.kubeconfig))) as client:
        pulls = ImagePulls(client, stage.namespace)
        watching = asyncio.create_task(pulls.run())
        shown: list[dict[str, Any]] = []

        async def known() -> bool:
            shown[:] = [await stage.api.get(stage.path("pods", await target.start()))]
            return pulls.none_for(convert(shown[0], Pod))

        async def pulled() -> bool:
            return not pulls.none_for(convert(shown[0], Pod))

        await until(known, "the watch is older than a pod")
        await warn_about(stage, "Pod", shown[0], "Pulling", "Pulling image")
        await until(pulled, "the pull is heard")
        watching.cancel()
