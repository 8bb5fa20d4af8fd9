"""Every fault of a volume, on real filesystems: it bites, it harms nobody else, and its undo heals."""

import asyncio
import mmap
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from testbed import faults
from testbed.errors import TestbedError
from testbed.faults import Options
from tests.conftest import demand_machine
from tests.testbed.csi_driver import GROUP, NODE, Driver, Published, Writer

pytestmark = pytest.mark.real
FILESYSTEMS = ("ext4", "xfs")


@pytest.fixture
async def driver() -> AsyncIterator[Driver]:
    demand_machine(nodes=True)
    with tempfile.TemporaryDirectory(prefix="pie-csi-") as directory:
        async with Driver(Path(directory)) as driver:
            yield driver


async def inflict(driver: Driver, name: str, **options: object) -> None:
    await faults.inflict(driver, name, node=NODE, options=Options(**options))  # type: ignore[arg-type]


async def undo(driver: Driver, name: str) -> None:
    await faults.undo(driver, name, node=NODE)


async def write(volume: Published, name: str = "record", text: str = "1") -> str:
    return await (await Writer.start(volume.path / name, text)).error()


async def refusal(driver: Driver, claim: str) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await driver.create(claim)
    return refused.value


@pytest.mark.parametrize("filesystem", FILESYSTEMS)
async def test_a_volume_hangs_from_its_publish_until_the_undo(driver: Driver, filesystem: str) -> None:
    idle = await driver.published("idle", filesystem)
    other = await driver.published("other", filesystem)
    await driver.unpublish(idle.id)
    await inflict(driver, "hang", claims="idle")

    volume = await driver.publish(idle.id, "idle", filesystem)
    writer = await Writer.start(volume.path / "first", "1")
    await faults.wait_until_bitten(driver, "hang", node=NODE)
    second = await Writer.start(volume.path / "second", "2")
    async with asyncio.timeout(60):
        while not second.hangs():  # noqa: ASYNC110  the kernel tells nobody
            await asyncio.sleep(0.02)
    assert await write(other) == ""
    with pytest.raises(grpc.aio.AioRpcError, match="hangs"):
        await driver.call(
            "NodeUnstageVolume", volume_id=volume.id, staging_target_path=str(driver.directory / "staging")
        )

    await undo(driver, "hang")
    assert (await writer.error(), await second.error()) == ("", "")
    again = await driver.publish_again(volume)
    assert (again.path / "second").read_text() == "2"


@pytest.mark.parametrize("filesystem", FILESYSTEMS)
async def test_a_mounted_volume_hangs_at_once_also_across_a_crash_of_the_driver(
    driver: Driver, filesystem: str
) -> None:
    volume = await driver.published("one", filesystem)
    await inflict(driver, "hang")
    await faults.wait_until_bitten(driver, "hang", node=NODE)
    await driver.kill(f"csi-{NODE}")
    await driver.start(f"csi-{NODE}")
    writer = await Writer.start(volume.path / "record", "1")
    async with asyncio.timeout(60):
        while not writer.hangs():  # noqa: ASYNC110  the kernel tells nobody
            await asyncio.sleep(0.02)
    await undo(driver, "hang")
    assert await writer.error() == ""


@pytest.mark.parametrize("filesystem", FILESYSTEMS)
async def test_io_errors_last_until_the_next_mount_after_the_undo_and_lose_nothing(
    driver: Driver, filesystem: str
) -> None:
    volume = await driver.published("one", filesystem)
    assert await write(volume, "record", "kept") == ""
    await inflict(driver, "io-error")
    await faults.wait_until_bitten(driver, "io-error", node=NODE)
    assert "[Errno 5]" in await write(volume, "record2")
    volume = await driver.publish_again(volume)
    assert (volume.path / "record").exists()  # a pod can start: to look is no use
    assert "[Errno 5]" in await write(volume, "record3")

    await undo(driver, "io-error")
    volume = await driver.publish_again(volume)
    assert (volume.path / "record").read_text() == "kept"
    assert await write(volume) == ""


