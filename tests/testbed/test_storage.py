"""Dynamic volumes on real nodes: made, used, deleted, and gone with the testbed, even frozen ones."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from testbed import faults
from testbed.api import Api, Json
from testbed.cgroups import hierarchies
from testbed.cluster import Cluster
from tests.testbed.pods import PODS, has_ended, pod
from tests.testbed.traces import is_there, processes_that_mention
from tests.testbed.waiting import until

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("machine")]
VOLUMES = "/api/v1/persistentvolumes"
ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("storage_class", ["local", "local-xfs"])
async def test_a_pod_of_the_restricted_level_gets_a_volume_writes_to_it_and_leaves_nothing(
    real_cluster: Cluster, storage_class: str
) -> None:
    api = real_cluster.api
    name = f"writes-{storage_class}"
    script = "findmnt -no FSTYPE /volume > /volume/kind && cp /volume/kind /dev/termination-log"
    await api.create(PODS, pod(name, script, storage_class=storage_class))

    ended = await until(lambda: api.get(f"{PODS}/{name}"), has_ended)
    terminated = ended["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (terminated["exitCode"], terminated["message"].strip()) == (
        0,
        {"local": "ext4", "local-xfs": "xfs"}[storage_class],
    )
    (file,) = await backing_files(real_cluster, f"{name}-volume")
    assert file.exists()

    await api.delete(f"{PODS}/{name}")
    await until(lambda: volumes_of(api, f"{name}-volume"), lambda volumes: not volumes)
    assert list(file.parent.glob(f"{file.stem}.*")) == []


async def test_without_its_provisioner_a_claim_waits_and_with_it_again_it_is_bound(
    real_cluster: Cluster,
) -> None:
    api = real_cluster.api
    provisioners = [f"csi-provisioner-{node}" for node in real_cluster.spec.node_names]
    for provisioner in provisioners:
        await real_cluster.stop(provisioner)
    try:
        await api.create(PODS, pod("waits", "true"))
        events = "/api/v1/namespaces/default/events"
        await until(
            lambda: api.items(events),
            lambda found: any(
                event["reason"] == "ExternalProvisioning"
                and event["involvedObject"]["name"] == "waits-volume"
                for event in found
            ),
        )
        assert (await api.get(f"{PODS}/waits"))["status"]["phase"] == "Pending"
    finally:
        for provisioner in provisioners:
            await real_cluster.start(provisioner)
    ended = await until(lambda: api.get(f"{PODS}/waits"), has_ended)
    assert ended["status"]["phase"] == "Succeeded"
    await api.delete(f"{PODS}/waits")
    await until(lambda: volumes_of(api, "waits-volume"), lambda volumes: not volumes)


async def test_an_attachable_volume_is_attached_first_and_a_refused_attachment_is_told_and_retried(
    start_cluster: Callable[..., Awaitable[Cluster]],
) -> None:
    cluster = await start_cluster(nodes=1, attachable=True)
    api = cluster.api
    await faults.inflict(cluster, "attach-refused", node="attachable")
    # It runs on: the volume of a pod that has ended is detached soon.
    await api.create(PODS, pod("attached", "sleep 600", storage_class="attachable"))
    await until(
        lambda: api.items("/api/v1/namespaces/default/events"),
        lambda found: any(event["reason"] == "FailedAttachVolume" for event in found),
    )
    await faults.undo(cluster, "attach-refused", node="attachable")
    await until(lambda: api.get(f"{PODS}/attached"), lambda found: found["status"]["phase"] == "Running")
    attachments = await api.items("/apis/storage.k8s.io/v1/volumeattachments")
    assert [(each["spec"]["nodeName"], each["status"]["attached"]) for each in attachments] == [
        ("node-1", True)
    ]
    await api.delete(f"{PODS}/attached?gracePeriodSeconds=1")
    await until(lambda: api.items(VOLUMES), lambda volumes: not volumes)
    attached = "/apis/storage.k8s.io/v1/volumeattachments"
    await until(lambda: api.items(attached), lambda attachments: not attachments)


@pytest.mark.timeout(700)
async def test_when_its_user_is_killed_a_testbed_leaves_nothing_not_even_a_writer_to_a_frozen_volume(
    tmp_path: Path,
) -> None:
    program = tmp_path / "user.py"
    program.write_text(USER)
    user = await asyncio.create_subprocess_exec(
        *(sys.executable, str(program)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert user.stdout is not None
    directory = (await asyncio.wait_for(user.stdout.readline(), 200)).decode().strip()
    assert loop_devices(directory)
    freeze(loop_devices(directory)[0], tmp_path / "mount")

    user.kill()
    await user.wait()
    await until(gone(directory), bool, timeout_seconds=240)
    # What has removed the directory ends a moment after it.
    await until(lambda: asyncio.to_thread(processes_that_mention, Path(directory)), lambda found: not found)
    assert loop_devices(directory) == []
    assert [root for root in hierarchies() if (root / Path(directory).name).exists()] == []


USER = """
import asyncio
from testbed.cluster import Cluster
from tests.testbed.pods import PODS, pod

async def main():
    async with Cluster(nodes=1) as cluster:
        await cluster.api.create(PODS, pod("writer", "while date > /volume/date; do sync; done"))
        while (await cluster.api.get(PODS + "/writer"))["status"]["phase"] != "Running":
            await asyncio.sleep(0.2)
        print(cluster.directory, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def volumes_of(api: Api, claim: str) -> list[Json]:
    """Return the volumes of a PVC; those of earlier tests may still be there for a while."""
    found = await api.items(VOLUMES)
    wanted = ("default", claim)
    return [each for each in found if _claim(each) == wanted]


def _claim(volume: Json) -> tuple[str, str]:
    reference = volume["spec"]["claimRef"]
    return reference["namespace"], reference["name"]


async def backing_files(cluster: Cluster, claim: str) -> list[Path]:
    """Return the files that hold the volumes of a PVC, whatever node they are on."""
    states = [await faults.state(cluster, node=node) for node in cluster.spec.node_names]
    volumes = [each for state in states for each in state.volumes]
    return [Path(each.backing_file) for each in volumes if each.volume.claim == f"default/{claim}"]


def loop_devices(directory: str) -> list[str]:
    """Return the loop devices on files of a testbed."""
    listed = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [line.split()[0] for line in listed.splitlines() if directory in line]


def freeze(device: str, mount_point: Path) -> None:
    """Freeze the filesystem on a device that is mounted in another mount namespace."""
    mount_point.mkdir()
    subprocess.run(["mount", device, mount_point], check=True)
    subprocess.run(["fsfreeze", "--freeze", mount_point], check=True)
    subprocess.run(["umount", mount_point], check=True)


def gone(directory: str) -> Callable[[], Awaitable[bool]]:
    """Return a reader that says whether the testbed has been cleaned up."""

    async def read() -> bool:
        return not is_there(directory)

    return read
