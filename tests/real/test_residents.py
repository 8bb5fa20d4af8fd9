"""The resident probe on a real node: a kubelet asks it, a mount that hangs is reported, and it recovers."""

import asyncio
import time
import urllib.request
from collections import Counter
from typing import Any

import pytest

from testbed import faults
from testbed.api import Json
from testbed.faults import Options
from tests.duesoon import due_soon
from tests.harness import until
from tests.real.conftest import STORAGE_CLASS, Probed

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

NODE = "node-1"
ONLY_RESIDENT: dict[str, Any] = {
    "disableProvisionProbe": True,
    "disableMountProbes": True,
    "residentProbe": True,
    "residentThreshold": "2s",
}
ROUNDS = 3


async def is_said(probed: Probed, name: str, status: str) -> Json | None:
    """Return the condition of the resident probe when it has this status."""
    found = (await probed.api.get(probed.path("pieprobes", name))).get("status") or {}
    conditions = [each for each in found.get("conditions") or [] if each["type"] == "ResidentHealthy"]
    return next((each for each in conditions if each["status"] == status), None)


async def pods(probed: Probed, name: str) -> list[Json]:
    return await probed.api.items(probed.path("pods"), selector=f"pie-probe={name}")


async def is_gone(probed: Probed, name: str) -> bool:
    """Tell whether no pod and no PVC of a PieProbe is there."""
    claims = await probed.api.items(probed.path("persistentvolumeclaims"), selector=f"pie-probe={name}")
    return not [*claims, *await pods(probed, name)]


async def rounds(pod: Json) -> int:
    """Return how many rounds of I/O a resident pod has done, as its metrics say."""

    def scrape() -> str:
        with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8111/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    said = await asyncio.to_thread(scrape)
    name = 'pie_resident_io_duration_seconds_count{operation="read_by_path"} '
    return int(next(line.removeprefix(name) for line in said.splitlines() if line.startswith(name)))


async def costs_nothing(probed: Probed, pod: Json) -> bool:
    """Let some rounds of I/O pass; tell whether nobody wrote anything in the namespace meanwhile."""
    audit, began, before = probed.cluster.audit, probed.cluster.audit.now(), await rounds(pod)

    async def went_on() -> bool:
        return await rounds(pod) >= before + ROUNDS

    await until(went_on, "rounds of I/O", 60)
    return audit.count_writes(began, audit.now(), namespace=probed.namespace) == Counter()


async def test_a_healthy_mount_costs_no_write_and_one_that_hangs_is_reported_and_recovers(
    probed: Probed, request: pytest.FixtureRequest
) -> None:
    name = due_soon("res", STORAGE_CLASS, probed.namespace, canary="resident", node=NODE)
    hang = Options(claims=f"pie-resident-{name}-*")
    try:
        await probed.probe(name, [NODE], **ONLY_RESIDENT)
        await until(lambda: is_said(probed, name, "True"), "the resident pod is ready", 120)
        (pod,) = await pods(probed, name)

        await until(lambda: costs_nothing(probed, pod), "rounds of I/O without a write to the API server", 90)

        await faults.inflict(probed.cluster, "hang", node=NODE, options=hang)
        inflicted = time.monotonic()
        said = await until(lambda: is_said(probed, name, "False"), "the stall is reported", 60)
        request.node.user_properties.append(
            ("reported after seconds", round(time.monotonic() - inflicted, 1))
        )
        assert said["reason"] == "Stalled"
        events = await probed.api.items(probed.path("events"))
        about = [each for each in events if each["involvedObject"]["uid"] == pod["metadata"]["uid"]]
        assert [each["count"] for each in about if each["message"].endswith("statuscode: 503")] == [1]

        await faults.undo(probed.cluster, "hang", node=NODE)
        await until(lambda: is_said(probed, name, "True"), "the recovery is seen", 60)
        (incident,) = (await probed.api.get(probed.path("pieprobes", name)))["status"]["incidents"]
        assert (incident["reason"], incident["nodes"]) == ("Stalled", [NODE])
        assert incident["closedBecause"] == "Recovered"
        assert [each["metadata"]["uid"] for each in await pods(probed, name)] == [pod["metadata"]["uid"]]
    finally:
        await faults.undo(probed.cluster, "hang", node=NODE)
        await probed.api.delete(probed.path("pieprobes", name))
    await until(lambda: is_gone(probed, name), "nothing is left", 60)
