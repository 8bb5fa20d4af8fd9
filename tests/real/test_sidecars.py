"""Containers that a real webhook adds to probe pods on a real node: they change no verdict."""

from typing import Any

import pytest

from testbed import faults
from testbed.faults import Options
from tests.harness import ON_TIME, PERFORMANCE, gone, until
from tests.real.conftest import Probed

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

NODE = "node-1"


@pytest.mark.parametrize("sidecar", ["sidecar-first", "sidecar-native"])
async def test_a_container_that_runs_on_changes_no_verdict_and_its_job_ends(
    probed: Probed, sidecar: str
) -> None:
    pods = f"{probed.namespace}/pie-probe={sidecar}"
    await faults.inflict(probed.cluster, sidecar, options=Options(pods=pods))
    try:
        await probed.probe(sidecar, [NODE])
        labels = {"pie_probe_name": sidecar}
        added = await until(lambda: containers(probed, sidecar), "a pod with one more container", 90, 0.1)
        assert "testbed" in str(added - {"probe"})
        for metric, value in (
            (PERFORMANCE, {"succeed": "true"}),
            (ON_TIME["provision"], {"on_time": "true"}),
        ):
            await probed.pie.until_value(metric, lambda count: count >= 1, 180, **labels, **value)
        samples = await probed.pie.samples()
        assert samples.value(PERFORMANCE, **labels, succeed="false") == 0
        for metric in ON_TIME.values():
            assert samples.value(metric, **labels, on_time="false") == 0
        found = await until(lambda: well(probed, sidecar), "both targets are ok in the status", 60)
        assert not found.get("incidents")
        await until(lambda: gone(probed.api, probed.path("jobs")), "a moment without Jobs", 180)
    finally:
        await faults.undo(probed.cluster, sidecar)
        await probed.api.delete(probed.path("pieprobes", sidecar))


async def well(probed: Probed, probe: str) -> dict[str, Any] | None:
    """Return the status of a PieProbe when its two targets are ok; it is written at most every 10 s."""
    status: dict[str, Any] = (await probed.api.get(probed.path("pieprobes", probe))).get("status") or {}
    targets = status.get("targets") or {}
    return status if targets.get("ok") == targets.get("total") == 2 else None


async def containers(probed: Probed, probe: str) -> set[str]:
    """Return the names of the containers of a probe's pods if there are more than the probe's own."""
    pods = await probed.api.items(probed.path("pods"), selector=f"pie-probe={probe}")
    names = {
        each["name"]
        for pod in pods
        for each in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ()))
    }
    return names if len(names) > 1 else set()
