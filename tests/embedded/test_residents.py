"""The resident probe on the embedded cluster: a mount that dies while new mounts work, and comes back."""

from typing import Any

import pytest

from pie.embedded.kinds import PODS, PVCS
from pie.embedded.machines import STORAGE_CLASS
from tests.duesoon import due_soon
from tests.embedded.conftest import PlainApi, Start
from tests.harness import GROUP, Pie, apply_probe, pieprobe, until

pytestmark = pytest.mark.timeout(400)

NODE = "node-1"
SPEC: dict[str, Any] = {
    "disableProvisionProbe": True,
    "disableMountProbes": True,
    "residentProbe": True,
    "suppression": {"newNodeGrace": "0s", "rebootGrace": "0s"},
}


async def test_a_mount_that_dies_is_reported_and_so_is_its_recovery(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=1)
    name = due_soon("res", STORAGE_CLASS, "pie", canary="resident", node=NODE)
    path = f"{GROUP}/namespaces/pie/pieprobes/{name}"
    async with PlainApi(cluster.front.address) as api, Pie(cluster.kubeconfig, "pie"):

        async def said(status: str) -> dict[str, Any] | None:
            conditions = ((await api.get(path)).get("status") or {}).get("conditions") or []
            found = next((each for each in conditions if each["type"] == "ResidentHealthy"), {})
            return found if found.get("status") == status else None

        async def nothing_left() -> bool:
            return not [each for kind in (PODS, PVCS) for each in cluster.store.all(kind)]

        await apply_probe(api, "pie", pieprobe(name, STORAGE_CLASS, "kubernetes.io/os", **SPEC))
        await until(lambda: said("True"), "the resident pod is ready", 120)
        await cluster.faults.inject("stale-mount", NODE)
        assert (await until(lambda: said("False"), "the dead mount is reported", 60))[
            "reason"
        ] == "StaleMount"
        await cluster.faults.clear("stale-mount", NODE)
        await until(lambda: said("True"), "the recovery is seen", 60)
        (incident,) = (await api.get(path))["status"]["incidents"]
        assert (incident["nodes"], incident["closedBecause"]) == ([NODE], "Recovered")
        await api.delete(path)
        await until(nothing_left, "nothing is left", 60)
