"""pie on real nodes: health when all is well, and the truth when storage breaks, fault by fault."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed import faults
from testbed.faults import Options
from tests.harness import ON_TIME, PERFORMANCE, gone, until, until_condition
from tests.real.conftest import SPEC, STORAGE_CLASS, Probed

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

NODES = ["node-1", "node-2"]
PERIOD_SECONDS = 60.0
THRESHOLD_SECONDS = float(SPEC["probeThreshold"].removesuffix("s"))  # type: ignore[attr-defined]
DEADLINE_SECONDS = float(SPEC["deadline"].removesuffix("s"))  # type: ignore[attr-defined]
SLACK_SECONDS = 10.0

# fault -> the reason that must be given
IO_FAULTS = {
    "io-error": "IOError",
    "read-only": "ReadOnly",
    "full-volume": "NoSpace",
    "hang": "Hung",
    "corrupted": "DataCorrupted",
    "swapped": "DataSwapped",
    "emptied": "DataLost",
}
# These hit a volume as soon as something in it is opened, which may be at the end of a run that goes well.
BITE_LATER = {"io-error", "hang"}


def node_of(fault: str) -> str:
    return NODES[list(IO_FAULTS).index(fault) % len(NODES)]


async def test_within_two_periods_all_metrics_are_good_and_real_files_lie_on_real_volumes(
    probed: Probed,
) -> None:
    await probed.probe("steady", NODES)
    began = time.monotonic()
    for node in NODES:
        await probed.pie.until_value(
            PERFORMANCE,
            lambda value: value >= 1,
            2 * PERIOD_SECONDS + 30,
            pie_probe_name="steady",
            node=node,
            succeed="true",
        )
    await probed.pie.until_value(
        ON_TIME["provision"],
        lambda value: value >= 1,
        2 * PERIOD_SECONDS,
        pie_probe_name="steady",
        on_time="true",
    )
    print(f"healthy after {time.monotonic() - began:.0f} s")  # noqa: T201  a figure for the reader
    samples = await probed.pie.samples()
    for node in NODES:
        assert samples.value(ON_TIME["mount"], pie_probe_name="steady", node=node, on_time="true") >= 1
        assert samples.value(ON_TIME["mount"], pie_probe_name="steady", node=node, on_time="false") == 0
        for direction in ("read", "write"):
            metric = f"pie_io_{direction}_latency_on_mount_probe_seconds"
            assert samples.value(metric, pie_probe_name="steady", node=node) > 0
        volume = await faults.volume(
            probed.cluster, node=node, claims=f"{probed.namespace}/{probed.claim('steady', node)}"
        )
        assert blocks(volume.backing_file) > 0
    await until_condition(probed.api, probed.namespace, "steady", "MountHealthy", "True")


def blocks(path: str) -> int:
    return Path(path).stat().st_blocks


@asynccontextmanager
async def inflicted(probed: Probed, fault: str, node: str, **options: Any) -> AsyncIterator[None]:
    await faults.inflict(probed.cluster, fault, node=node, options=Options(**options))
    try:
        yield
    finally:
        await faults.undo(probed.cluster, fault, node=node)


async def one_fault(probed: Probed, fault: str, reason: str) -> str:
    """Inflict one fault on its own PieProbe's volume; return how long it took to see it come and go."""
    probe, node = f"p-{fault}", node_of(fault)
    labels = {"pie_probe_name": probe, "node": node}
    await probed.probe(probe, [node], disableProvisionProbe=True)
    await probed.pie.until_value(PERFORMANCE, lambda value: value >= 2, 240, **labels, succeed="true")
    on_time_before = await probed.on_time(probe, node, "false")
    claims = f"{probed.namespace}/{probed.claim(probe, node)}"
    other = f"{probed.namespace}/{probed.claim('steady', NODES[1 - NODES.index(node)])}"
    failed_before = await probed.succeeded(probe, node, "false")
    began, now = time.monotonic(), time.time()
    async with inflicted(probed, fault, node, claims=claims, other=other if fault == "swapped" else ""):
        if fault in BITE_LATER:
            await faults.wait_until_bitten(
                probed.cluster, fault, node=node, since_seconds=now, timeout_seconds=2 * PERIOD_SECONDS
            )
        await probed.pie.until_value(
            PERFORMANCE,
            lambda value: value > failed_before,
            PERIOD_SECONDS + DEADLINE_SECONDS + SLACK_SECONDS,
            **labels,
            succeed="false",
        )
        seen = time.monotonic() - began
        if fault == "hang":
            assert await probed.on_time(probe, node, "false") <= on_time_before + 1
        await until_condition(probed.api, probed.namespace, probe, "MountHealthy", "False", reason)
        if fault == "hang":
            failed = await probed.succeeded(probe, node, "false")
            # It stays hung over the next due times, and is not counted again.
            await probed.more(
                ON_TIME["mount"], 2 * PERIOD_SECONDS + SLACK_SECONDS, by=2, **labels, on_time="false"
            )
            assert await probed.succeeded(probe, node, "false") == failed
    began = time.monotonic()
    await probed.more(PERFORMANCE, 2 * PERIOD_SECONDS + SLACK_SECONDS, **labels, succeed="true")
    await until_condition(probed.api, probed.namespace, probe, "MountHealthy", "True")
    return f"{fault}: {reason} after {seen:.0f} s, clear after {time.monotonic() - began:.0f} s"


