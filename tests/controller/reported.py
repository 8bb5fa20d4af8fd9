"""What Kubernetes and pie report about a PieProbe: status, incidents and Events."""

from typing import Any

from tests.controller.stage import Stage, stamp
from tests.harness import LIMIT_SECONDS, until, until_condition


async def status(stage: Stage) -> dict[str, Any]:
    found = await stage.api.get(stage.path("pieprobes", "p1"))
    return dict(found.get("status") or {})


async def incidents(stage: Stage) -> list[dict[str, Any]]:
    return list((await status(stage)).get("incidents") or [])


async def events(stage: Stage) -> list[dict[str, Any]]:
    """Return the Events on the PieProbe, oldest first."""
    found = [
        each
        for each in await stage.api.items(stage.path("events"))
        if each["involvedObject"]["kind"] == "PieProbe"
    ]
    return sorted(found, key=lambda each: str(each["firstTimestamp"]))


async def until_incidents(
    stage: Stage, count: int, *, still_open: bool, timeout_seconds: float = LIMIT_SECONDS
) -> list[dict[str, Any]]:
    async def seen() -> list[dict[str, Any]]:
        found = await incidents(stage)
        good = len(found) == count and all(("closedAt" not in each) is still_open for each in found)
        return found if good else []

    return list(await until(seen, f"{count} incidents, open: {still_open}", timeout_seconds))


async def warn_about(stage: Stage, kind: str, item: dict[str, Any], reason: str, message: str) -> None:
    """Write a Warning Event about any object."""
    name, uid = item["metadata"]["name"], item["metadata"]["uid"]
    about = {"kind": kind, "namespace": stage.namespace, "name": name, "uid": uid}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{name}."},
        "involvedObject": about,
        "type": "Warning",
        "reason": reason,
        "message": message,
        "firstTimestamp": stamp(0),
        "lastTimestamp": stamp(0),
        "count": 1,
        "source": {"component": "kubelet"},
    }
    await stage.api.create(stage.path("events"), event)


async def healthy(stage: Stage, reason: str) -> dict[str, Any]:
    return await until_condition(stage.api, stage.namespace, "p1", "MountHealthy", "False", reason)