@pytest.mark.parametrize("filesystem", FILESYSTEMS)
async def test_a_volume_is_read_only_before_its_pod_sees_it(driver: Driver, filesystem: str) -> None:
    volume = await driver.published("one", filesystem)
    await driver.unpublish(volume.id)
    await inflict(driver, "read-only")
    volume = await driver.publish(volume.id, "one", filesystem)
    await faults.wait_until_bitten(driver, "read-only", node=NODE)
    assert "[Errno 30]" in await write(volume)
    await undo(driver, "read-only")
    assert await write(volume) == ""


async def test_a_volume_in_use_becomes_read_only_when_no_file_is_open_for_writing(driver: Driver) -> None:
    volume = await driver.published("one")
    with (volume.path / "open").open("w") as file:
        await inflict(driver, "read-only")
        file.write("still")
    await faults.wait_until_bitten(driver, "read-only", node=NODE)
    assert "[Errno 30]" in await write(volume)


@pytest.mark.parametrize("filesystem", FILESYSTEMS)
async def test_a_full_volume_is_full_until_the_undo_also_of_an_idle_one(
    driver: Driver, filesystem: str
) -> None:
    volume = await driver.published("one", filesystem)
    await inflict(driver, "full-volume")
    await faults.wait_until_bitten(driver, "full-volume", node=NODE)
    assert "[Errno 28]" in await write(volume, text="x" * 100_000)
    await driver.unpublish(volume.id)
    await undo(driver, "full-volume")
    volume = await driver.publish(volume.id, "one", filesystem)
    assert await write(volume, text="x" * 100_000) == ""


def direct_writes(file: Path, seconds: float = 1.0) -> int:
    """Return how many writes get to the device in so many seconds, at least one."""
    block, done = mmap.mmap(-1, 4096), 0
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
    try:
        until = time.monotonic() + seconds
        while not done or time.monotonic() < until:
            os.pwrite(descriptor, block, 0)
            done += 1
    finally:
        os.close(descriptor)
    return done


async def is_fast(volume: Published, few: int) -> None:
    """Return when many more writes get to the device than a slow one takes, however busy the machine is."""
    async with asyncio.timeout(60):
        while await asyncio.to_thread(direct_writes, volume.path / "file") <= 3 * few:
            pass


async def test_a_slow_volume_lets_few_writes_through_and_others_are_as_fast_as_before(driver: Driver) -> None:
    slow, other = await driver.published("slow"), await driver.published("other")
    await inflict(driver, "slow", claims="slow")
    await faults.wait_until_bitten(driver, "slow", node=NODE)
    few = await asyncio.to_thread(direct_writes, slow.path / "file")
    assert 0 < few <= 10
    await is_fast(other, few)
    slow = await driver.publish_again(slow)
    few = await asyncio.to_thread(direct_writes, slow.path / "file")
    assert 0 < few <= 10
    await undo(driver, "slow")
    await is_fast(slow, few)


async def test_a_fault_waits_for_its_moment_in_the_middle_of_a_run(driver: Driver) -> None:
    volume = await driver.published("one")
    await driver.unpublish(volume.id)
    after_seconds = 8  # a write through to a busy disk takes seconds
    await inflict(driver, "io-error", after_seconds=after_seconds)
    volume = await driver.publish(volume.id, "one")
    began = time.time()
    assert await write(volume) == ""
    await faults.wait_until_bitten(driver, "io-error", node=NODE, since_seconds=began + after_seconds)
    assert "[Errno 5]" in await write(volume)


@pytest.mark.parametrize("filesystem", FILESYSTEMS)
async def test_corruption_changes_the_files_and_leaves_the_filesystem_sound(
    driver: Driver, filesystem: str
) -> None:
    text = "record " * 1000
    volume = await driver.published("one", filesystem)
    assert await write(volume, "old", text) == ""
    await inflict(driver, "corrupted")
    assert (volume.path / "old").read_text() == text  # not while it is mounted
    volume = await driver.publish_again(volume)
    damaged = (volume.path / "old").read_bytes()
    assert len(damaged) == len(text)
    for start in range(0, len(text), 512):
        assert damaged[start : start + 512] != text.encode()[start : start + 512]
    assert await write(volume, "new", text) == ""

    await undo(driver, "corrupted")
    volume = await driver.publish_again(volume)
    assert (volume.path / "old").read_text() == text
    assert (volume.path / "new").read_text() == text
    await driver.unpublish(volume.id)
    check = {"ext4": ("e2fsck", "-fn"), "xfs": ("xfs_repair", "-n")}[filesystem]
    image = driver.pool / f"{volume.id}.img"
    subprocess.run([*check, image], check=True, capture_output=True)  # noqa: ASYNC221  nothing else runs


