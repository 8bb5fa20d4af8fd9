"""A pool: a directory with a backing file and a JSON file for each volume.

Everything is read from disk each time. So a driver knows the same after a restart, and the controller and the
nodes of the attachable variant can share one pool. A volume uses its declared capacity, although its file is
sparse.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

MIB = 1024 * 1024
DEFAULT_CAPACITY_BYTES = 100 * MIB

RAW: Final = "raw"
"""In the place of a filesystem: the volume is a raw block device."""
Filesystem = Literal["ext4", "xfs", "raw"]
SMALLEST_BYTES: dict[Filesystem, int] = {
    "ext4": 16 * MIB,
    "xfs": 300 * MIB,
    RAW: MIB,
}  # mkfs.xfs refuses less than 300 MB


class PoolFullError(Exception):
    """The pool has less free than a new volume needs."""


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON file of a volume."""

    id: str
    name: str  # the name that CreateVolume was called with; the id is made from it
    capacity_bytes: int
    filesystem: Filesystem
    claim: str = "/"  # "<namespace>/<name>" of the PersistentVolumeClaim, if the provisioner sent it
    attached_to: str = ""  # node; only in the attachable variant
    attached_readonly: bool = False
    source: str = ""  # the id of the volume that this one was cloned from


def filesystem(name: str) -> Filesystem:
    """Return the filesystem of this name (empty: ext4); ValueError: the driver cannot create it."""
    name = name or "ext4"
    if name not in SMALLEST_BYTES or name == RAW:
        served = ", ".join(sorted(SMALLEST_BYTES.keys() - {RAW}))
        raise ValueError(f"filesystem {name!r} is not one of {served}")
    return name


def capacity_for(required_bytes: int, filesystem: Filesystem) -> int:
    """Return a capacity of at least `required_bytes` (0: the default), in whole MiB, enough for mkfs."""
    least = max(required_bytes or DEFAULT_CAPACITY_BYTES, SMALLEST_BYTES[filesystem])
    return -(-least // MIB) * MIB


@dataclass(frozen=True, slots=True)
class Pool:
    """The volumes in `directory`, with `capacity_bytes` for all of them together."""

    directory: Path
    capacity_bytes: int

    def prepare(self) -> None:
        """Create missing directories."""
        self._nodes.mkdir(parents=True, exist_ok=True)

    def volumes(self) -> list[Volume]:
        """Return all volumes, ordered by id."""
        return self._volumes("")

    def _volumes(self, beside: str) -> list[Volume]:
        directory = self.home(beside)
        return [volume for path in sorted(directory.glob("vol-*.json")) if (volume := _read(path))]

    def home(self, _volume_id: str) -> Path:
        """Return the directory of a volume."""
        return self.directory

    def find(self, volume_id: str) -> Volume | None:
        """Return a volume; None: there is none with this id, which may be any text."""
        if "/" in volume_id or not volume_id.startswith("vol-"):
            return None
        return _read(self._description(volume_id))

    def find_by_name(self, name: str) -> Volume | None:
        """Return the volume that `create` returns for this name, if it exists."""
        return self.find(_id(name))

    def available_bytes(self, *, beside: str = "") -> int:
        """Return the free space for new volumes, or in the pool of this one."""
        return max(0, self.capacity_bytes - sum(each.capacity_bytes for each in self._volumes(beside)))

    def plan(
        self, *, name: str, capacity_bytes: int, filesystem: Filesystem, claim: str, source: str = ""
    ) -> Volume:
        """Return a volume that can be created; PoolFullError: the pool has not enough space."""
        available_bytes = self.available_bytes()
        if capacity_bytes > available_bytes:
            raise PoolFullError(
                f"volume {name} needs {capacity_bytes} bytes; "
                f"the pool has {available_bytes} of {self.capacity_bytes} free"
            )
        return Volume(
            id=_id(name),
            name=name,
            capacity_bytes=capacity_bytes,
            filesystem=filesystem,
            claim=claim,
            source=source,
        )

    def create(self, *, name: str, capacity_bytes: int, filesystem: Filesystem, claim: str) -> Volume:
        """Create a volume with an empty backing file; PoolFullError: the pool has not enough space."""
        volume = self.plan(name=name, capacity_bytes=capacity_bytes, filesystem=filesystem, claim=claim)
        make_empty(self.backing_file(volume.id), capacity_bytes)
        self.write(volume)
        return volume

    def expand(self, volume: Volume, capacity_bytes: int) -> None:
        """Make a volume larger, but not its filesystem; PoolFullError: the pool has not enough space."""
        more_bytes = capacity_bytes - volume.capacity_bytes
        available_bytes = self.available_bytes(beside=volume.id)
        if more_bytes > available_bytes:
            raise PoolFullError(
                f"volume {volume.name} needs {more_bytes} bytes more; "
                f"the pool has {available_bytes} of {self.capacity_bytes} free"
            )
        os.truncate(self.backing_file(volume.id), capacity_bytes)
        self.write(msgspec.structs.replace(volume, capacity_bytes=capacity_bytes))

    def write(self, volume: Volume) -> None:
        """Write the JSON file of a volume, as one atomic step."""
        replace(self._description(volume.id), msgspec.json.encode(volume))

    def delete(self, volume_id: str) -> None:
        """Remove all files of a volume, the JSON file last: so an interrupted deletion can be repeated."""
        description = self._description(volume_id)
        for path in self.home(volume_id).glob(f"{volume_id}.*"):
            if path != description:
                path.unlink(missing_ok=True)
        description.unlink(missing_ok=True)

    def backing_file(self, volume_id: str) -> Path:
        """Return the backing file of a volume."""
        return self.beside(volume_id, "img")

    def beside(self, volume_id: str, suffix: str) -> Path:
        """Return the path of a file that belongs to a volume and is deleted with it."""
        return self.home(volume_id) / f"{volume_id}.{suffix}"

    def add_node(self, node: str) -> None:
        """Note that a node can attach volumes of this pool."""
        (self._nodes / node).touch()

    def has_node(self, node: str) -> bool:
        """Tell whether a node has ever served this pool."""
        return "/" not in node and (self._nodes / node).exists()

    @property
    def _nodes(self) -> Path:
        return self.directory / "nodes"

    def _description(self, volume_id: str) -> Path:
        return self.beside(volume_id, "json")


class AllPools(Pool):
    """The pools of all nodes of a testbed, of the same capacity: `directory` is the testbed's.

    A storage that is local to nodes expands volumes centrally, too, as TopoLVM does.
    """

    def home(self, volume_id: str) -> Path:
        """Return the directory of the pool that has a volume."""
        found = self.directory.glob(f"*/pool/{volume_id}.json") if volume_id else iter(())
        return next((path.parent for path in found), self.directory)


def make_empty(path: Path, size_bytes: int) -> None:
    """Create a sparse file of zeros."""
    with path.open("wb") as file:
        file.truncate(size_bytes)


def replace(path: Path, content: bytes) -> None:
    """Write a file as one atomic step: a reader sees the old content or the new."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(content)
    scratch.rename(path)


def _id(name: str) -> str:
    return f"vol-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _read(description: Path) -> Volume | None:
    try:
        return msgspec.json.decode(description.read_bytes(), type=Volume)
    except FileNotFoundError:  # deleted meanwhile, or never created
        return None
