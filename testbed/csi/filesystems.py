"""Filesystems in files: create, mount, freeze, shut down. Needs root, and util-linux, e2fsprogs, xfsprogs.

Calls that can hang on a broken filesystem run in their own process or thread, never in the event loop.
"""

import asyncio
import ctypes
import errno
import fcntl
import os
import re
import struct
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from testbed.csi.pool import Filesystem
from testbed.errors import TestbedError

# ioctl numbers of linux/fs.h and xfs_fs.h; for ext4 the shutdown has the same number as for xfs.
FIFREEZE = 0xC0045877
FITHAW = 0xC0045878
FS_IOC_SHUTDOWN = 0x8004587D
# Without a freeze before, which would wait for files that are being opened; written data is on disk then.
SHUTDOWN_FLUSH_LOG = 1
SMALLEST_BLOCK_BYTES = 1024
DISK_GROUP = 6
T = TypeVar("T")


class CommandError(TestbedError):
    """A command of the system failed; the text has its output."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount. `device` is `major:minor`; `readonly` is the flag of the filesystem."""

    device: str
    target: Path
    readonly: bool


async def run(*argv: str | Path) -> str:
    """Run a command to its end and return what it printed; when cancelled, kill it."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode:
        raise CommandError(f"{' '.join(map(str, argv))}: {err.decode(errors='replace').strip()}")
    return out.decode()


async def has_filesystem(image: Path) -> bool:
    """Tell whether blkid finds a filesystem in the file, as the kubelet's mounter does before it formats."""
    process = await asyncio.create_subprocess_exec(
        "blkid", "--probe", image, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


async def make(image: Path, kind: Filesystem) -> None:
    """Create an empty filesystem; ext4 reserves no blocks for root."""
    options = ("-q", "-m", "0", "-E", "nodiscard") if kind == "ext4" else ("-q", "-K")
    await run(f"mkfs.{kind}", *options, image)


async def mount(image: Path, target: Path, kind: Filesystem, options: Sequence[str] = ()) -> None:
    """Mount a file by a loop device, which is removed with its last mount.

    `nouuid`: a copy of a volume has the UUID of that volume, and xfs would refuse to mount both.
    """
    flags = ("loop", *(("nouuid",) if kind == "xfs" else ()), *options)
    await run("mount", "-t", kind, "-o", ",".join(flags), image, target)


async def bind(source: Path, target: Path, *, readonly: bool) -> None:
    """Mount a mounted directory in a second place."""
    await run("mount", "--bind", source, target)
    if readonly:
        await run("mount", "-o", "remount,bind,ro", target)


async def unmount(target: Path) -> None:
    """Unmount everything that is mounted on `target`."""
    while mount_at(target):
        await run("umount", target)


async def grow(image: Path, kind: Filesystem) -> None:
    """Have the loop device on a file, and the filesystem on it, take the size of the file."""
    device = await attach(image)
    await run("losetup", "--set-capacity", device)
    if kind == "xfs":
        await run("xfs_growfs", mounts_of(image)[0])
    elif kind == "ext4":  # needs the capability SYS_RESOURCE
        await run("resize2fs", device)


@asynccontextmanager
async def mounted(image: Path, kind: Filesystem, options: Sequence[str] = ()) -> AsyncIterator[Path]:
    """Mount an unused file in this context."""
    with tempfile.TemporaryDirectory(prefix="pie-volume-") as directory:
        target = Path(directory)
        await mount(image, target, kind, options)
        try:
            yield target
        finally:
            await unmount(target)


def mounts() -> list[Mount]:
    """Return what is mounted in the mount namespace of this process, in the order of mounting."""
    return parse_mountinfo(os.fsdecode(Path("/proc/self/mountinfo").read_bytes()))


def mount_at(target: Path) -> Mount | None:
    """Return the topmost mount on exactly this path."""
    path = Path(os.path.realpath(target))
    return next((mount for mount in reversed(mounts()) if mount.target == path), None)


def mounts_of(image: Path) -> list[Path]:
    """Return where a file is mounted by a loop device, in the order of mounting."""
    device = loop_device(image)
    return [mount.target for mount in mounts() if mount.device == device] if device else []


def is_mounted_on(image: Path, target: Path) -> bool:
    """Tell whether a file is mounted, by a loop device, on exactly this path."""
    return Path(os.path.realpath(target)) in mounts_of(image)


def make_directory(path: str) -> Path:
    """Create a directory to mount on, unless it exists."""
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def make_file(path: Path) -> Path:
    """Create a file to bind a device to, unless it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def is_device_of(image: Path, path: Path) -> bool:
    """Tell whether the loop device on a file is at exactly this path."""
    number = path.stat().st_rdev if path.is_block_device() else 0
    return f"{os.major(number)}:{os.minor(number)}" == loop_device(image)


def loop_device(image: Path) -> str | None:
    """Return the number (`major:minor`) of the loop device on a file; None without one."""
    return next(
        (device for device, file in loop_devices().items() if file == Path(os.path.realpath(image))), None
    )


async def attach(image: Path, *, readonly: bool = False) -> Path:
    """Return the loop device on a file; make one if there is none."""
    if number := loop_device(image):
        return _device_file(number)
    flags = ("--read-only",) if readonly else ()
    device = Path((await run("losetup", "--find", "--show", *flags, image)).strip())
    _give_to_disk_group(device)
    return device


def _device_file(number: str) -> Path:
    return Path("/dev") / Path(f"/sys/dev/block/{number}").resolve().name


def _give_to_disk_group(device: Path) -> None:
    """Do what udev does on a machine that has it; a container runtime gives a pod's device the same owner."""
    os.chown(device, 0, DISK_GROUP)
    device.chmod(0o660)


async def detach(image: Path) -> None:
    """Remove the loop device on a file, if there is one."""
    if loop_device(image):
        await run("losetup", "--detach", await attach(image))


def loop_devices() -> dict[str, Path]:
    """Return the backing file of each loop device in use, by the device's number."""
    found = {}
    for attribute in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            backing_file = attribute.read_text().rstrip("\n")
            found[(attribute.parents[1] / "dev").read_text().strip()] = Path(backing_file)
        except OSError:  # released between the glob and the read
            continue
    return found


def parse_mountinfo(text: str) -> list[Mount]:
    """Parse /proc/self/mountinfo, see proc_pid_mountinfo(5); paths have blanks and backslashes in octal."""
    found = []
    for line in text.rstrip("\n").split("\n"):  # splitlines would split a path with some characters
        fields = line.split(" ")
        after = fields[fields.index("-") + 1 :]
        target = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        found.append(Mount(fields[2], Path(target), readonly="ro" in after[2].split(",")))
    return found


async def freeze(target: Path) -> bool:
    """Freeze the filesystem: writers sleep until the thaw. False: it was frozen already."""
    return await _in_thread(_ioctl_unless, target, FIFREEZE, errno.EBUSY)


async def thaw(target: Path) -> bool:
    """Thaw the filesystem. False: it was not frozen."""
    return await _in_thread(_ioctl_unless, target, FITHAW, errno.EINVAL)


async def is_frozen(target: Path) -> bool:
    """Tell whether the filesystem is frozen: then the kernel refuses to freeze it again."""
    if not await freeze(target):
        return True
    await thaw(target)
    return False


async def shut_down(target: Path) -> None:
    """Make every access an I/O error until the next mount; data written before is kept."""
    await _in_thread(_sync, target)
    await _in_thread(_ioctl, target, FS_IOC_SHUTDOWN, struct.pack("I", SHUTDOWN_FLUSH_LOG))


async def remount(target: Path, *, readonly: bool) -> None:
    """Make the filesystem read-only or writable, wherever it is mounted."""
    await run("mount", "-o", f"remount,{'ro' if readonly else 'rw'}", target)


async def fill(target: Path, name: str) -> None:
    """Fill a mounted filesystem with one file."""
    await _in_thread(_fill, target / name)


async def copy(source: Path, target: Path) -> None:
    """Copy a sparse file; the target appears complete or not at all."""
    scratch = target.with_name(f".{target.name}")
    await run("cp", "--sparse=always", "--reflink=auto", source, scratch)
    scratch.rename(target)


async def _in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Run in a thread to its end, also when cancelled: otherwise it could freeze what was just thawed."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _ioctl(target: Path, request: int, argument: bytes | int = 0) -> None:
    directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(directory, request, argument)
    finally:
        os.close(directory)


def _ioctl_unless(target: Path, request: int, refusal: int) -> bool:
    try:
        _ioctl(target, request)
    except OSError as error:
        if error.errno != refusal:
            raise
        return False
    return True


def _sync(target: Path) -> None:
    directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(directory) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(target))
    finally:
        os.close(directory)


def _fill(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        step_bytes, size_bytes = 1 << 30, 0
        while step_bytes >= SMALLEST_BLOCK_BYTES:
            try:
                os.posix_fallocate(descriptor, size_bytes, step_bytes)
                size_bytes += step_bytes
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                step_bytes //= 2
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