@pytest.mark.parametrize("filesystem", FILESYSTEMS)
async def test_an_emptied_volume_has_a_new_filesystem_until_the_undo(driver: Driver, filesystem: str) -> None:
    volume = await driver.published("one", filesystem)
    assert await write(volume) == ""
    await driver.unpublish(volume.id)
    await inflict(driver, "emptied")
    volume = await driver.publish(volume.id, "one", filesystem)
    assert not (volume.path / "record").exists()
    assert await write(volume, "other") == ""
    await undo(driver, "emptied")
    volume = await driver.publish_again(volume)
    assert [path.name for path in volume.path.iterdir() if path.name != "lost+found"] == ["record"]


@pytest.mark.parametrize("filesystem", FILESYSTEMS)
async def test_a_swapped_volume_holds_another_ones_files_while_that_one_is_mounted_too(
    driver: Driver, filesystem: str
) -> None:
    volume = await driver.published("one", filesystem)
    other = await driver.published("other", filesystem)
    assert (await write(volume, text="one"), await write(other, text="other")) == ("", "")
    await inflict(driver, "swapped", claims="one", other="ns/other")
    volume = await driver.publish_again(volume)
    assert (volume.path / "record").read_text() == "other"
    assert await write(other) == ""
    await undo(driver, "swapped")
    volume = await driver.publish_again(volume)
    assert (volume.path / "record").read_text() == "one"


@pytest.mark.parametrize("filesystem", FILESYSTEMS)
async def test_a_volume_that_a_fault_has_shut_down_can_be_copied(driver: Driver, filesystem: str) -> None:
    await driver.published("one", filesystem)
    await inflict(driver, "io-error")
    await faults.wait_until_bitten(driver, "io-error", node=NODE)
    assert list(await faults.snapshot(driver, node=NODE, claims="one")) == ["ns/one"]


async def test_a_stale_volume_is_as_it_was_at_the_snapshot(driver: Driver) -> None:
    volume = await driver.published("one")
    assert await write(volume, text="1") == ""
    with pytest.raises(TestbedError, match="no snapshot"):
        await inflict(driver, "stale")
    await faults.snapshot(driver, node=NODE, claims="one")  # while it is mounted
    assert await write(volume, text="2") == ""
    await driver.unpublish(volume.id)
    await inflict(driver, "stale")
    volume = await driver.publish(volume.id, "one")
    assert (volume.path / "record").read_text() == "1"
    await undo(driver, "stale")
    volume = await driver.publish_again(volume)
    assert (volume.path / "record").read_text() == "2"


async def test_a_full_pool_takes_no_new_volume(driver: Driver) -> None:
    await inflict(driver, "full-pool")
    assert (await refusal(driver, "one")).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await driver.call("GetCapacity")).available_capacity == 0
    await undo(driver, "full-pool")
    await driver.create("one")


async def test_a_slow_call_is_as_slow_for_a_client_that_repeats_it_as_for_one_that_waits(
    driver: Driver,
) -> None:
    await inflict(driver, "create-slow", delay_seconds=1.5, claims="slow")
    await driver.create("quick")
    began = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError, match="Deadline"):
        await driver.call(
            "CreateVolume",
            timeout_seconds=0.5,
            name="pvc-slow",
            volume_capabilities=[driver.capability("ext4")],
            parameters={"csi.storage.k8s.io/pvc/name": "slow", "csi.storage.k8s.io/pvc/namespace": "ns"},
        )
    await driver.create("slow")
    assert time.monotonic() - began > 1.4


async def test_the_undo_ends_the_delay_of_a_call_that_waits(driver: Driver) -> None:
    await inflict(driver, "create-slow", delay_seconds=600, claims="slow")
    creating = asyncio.create_task(driver.create("slow"))
    async with asyncio.timeout(60):
        while "suffering" not in (driver.directory / "driver.log").read_text():  # noqa: ASYNC110  a log
            await asyncio.sleep(0.02)
    await undo(driver, "create-slow")
    assert await creating


