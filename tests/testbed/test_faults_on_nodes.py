"""Faults as pods on real nodes meet them: the pod starts, and fails where an application would."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from testbed import faults
from testbed.cluster import Cluster
from testbed.errors import TestbedError
from testbed.faults import Options
from tests.testbed.pods import PODS, has_ended, pod
from tests.testbed.traces import waits_for_a_thaw
from tests.testbed.waiting import until

pytestmark = pytest.mark.timeout(600)  # the first time on a machine, images are made
NODE = "node-1"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
# Reads what is there, then writes through to the disk; tells both, or the error, by the termination message.
USE = """
import os, pathlib, sys
def use():
    record = pathlib.Path("/volume/record")
    found = record.read_text(errors="replace") if record.exists() else "nothing"
    if sys.argv[1] != "-":
        with record.open("w") as file:
            file.write(sys.argv[1])
            file.flush()
            os.fsync(file.fileno())
    return found
try:
    message = use()
except OSError as error:
    message = error.strerror
pathlib.Path("/dev/termination-log").write_text(message)
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of a volume on node-1, and pods that use it."""

    cluster: Cluster
    name: str

    @property
    def options(self) -> Options:
        return Options(claims=f"default/{self.name}")

    async def start(self, text: str) -> str:
        """Start a pod that writes `text` (`-`: nothing); return its name."""
        name = f"use-{uuid.uuid4().hex[:6]}"
        manifest: dict[str, Any] = pod(name, "true")
        manifest["spec"]["nodeSelector"] = {"kubernetes.io/hostname": NODE}
        manifest["spec"]["containers"][0]["command"] = ["python3", "-c", USE, text]
        manifest["spec"]["volumes"] = [{"name": "volume", "persistentVolumeClaim": {"claimName": self.name}}]
        await self.cluster.api.create(PODS, manifest)
        return name

    async def ended(self, name: str) -> str:
        """Wait for a pod's end, remove it; return what it found, or its error."""
        ended = await until(lambda: self.cluster.api.get(f"{PODS}/{name}"), has_ended)
        await self.remove(name)
        return str(ended["status"]["containerStatuses"][0]["state"]["terminated"].get("message", ""))

    async def remove(self, name: str) -> None:
        """Delete a pod; return when its volume is not mounted any more."""
        await self.cluster.api.delete(f"{PODS}/{name}")
        await until(lambda: self.cluster.api.find(f"{PODS}/{name}"), lambda pod: pod is None)
        await until(
            lambda: faults.volume(self.cluster, node=NODE, claims=self.name),
            lambda volume: not volume.mounts,
        )

    async def use(self, text: str = "-") -> str:
        """Run a pod to its end."""
        return await self.ended(await self.start(text))

    async def inflict(self, fault: str) -> None:
        await faults.inflict(self.cluster, fault, node=NODE, options=self.options)

    async def undo(self, fault: str) -> None:
        await faults.undo(self.cluster, fault, node=NODE)


async def make_claim(cluster: Cluster, storage_class: str) -> str:
    """Create a claim; return its name."""
    name = f"claim-{uuid.uuid4().hex[:6]}"
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": "32Mi"}},
    }
    await cluster.api.create(CLAIMS, {"metadata": {"name": name}, "spec": spec})
    return name


async def volumes_of(cluster: Cluster, claim: str) -> list[dict[str, Any]]:
    """Return the volumes of a PVC; those of earlier tests may still be there for a while."""
    found = await cluster.api.items(VOLUMES)
    return [each for each in found if each["spec"]["claimRef"]["name"] == claim]


@pytest.fixture
async def claim(real_cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Claim]:
    """Give a claim whose volume holds the record `first`."""
    name = await make_claim(real_cluster, getattr(request, "param", "local"))
    claim = Claim(real_cluster, name)
    assert await claim.use("first") == "nothing"
    yield claim
    await faults.undo_all(real_cluster, node=NODE)
    await real_cluster.api.delete(f"{CLAIMS}/{name}")
    await until(lambda: volumes_of(real_cluster, name), lambda volumes: not volumes)


@pytest.mark.parametrize(
    ("fault", "message", "claim"),
    [
        ("io-error", "Input/output error", "local"),
        ("io-error", "Input/output error", "local-xfs"),
        ("read-only", "Read-only file system", "local-xfs"),
        ("full-volume", "No space left on device", "local"),
    ],
    indirect=["claim"],
)
async def test_a_pod_starts_and_its_io_fails_until_the_undo(claim: Claim, fault: str, message: str) -> None:
    await claim.inflict(fault)
    assert await claim.use("x" * 100_000) == message
    await claim.undo(fault)
    assert await claim.use("second") in ("first", "")  # a write that failed may have emptied the file
    assert await claim.use() == "second"


