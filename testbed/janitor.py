"""The process outside a testbed's namespaces: it creates them, and removes everything when they end.

`python -m testbed.janitor DIRECTORY [--detached]`. It ends the testbed when its standard input ends (the
caller ended; not with `--detached`), on SIGTERM, or when the supervisor ends by itself.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from testbed import cgroups
from testbed.spec import LOCK_FILE, LOG_DIRECTORY

# How long kubelets, containers and mounts may need to end in the right order.
GRACE_SECONDS = 60
LOG_TAIL_CHARACTERS = 3000
KEEP_LOGS_VARIABLE = "PIE_TESTBED_KEEP_LOGS"
ROOT = Path(__file__).resolve().parent.parent
# Process 1 of the PID namespace must wait for processes whose parents ended; `wait` in a shell does that.
# A background process of a shell gets /dev/null as its input, so the input is passed on as descriptor 3.
INIT = 'exec 3<&0; "$@" <&3 3<&- & exec 3<&-; wait $!'


async def run(directory: Path, *, detached: bool) -> None:
    """Run the testbed in `directory` until it should end; then clean up and remove the directory."""
    _lock(directory)
    child = await _start_namespaces(directory)
    ended = asyncio.create_task(child.wait())
    unwanted = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, unwanted.set)
    watchers: list[asyncio.Task[Any]] = [asyncio.create_task(unwanted.wait())]
    if not detached:
        watchers.append(asyncio.create_task(_end_of_input()))
    await asyncio.wait([ended, *watchers], return_when=asyncio.FIRST_COMPLETED)
    if ended.done() and child.returncode:
        print(_supervisor_log(directory), file=sys.stderr)
    if child.stdin is not None:
        child.stdin.close()  # the supervisor ends then
    try:
        await asyncio.wait_for(asyncio.shield(ended), GRACE_SECONDS)
    except TimeoutError:
        child.kill()  # and with it, because of --kill-child, process 1 inside and so all others
    for watcher in watchers:
        watcher.cancel()
    await asyncio.to_thread(clean, directory)
    await ended


def clean(directory: Path) -> None:
    """Remove what still exists after the end of the namespaces. It can be called twice."""
    for device in _loop_devices(directory):
        for release in (_thaw, _detach):
            if device in _loop_devices(directory):  # it can be another testbed's by now
                release(device)
    try:
        cgroups.remove(directory.name)
    finally:
        if (keep := os.environ.get(KEEP_LOGS_VARIABLE)) and (directory / LOG_DIRECTORY).exists():
            shutil.copytree(directory / LOG_DIRECTORY, Path(keep) / directory.name, dirs_exist_ok=True)
        shutil.rmtree(directory, ignore_errors=True)


def _lock(directory: Path) -> None:
    """Hold the lock until this process ends; the lock file has the id of the process that takes SIGTERM.

    The file gets its name only when the lock is held: a directory with a free lock is removed.
    """
    unnamed = directory / f"{LOCK_FILE}.new"
    lock = os.open(unnamed, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.write(lock, str(os.getpid()).encode())
    unnamed.rename(directory / LOCK_FILE)


async def _start_namespaces(directory: Path) -> asyncio.subprocess.Process:
    supervisor = [sys.executable, "-m", "testbed.supervisor", str(directory)]
    logs = directory / LOG_DIRECTORY
    logs.mkdir(exist_ok=True)
    with (logs / "supervisor.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *("unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", INIT, "sh", *supervisor),
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )


def _supervisor_log(directory: Path) -> str:
    """Return the end of the supervisor's output: it says why the supervisor ended."""
    text = (directory / LOG_DIRECTORY / "supervisor.log").read_text(errors="replace")
    return f"the testbed's supervisor ended by itself; its log ends:\n{text[-LOG_TAIL_CHARACTERS:]}"


async def _end_of_input() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.read()


def _loop_devices(directory: Path) -> list[str]:
    """Find loop devices whose file lies in the testbed's directory."""
    listed = subprocess.run(
        ["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    devices = json.loads(listed)["loopdevices"] if listed.strip() else []
    # One that another testbed detaches at this moment is listed without its file.
    return [device["name"] for device in devices if (device["back-file"] or "").startswith(f"{directory}/")]


def _detach(device: str) -> None:
    subprocess.run(["losetup", "--detach", device], capture_output=True, check=False)


def _thaw(device: str) -> None:
    """Thaw the filesystem on a loop device.

    A frozen one stays after its last unmount, and so do its writers: no signal ends them.
    """
    mount_point = Path("/tmp") / f"pie-tb-thaw-{Path(device).name}"
    mount_point.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", device, mount_point], capture_output=True, check=False)
    if mounted.returncode == 0:
        subprocess.run(["fsfreeze", "-u", mount_point], capture_output=True, check=False)
        subprocess.run(["umount", mount_point], capture_output=True, check=False)
    with contextlib.suppress(OSError):  # still mounted: an empty directory is better than a lost one
        mount_point.rmdir()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), detached="--detached" in sys.argv[2:]))