async def test_refused_calls_carry_the_given_status_and_message(driver: Driver) -> None:
    await inflict(driver, "create-refused", code="UNAVAILABLE", message="the array is on fire", claims="o*")
    refused = await refusal(driver, "one")
    assert (refused.code(), refused.details()) == (grpc.StatusCode.UNAVAILABLE, "the array is on fire")
    await driver.create("two")
    await undo(driver, "create-refused")
    volume = await driver.create("one")

    for name, method in (("stage-refused", "Stage"), ("publish-refused", "Publish")):
        await inflict(driver, name, message=f"{method} refused")
        with pytest.raises(grpc.aio.AioRpcError, match=f"{method} refused"):
            await driver.publish(volume, "one")
        await undo(driver, name)
    await driver.publish(volume, "one")


async def test_a_status_that_grpc_does_not_know_is_refused_when_the_fault_is_inflicted(
    driver: Driver,
) -> None:
    with pytest.raises(TestbedError, match="NO_SUCH"):
        await inflict(driver, "create-refused", code="NO_SUCH")


async def test_a_volume_that_is_not_mounted_is_a_directory_of_the_host_that_the_pod_may_write(
    driver: Driver,
) -> None:
    await inflict(driver, "mounts-nothing")
    volume = await driver.published("one")
    assert not os.path.ismount(volume.path)  # noqa: ASYNC240  a look at a local directory
    assert volume.path.stat().st_gid == GROUP
    assert await write(volume) == ""
    await undo(driver, "mounts-nothing")
    volume = await driver.publish_again(volume)
    assert not (volume.path / "record").exists()
    assert (await faults.volume(driver, node=NODE, claims="one")).mounts


async def test_a_crashed_node_plugin_leaves_mounted_volumes_at_work_and_comes_back(driver: Driver) -> None:
    volume = await driver.published("one")
    await inflict(driver, "node-plugin-gone")
    assert await write(volume) == ""
    with pytest.raises(grpc.aio.AioRpcError):
        await driver.create("two")
    await undo(driver, "node-plugin-gone")
    await driver.create("two")
    assert await write(volume, "second") == ""


async def test_an_unknown_fault_is_refused_with_the_names_of_those_that_there_are(driver: Driver) -> None:
    with pytest.raises(TestbedError, match=r"no fault 'hung'.*hang"):
        await inflict(driver, "hung")


@pytest.mark.parametrize("lies", [False, True])
async def test_a_volume_in_use_grows_unless_the_driver_lies(driver: Driver, lies: bool) -> None:
    volume = await driver.published("one", "xfs")
    before = os.statvfs(volume.path)
    if lies:
        await inflict(driver, "expands-nothing", claims="one")
    wanted = {"required_bytes": 500 << 20}
    said = await driver.call("ControllerExpandVolume", volume_id=volume.id, capacity_range=wanted)
    assert (said.capacity_bytes, said.node_expansion_required) == (500 << 20, not lies)
    # A path outside the driver's mount namespace: the driver finds the mount by the volume.
    await driver.call("NodeExpandVolume", volume_id=volume.id, volume_path=f"{driver.directory}/pods")
    now = os.statvfs(volume.path)
    more_bytes = now.f_blocks * now.f_frsize - before.f_blocks * before.f_frsize
    assert (more_bytes > 150 << 20) is not lies
    assert await write(volume) == ""


async def test_an_expansion_is_refused_by_a_fault_and_by_a_pool_that_is_too_small(driver: Driver) -> None:
    volume = await driver.create("one")
    await inflict(driver, "expand-refused", claims="one", code="INVALID_ARGUMENT", message="offline")
    for code, more in (("INVALID_ARGUMENT", 64 << 20), ("RESOURCE_EXHAUSTED", 1 << 40)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await driver.call(
                "ControllerExpandVolume", volume_id=volume, capacity_range={"required_bytes": more}
            )
        assert refused.value.code().name == code
        await undo(driver, "expand-refused")
