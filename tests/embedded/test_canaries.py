"""Canaries on the embedded cluster: real I/O on files, and faults that pie has to see."""

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
    "probeThreshold": "15s",
    "suppression": {"newNodeGrace": "0s", "rebootGrace": "0s"},
}

OK = ("True", "OK")


@pytest.mark.parametrize(
    ("canary", "condition", "faults"),
    [
        pytest.param(
            "block",
            "BlockHealthy",
            {"io-error": ("False", "IOError")},
            marks=pytest.mark.skipif(
                not childprocess.supported(), reason="this machine cannot make system calls fail"
            ),
        ),
        (
            "clone",
            "CloneHealthy",
            {"clones-other": ("False", "CloneDiffers"), "clones-refused": ("Unknown", "NotOffered")},
        ),
    ],
)
async def test_a_feature_is_proved_or_called_bad_or_not_offered_and_nothing_is_left(
    start_embedded: Start, canary: str, condition: str, faults: dict[str, tuple[str, str]]
) -> None:
    cluster = await start_embedded(nodes=2)
    async with PlainApi(cluster.front.address) as api, Pie(cluster.kubeconfig, "pie"):

        async def nothing_left() -> bool:
            return not [each for kind in (PODS, PVCS, PVS) for each in cluster.store.all(kind)]

        async def said_of(prefix: str) -> tuple[str, str]:
            """Return what the first run of a new PieProbe says."""
            name = due_soon(prefix, STORAGE_CLASS, canary=canary)
            spec = {**SPEC, "canaries": {canary: {"period": "1m"}}}
            path = f"{GROUP}/namespaces/pie/pieprobes/{name}"

            async def said() -> tuple[str, str] | None:
                conditions = ((await api.get(path)).get("status") or {}).get("conditions") or []
                found = {each["type"]: (each["status"], each["reason"]) for each in conditions}
                now = found.get(condition, ("", "Pending"))
                return now if now[1] != "Pending" else None

            await apply_probe(api, "pie", pieprobe(name, STORAGE_CLASS, "kubernetes.io/os", **spec))
            found: tuple[str, str] = await until(said, f"a run of {name} ends", 120)
            await api.delete(path)
            await until(nothing_left, "nothing is left", 60)
            return found

        assert await said_of("well") == OK
        for number, (fault, expected) in enumerate(faults.items()):
            await cluster.faults.inject(fault)
            assert await said_of(f"bad{number}") == expected
            await cluster.faults.clear(fault)
