"""The machines behind the nodes: what of them works, and where their volumes lie.

Faults set what is here; scheduler, provisioner and kubelets meet it as they would meet the real thing.
"""

import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DRIVER: Final = "embedded.pie.topolvm.io"
"""Name of the CSI driver that the volumes are said to be of."""
TOPOLOGY_KEY: Final = f"topology.{DRIVER}/node"
STORAGE_CLASS: Final = "embedded"
UNAVAILABLE: Final = (
    'code = Unavailable desc = connection error: desc = "transport: Error while dialing: '
    'dial unix csi.sock: connect: connection refused"'
)
"""What a caller of a CSI driver is told that is not there."""


@dataclass(slots=True, eq=False)
class Machine:
    """One machine. `errno`: what writes to its volumes fail with; `pool_bytes`: room for volumes."""

    name: str
    volumes: Path
    pool_bytes: int
    kubelet_up: bool = True
    shutting_down: bool = False
    plugin_up: bool = True
    provisioner_up: bool = True
    pool_full: bool = False
    slow: bool = False
    hung: bool = False
    errno: str = ""
    boot_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def volume(self, name: str) -> Path:
        """Return the directory of a volume of this machine."""
        return self.volumes / name

    def create_volume(self, name: str) -> None:
        """Make the directory of a volume."""
        self.volume(name).mkdir(parents=True, exist_ok=True)

    def delete_volume(self, name: str) -> None:
        """Remove a volume with all that is on it."""
        shutil.rmtree(self.volume(name), ignore_errors=True)


class Machines:
    """All machines by the name of their node; listeners hear when something about one changed."""

    def __init__(self, directory: Path, pool_bytes: int) -> None:
        self._directory = directory
        self._pool_bytes = pool_bytes
        self._listeners: list[Callable[[], None]] = []
        self.by_name: dict[str, Machine] = {}

    def add(self, name: str) -> Machine:
        """Put up a machine."""
        machine = Machine(name, self._directory / name, self._pool_bytes)
        self.by_name[name] = machine
        return machine

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called after every change."""
        self._listeners.append(listener)

    def changed(self) -> None:
        """Tell the listeners."""
        for listener in self._listeners:
            listener()
