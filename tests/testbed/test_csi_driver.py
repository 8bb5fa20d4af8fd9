"""The testbed's CSI driver by itself: conformance, capacity, and what it remembers."""

import asyncio
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from testbed.build import binary
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
async def test_csi_sanity_passes(any_driver: Driver) -> None:
    sanity = await asyncio.create_subprocess_exec(
        await binary("csi-sanity"),
        f"--csi.endpoint=unix://{any_driver.socket}",
        f"--csi.mountdir={any_driver.directory}/mount",
        f"--csi.stagingdir={any_driver.directory}/stage",
        f"--csi.testvolumesize={400 * MIB}",
        "--ginkgo.no-color",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
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


async def test_block_volumes_and_strange_parameters_are_refused_in_words(driver: Driver) -> None:
    mode = driver.capability("ext4")["access_mode"]
    with pytest.raises(grpc.aio.AioRpcError, match="raw block volumes are not served"):
        await driver.call("CreateVolume", name="b", volume_capabilities=[{"block": {}, "access_mode": mode}])
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
