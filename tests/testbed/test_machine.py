"""A machine has views, processes and mounts of its own, and loses all of them with its power."""

import asyncio
import os
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testbed import cgroups
from testbed.machine import Machine
from testbed.processes import ProcessError, Processes
from tests.conftest import demand_machine

pytestmark = pytest.mark.real


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    """Run the machine's processes under these names."""
    demand_machine(nodes=True)
    return Processes(tmp_path / "logs")


@pytest.fixture
async def machine(tmp_path: Path, processes: Processes) -> AsyncIterator[Machine]:
    """Boot a machine; whatever the test left on it goes with its power."""
    machine = Machine("m", tmp_path, processes, cgroup=f"pie-test-{uuid.uuid4().hex[:8]}/m")
    await machine.boot()
    yield machine
    await machine.power_off()
    assert not any((root / machine.cgroup).parent.exists() for root in cgroups.hierarchies())


async def test_every_boot_has_an_id_of_its_own_or_the_one_asked_for(
    machine: Machine, processes: Processes
) -> None:
    seen = [await run(machine, processes, "cat /proc/sys/kernel/random/boot_id")]
    assert seen == [machine.boot_id]
    for wanted in (None, "11111111-2222-3333-4444-555555555555"):
        await machine.power_off()
        await machine.boot(boot_id=wanted)
        seen.append(await run(machine, processes, "cat /proc/sys/kernel/random/boot_id"))
    assert len({*seen, text("/proc/sys/kernel/random/boot_id")}) == 4
    assert seen[-1] == "11111111-2222-3333-4444-555555555555"


async def test_what_a_node_changes_on_its_machine_stays_there(machine: Machine, processes: Processes) -> None:
    before = text("/proc/sys/kernel/panic")
    mark = f"pie-test-{uuid.uuid4().hex}"
    script = f"echo 77 > /proc/sys/kernel/panic; touch /run/{mark} /var/lib/{mark} /var/log/{mark}"
    await run(machine, processes, script)
    assert await run(machine, processes, f"cat /proc/sys/kernel/panic; ls /var/lib/{mark}") == (
        f"77\n/var/lib/{mark}"
    )
    assert text("/proc/sys/kernel/panic") == before
    assert not exists(f"/run/{mark}", f"/var/lib/{mark}", f"/var/log/{mark}")


async def test_two_machines_see_nothing_of_each_others_mounts(
    machine: Machine, processes: Processes, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Machine("other", tmp_path / "other", processes, cgroup=f"{machine.cgroup}-other")
    await other.boot()
    try:
        await run(machine, processes, f"mkdir {tmp_path}/here; mount -t tmpfs tmpfs {tmp_path}/here")
        listed = await run(other, processes, "cat /proc/self/mounts")
        assert "/here" not in listed + text("/proc/self/mounts")
    finally:
        await other.power_off()


async def test_the_power_goes_also_while_a_process_hangs_on_a_frozen_filesystem(
    machine: Machine, processes: Processes, tmp_path: Path
) -> None:
    image, target = tmp_path / "image", tmp_path / "target"
    await run(
        machine,
        processes,
        f"truncate -s 32M {image}; mkfs.ext4 -q {image}; mkdir {target}; mount -o loop {image} {target};"
        f"fsfreeze --freeze {target}",
    )
    await processes.start("writer", machine.argv(["sh", "-c", f"echo more > {target}/file"]))
    async with asyncio.timeout(60):
        while waits_for(processes.pid("writer")) != "percpu_rwsem_wait":  # noqa: ASYNC110  a process's state
            await asyncio.sleep(0.01)
    os.kill(processes.pid("writer"), signal.SIGKILL)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(processes.wait("writer"), 0.5)

    await machine.power_off()

    with pytest.raises(ProcessError):
        processes.pid("writer")
    async with asyncio.timeout(60):
        while str(image) in loop_devices():  # noqa: ASYNC110  the kernel's doing
            await asyncio.sleep(0.05)


async def run(machine: Machine, processes: Processes, script: str) -> str:
    """Run a shell script on the machine and return what it prints."""
    name = f"script-{uuid.uuid4().hex[:8]}"
    await processes.start(name, machine.argv(["sh", "-ec", script]))
    code = await processes.wait(name)
    printed = processes.log_tail(name)
    assert code == 0, printed
    return printed.strip()


def waits_for(process: int) -> str:
    """Return the kernel function that a process sleeps in."""
    return Path(f"/proc/{process}/wchan").read_text()


def loop_devices() -> str:
    """Return what losetup lists."""
    return subprocess.run(["losetup", "--list"], capture_output=True, check=True, text=True).stdout


def text(path: str) -> str:
    """Read a file as this machine, not the pretended one, has it."""
    return Path(path).read_text().strip()


def exists(*paths: str) -> bool:
    """Say whether this machine has any of the files."""
    return any(Path(path).exists() for path in paths)
