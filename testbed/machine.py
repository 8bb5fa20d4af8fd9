"""A machine for a node, with its own view of file systems, its own processes and boot ID.

It is a mount namespace and a cgroup. Everything on it can be ended as in a power failure: processes,
containers, mounts, loop devices and network namespaces end at once.
"""

import asyncio
import contextlib
import os
import shlex
import signal
import uuid
from collections.abc import Sequence
from pathlib import Path

from testbed import cgroups
from testbed.errors import TestbedError
from testbed.processes import Processes

POWER_OFF_TIMEOUT_SECONDS = 60
# The kubelet and the CNI plugin set these for the whole kernel; here they set a copy.
_SYSCTLS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
# /run is empty after a boot. A node has its own view of /var/lib and /var/log.
_SET_UP = f"""set -e
mount -t tmpfs -o mode=755 tmpfs /run
for name in lib log; do
    own=/run/machine/$name
    mkdir -p $own/upper $own/work
    mount -t overlay -o lowerdir=/var/$name,upperdir=$own/upper,workdir=$own/work overlay /var/$name
done
for name in {" ".join(_SYSCTLS)}; do
    own=/run/machine/sysctl/$name
    mkdir -p "${{own%/*}}"
    cat /proc/sys/$name > $own
    mount --bind $own /proc/sys/$name
done
mount --bind "$1" /proc/sys/kernel/random/boot_id
echo $$ > "$2"
exec sleep infinity
"""


class Machine:
    """It is empty until `boot()` and after `power_off()`; then it can be booted again."""

    def __init__(self, name: str, directory: Path, processes: Processes, *, cgroup: str) -> None:
        """`cgroup` is a path relative to the hierarchies' roots; the machine makes and removes it.

        The process `machine-<name>` holds the namespace. A namespace that is bound to a file would need no
        process, but Linux 6.18 sometimes refuses that, if the namespace was created on another processor.
        """
        self.name = name
        self.cgroup = cgroup
        self.boot_id = ""
        self.init = f"machine-{name}"
        self._directory = directory
        self._processes = processes
        self._boot_id_file = directory / "boot_id"
        self._init_file = directory / "init.pid"  # it exists while the machine is on

    async def boot(self, *, boot_id: str | None = None) -> None:
        """Make the namespace and the cgroup. Without `boot_id` the machine gets a new random one."""
        self.boot_id = boot_id or str(uuid.uuid4())
        self._boot_id_file.write_text(f"{self.boot_id}\n")
        cgroups.make(f"{self.cgroup}/system")
        arguments = ("sh", str(self._boot_id_file), str(self._init_file))
        argv = self._in_cgroup(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", _SET_UP, *arguments]
        )
        await self._processes.start(self.init, argv)
        while not self._is_set_up():
            self._processes.pid(self.init)  # raises, with the end of its log, when the set-up failed
            await asyncio.sleep(0.01)

    def _is_set_up(self) -> bool:
        # The file exists a moment before its line does.
        return self._init_file.exists() and self._init_file.read_text().endswith("\n")

    def argv(self, command: Sequence[str | Path]) -> list[str]:
        """Return the command line that runs `command` on this machine, also after a new boot.

        The process is the command itself, not a wrapper.
        """
        init = shlex.quote(str(self._init_file))
        enter = f'exec nsenter --mount="/proc/$(cat {init})/ns/mnt" -- "$@"'
        return self._in_cgroup(["sh", "-c", enter, "sh", *map(str, command)])

    async def power_off(self) -> None:
        """Kill everything on the machine and remove its mounts. It is no error if the machine is off."""
        if not self._init_file.exists():
            return
        await self._thaw()
        await self._kill()
        await self._processes.wait(self.init)
        await asyncio.to_thread(cgroups.remove, self.cgroup)
        self._init_file.unlink()

    def _in_cgroup(self, command: Sequence[str]) -> list[str]:
        files = (shlex.quote(str(file)) for file in cgroups.process_files(f"{self.cgroup}/system"))
        joins = "; ".join(f"echo 0 > {file}" for file in files)
        return ["sh", "-c", f'{joins}; exec "$@"', "sh", *command]

    async def _kill(self) -> None:
        try:
            async with asyncio.timeout(POWER_OFF_TIMEOUT_SECONDS):
                while processes := cgroups.processes(self.cgroup):
                    for process in processes:
                        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                            os.kill(process, signal.SIGKILL)
                    await asyncio.sleep(0.02)
        except TimeoutError:
            left = ", ".join(map(str, cgroups.processes(self.cgroup)))
            raise TestbedError(f"{self.name}: processes {left} do not end: their I/O hangs") from None

    async def _thaw(self) -> None:
        """Thaw frozen filesystems: otherwise no signal would end their writers."""
        mounts = await _run(
            *self.argv(["findmnt", "--raw", "--noheadings", "--output=TARGET", "-t", "ext4,xfs"])
        )
        for target in mounts.splitlines():
            if target != "/" and str(self._directory) in target:
                await _run(*self.argv(["fsfreeze", "--unfreeze", target]), check=False)  # EINVAL: not frozen


async def _run(*argv: str, check: bool = True) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, error = await process.communicate()
    if check and process.returncode != 0:
        raise TestbedError(f"{shlex.join(argv[:3])} …: {error.decode(errors='replace').strip()}")
    return output.decode()
