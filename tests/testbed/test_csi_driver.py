"""The testbed's CSI driver by itself: conformance, capacity, and what it remembers."""

import asyncio
import os
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from testbed import faults
from testbed.build import binary
from testbed.csi import filesystems
from testbed.csi.pool import RAW
from tests.conftest import demand_machine
from tests.testbed.csi_driver import GROUP, NODE, POOL_BYTES, Driver

pytestmark = pytest.mark.real
MIB = 1 << 20


@pytest.fixture(params=["local", "attached"])
async def any_driver(request: pytest.FixtureRequest) -> AsyncIterator[Driver]:
    demand_machine(nodes=True)
    with tempfile.TemporaryDirectory(prefix="pie-csi-") as directory:
        async with Driver(Path(directory), attach=request.param == "attached") as driver:
            yield driver


@pytest.fixture
async def driver() -> AsyncIterator[Driver]:
    demand_machine(nodes=True)
    with tempfile.TemporaryDirectory(prefix="pie-csi-") as directory:
        async with Driver(Path(directory)) as driver:
            yield driver


@pytest.mark.timeout(900)  # the first time on a machine, csi-sanity is built
@pytest.mark.parametrize("access", ["mount", "block"])
async def test_csi_sanity_passes(any_driver: Driver, access: str) -> None:
    sanity = await asyncio.create_subprocess_exec(
        await binary("csi-sanity"),
        f"--csi.endpoint=unix://{any_driver.socket}",
        f"--csi.mountdir={any_driver.directory}/mount",
        f"--csi.stagingdir={any_driver.directory}/stage",
        f"--csi.testvolumesize={400 * MIB}",
        f"--csi.testvolumeexpandsize={500 * MIB}",
        f"--csi.testvolumeaccesstype={access}",
        "--ginkgo.no-color",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(600):
        output, _ = await sanity.communicate()
    assert sanity.returncode == 0, output.decode()
    assert "0 Failed" in output.decode()


async def test_volumes_share_the_capacity_of_the_pool(driver: Driver) -> None:
    first = await driver.create("first", size_bytes=POOL_BYTES - 100 * MIB)
    assert (await driver.call("GetCapacity")).available_capacity == 100 * MIB
    with pytest.raises(grpc.aio.AioRpcError, match=f"{100 * MIB} of {POOL_BYTES} free") as refused:
        await driver.create("second", size_bytes=101 * MIB)
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    await driver.call("DeleteVolume", volume_id=first)
    await driver.create("second", size_bytes=101 * MIB)


async def test_an_application_gets_what_it_asked_for_and_not_much_more(driver: Driver) -> None:
    volume = await driver.published("one")
    stats = await driver.call("NodeGetVolumeStats", volume_id=volume.id, volume_path=_inside(volume.path))
    total = next(usage.total for usage in stats.usage if usage.unit == 1)
    assert 20 * MIB < total <= 32 * MIB


async def test_an_xfs_volume_is_at_least_as_large_as_mkfs_wants(driver: Driver) -> None:
    volume_id = await driver.create("one", "xfs", size_bytes=100 * MIB)
    listed = (await driver.call("ListVolumes")).entries
    assert {entry.volume.volume_id: entry.volume.capacity_bytes for entry in listed} == {volume_id: 300 * MIB}


async def test_a_volume_belongs_to_the_pods_group(driver: Driver) -> None:
    root = (await driver.published("one")).path.stat()
    assert root.st_gid == GROUP
    assert stat.S_IMODE(root.st_mode) & 0o2770 == 0o2770


async def test_a_volume_is_reachable_from_its_node_alone(driver: Driver) -> None:
    elsewhere = {"requisite": [{"segments": {"topology.pie.test/node": "node-2"}}]}
    with pytest.raises(grpc.aio.AioRpcError, match=NODE) as refused:
        await driver.call(
            "CreateVolume",
            name="one",
            volume_capabilities=[driver.capability("ext4")],
            accessibility_requirements=elsewhere,
        )
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_raw_volume_is_a_device_that_keeps_what_is_written_until_it_is_deleted(
    driver: Driver,
) -> None:
    volume = await driver.published("one", RAW)
    assert volume.path.is_block_device()
    _write(volume.path, b"1")
    volume = await driver.publish_again(volume)
    assert volume.path.read_bytes().rstrip(b"\0") == b"1"
    stats = await driver.call("NodeGetVolumeStats", volume_id=volume.id, volume_path=_inside(volume.path))
    assert [usage.total for usage in stats.usage] == [32 * MIB]
    with pytest.raises(grpc.aio.AioRpcError, match="still mounted"):
        await driver.call("DeleteVolume", volume_id=volume.id)
    await driver.unpublish(volume.id)
    assert not volume.path.exists()
    assert str(driver.pool) not in str(filesystems.loop_devices())
    await driver.call("DeleteVolume", volume_id=volume.id)


@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
async def test_a_clone_has_what_its_source_had_and_then_each_is_written_by_itself(
    driver: Driver, filesystem: str
) -> None:
    size_bytes = 300 * MIB
    source_id = await driver.create("one", filesystem, size_bytes)
    source = await driver.publish(source_id, "one", filesystem)
    (source.path / "before").write_bytes(b"1")
    clone_id = await driver.create("two", filesystem, size_bytes, source=source_id)
    clone = await driver.publish(clone_id, "two", filesystem)
    (source.path / "of source").write_bytes(b"2")
    (clone.path / "of clone").write_bytes(b"3")
    assert (clone.path / "before").read_bytes() == b"1"
    assert not (clone.path / "of source").exists()
    assert not (source.path / "of clone").exists()


async def test_clones_can_be_empty_or_refused(driver: Driver) -> None:
    source = await driver.published("one")
    (source.path / "before").write_bytes(b"1")
    await faults.inflict(driver, "clones-other", node=NODE)
    clone = await driver.publish(await driver.create("two", source=source.id), "two")
    assert not (clone.path / "before").exists()
    await faults.undo(driver, "clones-other", node=NODE)
    await faults.inflict(driver, "clones-refused", node=NODE)
    with pytest.raises(grpc.aio.AioRpcError, match="not cloned") as refused:
        await driver.create("three", source=source.id)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    await driver.create("four")


async def test_a_raw_volume_is_not_mounted_and_a_filesystem_is_no_device(driver: Driver) -> None:
    for made, wanted in ((RAW, "ext4"), ("ext4", RAW)):
        volume_id = await driver.create(f"{made}-1", made)
        with pytest.raises(grpc.aio.AioRpcError, match="created for another kind of access"):
            await driver.publish(volume_id, f"{made}-1", wanted)


async def test_a_raw_volume_can_be_read_only(driver: Driver) -> None:
    await faults.inflict(driver, "read-only", node=NODE, options=faults.Options(claims="one"))
    volume = await driver.published("one", RAW)
    with pytest.raises(PermissionError):
        _write(volume.path, b"1")
    await faults.undo(driver, "read-only", node=NODE)
    _write((await driver.publish_again(volume)).path, b"1")


def _write(device: Path, content: bytes) -> None:
    descriptor = os.open(device, os.O_RDWR)
    try:
        os.pwrite(descriptor, content, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def test_strange_filesystems_and_parameters_are_refused_in_words(driver: Driver) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="'btrfs' is not one of ext4, xfs"):
        await driver.create("one", "btrfs")
    with pytest.raises(grpc.aio.AioRpcError, match="unknown parameters in the StorageClass: tier"):
        await driver.call(
            "CreateVolume",
            name="c",
            volume_capabilities=[driver.capability("ext4")],
            parameters={"tier": "fast"},
        )


async def test_a_driver_that_crashed_finds_its_volumes_again_and_leaves_mounts_alone(driver: Driver) -> None:
    volume = await driver.published("one")
    (volume.path / "record").write_text("1")
    await driver.kill(f"csi-{NODE}")
    assert (volume.path / "record").read_text() == "1"
    await driver.start(f"csi-{NODE}")
    assert [entry.volume.volume_id for entry in (await driver.call("ListVolumes")).entries] == [volume.id]
    with pytest.raises(grpc.aio.AioRpcError, match="still mounted"):
        await driver.call("DeleteVolume", volume_id=volume.id)
    assert ((await driver.publish_again(volume)).path / "record").read_text() == "1"
    await driver.unpublish(volume.id)
    await driver.call("DeleteVolume", volume_id=volume.id)
    assert list(driver.pool.glob("vol-*")) == []


async def test_a_driver_told_to_end_does_so_and_leaves_no_socket(driver: Driver) -> None:
    volume = await driver.published("one")
    assert await driver.terminate() == 0
    assert list(driver.directory.rglob("*.sock")) == []
    assert volume.path.is_mount()
    await driver.start(f"csi-{NODE}")


def _inside(seen: Path) -> str:
    """Turn a path as it is seen from outside into that of the driver's namespace."""
    return "/" + "/".join(seen.parts[4:])
