"""The volume under test: check that it is a volume, lock it, and create pie's directory in it."""

import errno
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from pie.core.result import Note, Outcome
from pie.probe import lock
from pie.probe.failure import Failure, doing

OWN_DIRECTORY = ".pie"
GO_PIE_FILE = ".iotest"
"""Go pie's 50 MB file in the root of a mount probe's volume; pie deletes it."""

O_DIRECT: int = getattr(os, "O_DIRECT", 0)
"""The flag of open(2) that goes around the page cache; 0 where the system has none, as macOS."""

REFUSED_DIRECT = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})
"""How a filesystem, or the kernel for it, refuses I/O around the page cache: when the file is opened
(open(2)), or only at the first read or write (read(2))."""

NOT_THERE = frozenset(
    {errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.EACCES, errno.EISDIR, errno.EBADF}
)
"""How filesystems refuse what they do not have, such as the fsync of a directory or a rename: no fault, as
applications read and write without it. A volume that is really broken refuses reads and writes, too."""

FAR_SMALLER: Final = 0.4
"""Of what was asked for: journals, inodes, logs, encryption and copies take less than the other part."""

T = TypeVar("T")

_FILE_MODE = 0o660
_DIRECTORY_MODE = 0o770

_KUBELET_DIRECTORY = re.compile(
    r"/volumes/kubernetes\.io~csi/[^/]+/mount|/plugins/kubernetes\.io/csi/.+/globalmount"
)
"""Where kubelet has CSI drivers mount (k8s.io/kubernetes/pkg/volume/csi: GetPath, makeDeviceMountPath).

A mount whose root, on its own filesystem, is such a directory is no volume: the driver answered OK and
mounted nothing, and kubelet bound the empty directory of the node's disk into the pod.
"""


class Volume:
    """A mounted volume, locked for this run where it has locks. Leaving its context releases the lock."""

    def __init__(self, root: Path) -> None:
        """Do no I/O yet; use `Volume.open` instead."""
        self.root = root
        self.own = root / OWN_DIRECTORY
        self.lock = -1
        """The open lock file."""
        self.can_direct = False
        """Whether the filesystem has O_DIRECT, as far as it is known by now."""
        self.notes: list[Note] = []
        """What this volume lacks, and the run did without."""

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        check_mount: bool = True,
        lock_seconds: float = lock.PATIENCE_SECONDS,
        lock_name: str = "lock",
    ) -> Self:
        """Check that `root` is a volume, lock it, and clear what Go pie and killed runs left behind.

        `lock_name`: pods that use a volume together have locks of their own.
        """
        if check_mount:
            why = why_no_volume(os.fsdecode(Path("/proc/self/mountinfo").read_bytes()), root)
            if why:
                raise Failure(Outcome.VOLUME_MISSING, why)
        volume = cls(root)
        path = volume.own / lock_name
        volume.make_directory(volume.own)
        with doing(f"opening {path}"):
            new = not path.exists()
            volume.lock = create(path, os.O_RDWR)
        try:
            volume._prepare(path, lock_seconds, new=new)
        except BaseException:
            os.close(volume.lock)  # Whoever tries again and again must not run out of descriptors.
            raise
        return volume

    def _prepare(self, path: Path, lock_seconds: float, *, new: bool) -> None:
        """Lock the volume, find out what it can, and clear what was left behind."""
        if new:
            with doing(f"opening {path}"):
                self.sync_directory(self.own)
        self.note(lock.take(self.lock, path, lock_seconds))
        self.can_direct = can_direct(path)
        with doing(f"removing Go pie's file {self.root / GO_PIE_FILE}"):
            _remove_file(self.root / GO_PIE_FILE)

    def note(self, lacking: Note | None) -> None:
        """Note once that the volume lacks something."""
        if lacking is not None and lacking not in self.notes:
            self.notes.append(lacking)

    def past_cache(self, work: Callable[[int], T]) -> T:
        """Do some I/O with the flag O_DIRECT; if that is refused, do it again, and all that follows, without.

        Raises OSError, also for any other error that the I/O meets with O_DIRECT.
        """
        if self.can_direct:
            try:
                return work(O_DIRECT)
            except OSError as error:
                if error.errno not in REFUSED_DIRECT:
                    raise
                self.can_direct = False
        return work(0)

    def make_directory(self, path: Path) -> None:
        """Make a directory, if it is not there, so that it is still there after a crash."""
        with doing(f"making the directory {path}"):
            try:
                path.mkdir(mode=_DIRECTORY_MODE)
            except FileExistsError:
                return
            self.sync_directory(path.parent)

    def sync_directory(self, path: Path) -> None:
        """Make new and renamed entries of a directory durable, where the filesystem can. Raises OSError."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise
            self.note(Note.NO_DIRECTORY_SYNC)

    def rename(self, old: Path, new: Path) -> bool:
        """Rename a file durably; False: the filesystem cannot. Raises OSError."""
        try:
            old.rename(new)
        except OSError as error:
            if error.errno not in NOT_THERE | {errno.EXDEV}:
                raise
            self.note(Note.NO_RENAME)
            return False
        self.sync_directory(new.parent)
        return True

    def __enter__(self) -> Self:
        """Hold the lock."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release the lock."""
        os.close(self.lock)


def why_no_volume(mountinfo: str, path: Path) -> str | None:
    """Say why nothing is mounted at `path`, judging by /proc/self/mountinfo (proc(5)); None: a volume is."""
    root = None
    for line in filter(None, mountinfo.split("\n")):
        fields = line.split(" ")
        if _unescaped(fields[4]) == os.path.realpath(path):
            root = _unescaped(fields[3])  # the last one lies on top
    if root is None:
        return f"{path} is no mount: no volume is mounted there"
    if _KUBELET_DIRECTORY.search(root):
        return f"{path} is the node's own directory {root}: the CSI driver mounted nothing there"
    return None


def why_too_small(root: Path, wanted_bytes: int) -> str | None:
    """Say why a volume is far smaller than what was asked for; None: it is not, or does not say its size."""
    try:
        found = os.statvfs(root)
    except OSError:
        return None  # Reads and writes will show what is wrong.
    size_bytes = found.f_blocks * (found.f_frsize or found.f_bsize)
    if not size_bytes or size_bytes >= FAR_SMALLER * wanted_bytes:
        return None
    return f"the filesystem at {root} has {size_bytes} bytes, but {wanted_bytes} were asked for"


def create(path: Path, flags: int) -> int:
    """Open a file that may be new with `flags`; return its descriptor. Raises OSError."""
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)


def can_direct(path: Path) -> bool:
    """Tell whether the file at `path` can be read and written around the page cache."""
    with doing(f"opening {path} with O_DIRECT"):
        try:
            os.close(os.open(path, os.O_RDONLY | O_DIRECT | os.O_CLOEXEC))
        except OSError as error:
            if error.errno in REFUSED_DIRECT:
                return False
            raise
    return O_DIRECT != 0


def drop_cached(descriptor: int) -> None:
    """Have the next read come from the disk, where the system lets one ask for that; macOS does not."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):  # It is a wish: what reads and writes well may refuse it.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _remove_file(path: Path) -> None:
    try:
        if stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
    except FileNotFoundError:
        return


def _unescaped(field: str) -> str:
    """Undo the octal escapes of mountinfo (proc(5): space, tab, newline, backslash)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
