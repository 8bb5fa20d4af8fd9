"""The machines behind the nodes: what of them is broken, and where their volumes lie.

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
"""What a caller of a CSI driver is told that is not there."""


@dataclass(slots=True, eq=False)
class Machine:
    """One machine. `faults`: the names of those it has; `volumes` has room for `pool_bytes`."""

    name: str
    volumes: Path
    pool_bytes: int
    faults: set[str] = field(default_factory=set)
    boot_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    heard_at: float = 0.0
    """When its kubelet last reported, epoch seconds."""

    def runs(self, *breaking: str) -> bool:
        """Tell whether something runs that these faults break; a reboot breaks it in any case."""
        return self.faults.isdisjoint({"reboot", *breaking})


Machines = dict[str, Machine]
"""All machines by the name of their node."""
