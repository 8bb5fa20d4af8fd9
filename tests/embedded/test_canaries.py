"""The canary `block` on the embedded cluster: real I/O on a file, and a fault that pie has to see."""

from typing import Any

import pytest

from pie.embedded import childprocess
from pie.embedded.kinds import PODS, PVCS, PVS
from pie.embedded.machines import STORAGE_CLASS
from tests.duesoon import due_soon
from tests.embedded.conftest import PlainApi, Start
from tests.harness import GROUP, Pie, apply_probe, pieprobe, until

pytestmark = pytest.mark.timeout(400)

SPEC: dict[str, Any] = {
    "disableProvisionProbe": True,
    "disableMountProbes": True,
    "canaries": {"block": {"period": "1m"}},
    "suppression": {"newNodeGrace": "0s", "rebootGrace": "0s"},
}


@pytest.mark.skipif(not childprocess.supported(), reason="this machine cannot make system calls fail")
async def test_a_raw_block_volume_is_proved_or_called_bad_and_nothing_is_left(start_embedded: Start) -> None:
    cluster = await start_embedded(nodes=2)
    async with PlainApi(cluster.front.address) as api, Pie(cluster.kubeconfig, "pie"):

        async def nothing_left() -> bool:
            return not [each for kind in (PODS, PVCS, PVS) for each in cluster.store.all(kind)]

        async def said_of(prefix: str) -> tuple[str, str]:
            """Return what the first run of a new PieProbe says."""
            name = due_soon(prefix, STORAGE_CLASS)
            path = f"{GROUP}/namespaces/pie/pieprobes/{name}"

            async def said() -> tuple[str, str] | None:
                conditions = ((await api.get(path)).get("status") or {}).get("conditions") or []
                found = {each["type"]: (each["status"], each["reason"]) for each in conditions}
                condition = found.get("BlockHealthy", ("", "Pending"))
                return condition if condition[1] != "Pending" else None

            await apply_probe(api, "pie", pieprobe(name, STORAGE_CLASS, "kubernetes.io/os", **SPEC))
            found: tuple[str, str] = await until(said, f"a run of {name} ends", 120)
            await api.delete(path)
            await until(nothing_left, "nothing is left", 60)
            return found

        assert await said_of("well") == ("True", "OK")
        await cluster.faults.inject("io-error")
        assert await said_of("bad") == ("False", "IOError")
