"""The machines of the nodes: their faults, and the directories of their volumes.

Faults put their names here; provisioner and kubelets meet them as they would meet the real thing.
"""

import uuid
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
"""The error that a caller of a CSI driver gets when the driver is down."""


@dataclass(slots=True, eq=False)
class Machine:
    """One machine. `faults`: its active faults; `volumes` has space for `pool_bytes`."""

    name: str
    volumes: Path
    pool_bytes: int
    faults: set[str] = field(default_factory=set)
    boot_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    heard_at: float = 0.0
    """When its kubelet last reported, epoch seconds."""

    def runs(self, *breaking: str) -> bool:
        """Tell whether something works, that is, whether none of these faults and no reboot is active."""
        return self.faults.isdisjoint({"reboot", *breaking})


Machines = dict[str, Machine]
"""All machines by the name of their node."""