async def test_each_fault_of_a_volume_is_seen_with_its_reason_and_clears_after_its_undo(
    probed: Probed,
) -> None:
    before = {node: await probed.succeeded("steady", node, "false") for node in NODES}
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one_fault(probed, *fault)) for fault in IO_FAULTS.items()]
    finally:
        for fault in IO_FAULTS:
            await probed.api.delete(probed.path("pieprobes", f"p-{fault}"))
    print(*(task.result() for task in tasks), sep="\n")  # noqa: T201
    for node in NODES:
        assert await probed.succeeded("steady", node, "false") == before[node]


async def test_a_node_plugin_that_is_gone_makes_its_node_late_at_each_due_time_and_no_other(
    probed: Probed,
) -> None:
    broken, healthy = "node-2", "node-1"
    application = await start_application(probed, broken)
    late = {"pie_probe_name": "steady", "node": broken, "on_time": "false"}
    other_late = await probed.on_time("steady", healthy, "false")
    began = time.monotonic()
    async with inflicted(probed, "node-plugin-gone", broken):
        await probed.more(ON_TIME["mount"], PERIOD_SECONDS + THRESHOLD_SECONDS + SLACK_SECONDS, **late)
        print(f"late after {time.monotonic() - began:.0f} s")  # noqa: T201
        await probed.more(ON_TIME["mount"], PERIOD_SECONDS + SLACK_SECONDS, **late)
        await probed.more(ON_TIME["mount"], PERIOD_SECONDS + SLACK_SECONDS, **late)
        await until_condition(probed.api, probed.namespace, "steady", "MountHealthy", "False", "MountFailed")
        written = await last_write(probed, application)
        await until(lambda: _wrote_since(probed, application, written), "the application goes on writing", 15)
        assert await probed.on_time("steady", healthy, "false") == other_late
    began = time.monotonic()
    await probed.more(PERFORMANCE, 3 * PERIOD_SECONDS, pie_probe_name="steady", node=broken, succeed="true")
    await until_condition(probed.api, probed.namespace, "steady", "MountHealthy", "True")
    print(f"healthy again after {time.monotonic() - began:.0f} s")  # noqa: T201
    assert await probed.on_time("steady", healthy, "false") == other_late


async def start_application(probed: Probed, node: str) -> str:
    """Start a pod on a node that writes to a volume of its own for ever; return its name."""
    name = f"application-{node}"
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": STORAGE_CLASS,
        "resources": {"requests": {"storage": "50Mi"}},
    }
    script = """
import os, time
while True:
    with open("/data/x", "w") as file:
        file.write(str(time.time()))
        file.flush()
        os.fsync(file.fileno())
    print("wrote at", time.time(), flush=True)
    time.sleep(0.5)
"""
    container = {
        "name": "application",
        "image": "pie.test/pie:dev",
        "command": ["python3", "-c", script],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1001,
                "fsGroup": 1001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [{"name": "data", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}],
        },
    }
    await probed.api.create(probed.path("pods"), body)

    async def running() -> bool:
        return bool((await probed.api.get(probed.path("pods", name)))["status"]["phase"] == "Running")

    await until(running, f"{name} runs", 60)
    return name


async def last_write(probed: Probed, application: str) -> str:
    """Return when the application last wrote, as it logged it after the sync."""
    path = f"{probed.path('pods', application)}/log"
    return str((await probed.api.get(path, parameters={"tailLines": "1"}))["text"])


async def _wrote_since(probed: Probed, application: str, before: str) -> bool:
    return await last_write(probed, application) != before


async def test_a_provisioner_that_is_gone_makes_the_class_late_and_mounts_stay_healthy(
    probed: Probed,
) -> None:
    late = {node: await probed.on_time("steady", node, "false") for node in NODES}
    async with (
        inflicted(probed, "provisioner-gone", NODES[0]),
        inflicted(probed, "provisioner-gone", NODES[1]),
    ):
        # The run on one node is followed by one on the other, before the class is called bad.
        await probed.more(
            ON_TIME["provision"],
            PERIOD_SECONDS + 2 * THRESHOLD_SECONDS + 2 * SLACK_SECONDS,
            pie_probe_name="steady",
            on_time="false",
        )
        for node in NODES:
            await probed.more(
                PERFORMANCE,
                PERIOD_SECONDS + THRESHOLD_SECONDS,
                pie_probe_name="steady",
                node=node,
                succeed="true",
            )
            assert await probed.on_time("steady", node, "false") == late[node]
    await probed.more(ON_TIME["provision"], 3 * PERIOD_SECONDS, pie_probe_name="steady", on_time="true")


async def test_deleting_the_pieprobe_leaves_nothing_in_the_cluster_or_on_the_nodes(probed: Probed) -> None:
    await probed.api.delete(probed.path("pods", "application-node-2"))
    await probed.api.delete(probed.path("pieprobes", "steady"))
    for plural in ("cronjobs", "jobs", "pods", "persistentvolumeclaims"):
        await until(lambda plural=plural: gone(probed.api, probed.path(plural)), f"{plural} are gone", 90)
    await until(lambda: no_volumes(probed), "volumes and backing files are gone", 60)
    assert (await probed.pie.samples()).names(pie_probe_name="steady") == set()
    assert "finalizer" not in "\n".join(probed.pie.lines)


async def no_volumes(probed: Probed) -> bool:
    """Tell whether no PersistentVolume and no backing file of this namespace is left."""
    volumes = await probed.api.items("/api/v1/persistentvolumes")
    of_ours = [each for each in volumes if each["spec"]["claimRef"]["namespace"] == probed.namespace]
    kept = [
        each
        for node in NODES
        for each in (await faults.state(probed.cluster, node=node)).volumes
        if each.volume.claim.startswith(f"{probed.namespace}/")
    ]
    return not of_ours and not kept