async def test_a_pod_whose_volume_hangs_cannot_even_be_deleted_until_the_thaw(claim: Claim) -> None:
    await claim.inflict("hang")
    record = f"second-{uuid.uuid4().hex}"
    name = await claim.start(record)
    await until(lambda: asyncio.to_thread(waits_for_a_thaw, record), bool)
    await claim.cluster.api.delete(f"{PODS}/{name}?gracePeriodSeconds=1")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await until(lambda: claim.cluster.api.find(f"{PODS}/{name}"), lambda pod: pod is None)
    await claim.undo("hang")
    await until(lambda: claim.cluster.api.find(f"{PODS}/{name}"), lambda pod: pod is None)
    assert await claim.use("third") in ("first", record, "")
    assert await claim.use() == "third"


async def test_data_that_is_lost_stale_or_corrupted_is_found_so_by_the_next_pod(claim: Claim) -> None:
    await faults.snapshot(claim.cluster, node=NODE, claims=claim.name)
    assert await claim.use("second") == "first"
    for fault, found in (("emptied", "nothing"), ("stale", "first")):
        await claim.inflict(fault)
        assert await claim.use() == found
        await claim.undo(fault)
        assert await claim.use() == "second"
    await claim.inflict("corrupted")
    assert await claim.use() != "second"
    await claim.undo("corrupted")
    assert await claim.use() == "second"


async def test_a_volume_that_was_not_mounted_is_empty_and_takes_writes(claim: Claim) -> None:
    await claim.inflict("mounts-nothing")
    assert await claim.use("elsewhere") == "nothing"
    await claim.undo("mounts-nothing")
    assert await claim.use() == "first"


async def test_without_node_plugin_a_pod_waits_and_with_it_again_it_runs(claim: Claim) -> None:
    await claim.inflict("node-plugin-gone")
    name = await claim.start("second")
    events = "/api/v1/namespaces/default/events"
    await until(
        lambda: claim.cluster.api.items(events),
        lambda found: any(
            each["reason"] == "FailedMount" and each["involvedObject"]["name"] == name for each in found
        ),
    )
    await claim.undo("node-plugin-gone")
    assert await claim.ended(name) == "first"
    other = Claim(claim.cluster, await make_claim(claim.cluster, "local"))
    assert await other.use() == "nothing"  # its provisioner is back, too
    await claim.cluster.api.delete(f"{CLAIMS}/{other.name}")


async def test_refused_mounts_are_told_in_the_drivers_words(claim: Claim) -> None:
    refused = Options(claims=claim.name, code="INTERNAL", message="the shelf is unplugged")
    await faults.inflict(claim.cluster, "stage-refused", node=NODE, options=refused)
    name = await claim.start("second")
    await until(
        lambda: claim.cluster.api.items("/api/v1/namespaces/default/events"),
        lambda found: any(
            "the shelf is unplugged" in each["message"] and each["involvedObject"]["name"] == name
            for each in found
        ),
    )
    await claim.undo("stage-refused")
    assert await claim.ended(name) == "first"


async def test_a_node_is_cordoned_tainted_without_kubelet_and_without_power_until_the_undo(
    real_cluster: Cluster,
) -> None:
    for fault, where, words in (("tainted", NODE, "is no taint"), ("reboot", "node-9", "no node")):
        with pytest.raises(TestbedError, match=words):
            await faults.inflict(real_cluster, fault, node=where, options=Options(taint="nonsense"))
    before = await node(real_cluster)
    for fault in ("cordoned", "tainted", "reboot", "kubelet-gone", "power-off"):
        await faults.inflict(
            real_cluster, fault, node=NODE, options=Options(taint="example.com/x=y:NoExecute")
        )
    broken = await node(real_cluster)
    assert broken["spec"]["unschedulable"]
    assert [each["key"] for each in marks(broken)] == ["example.com/x"]
    processes = await real_cluster.processes()
    assert not processes[f"kubelet-{NODE}"]
    assert not processes[f"machine-{NODE}"]

    await faults.undo_all(real_cluster, node=NODE)
    mended = await until(
        lambda: node(real_cluster), lambda found: boot_id(found) != boot_id(before) and not marks(found)
    )
    assert not mended["spec"].get("unschedulable")
    assert (await real_cluster.processes())[f"kubelet-{NODE}"]
    await faults.undo_all(real_cluster, node=NODE)  # of what is not there


async def node(cluster: Cluster) -> dict[str, Any]:
    return await cluster.api.get(f"/api/v1/nodes/{NODE}")


def boot_id(found: dict[str, Any]) -> str:
    return str(found["status"]["nodeInfo"]["bootID"])


def marks(found: dict[str, Any]) -> list[dict[str, str]]:
    """Return a node's taints, but for those of Kubernetes' own."""
    taints: list[dict[str, str]] = found["spec"].get("taints", [])
    return [each for each in taints if not each["key"].startswith("node.kubernetes.io/")]
