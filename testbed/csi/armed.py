"""The faults that are armed in a driver, and the volumes that they concern."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from testbed.csi.pool import replace


def matches(pattern: str, claim: str) -> bool:
    """Match a PVC, `<namespace>/<name>`, with a shell pattern; without a slash, match the name alone."""
    return fnmatchcase(claim, pattern if "/" in pattern else f"*/{pattern}")


class _ForClaims(msgspec.Struct, frozen=True, kw_only=True):
    """`claims`: which PersistentVolumeClaims' volumes, see `matches`."""

    claims: str = "*"


class MountFault(_ForClaims, frozen=True, kw_only=True, tag="mount"):
    """Breaks mounted volumes until it is disarmed: those mounted now at once, others after each publish.

    `when`: as soon as the volume is published, or when a file in it is opened for the first time after that:
    then an application begins to use it. `after_seconds`: this much later, in the middle of a run.
    """

    kind: Literal["hang", "slow", "io-error", "read-only", "full"]
    when: Literal["publish", "use"] = "use"
    after_seconds: float = 0


class BackingFault(_ForClaims, frozen=True, kw_only=True, tag="backing"):
    """Changes a backing file once, when the volume is not mounted; disarming it restores the file.

    `source`: for `swapped`, the file whose content replaces that of the volume. `stale` needs a
    snapshot.
    """

    kind: Literal["corrupted", "swapped", "emptied", "stale"]
    source: str = ""


class RpcFault(_ForClaims, frozen=True, kw_only=True, tag="rpc"):
    """Delays or refuses calls of one CSI method, for example `CreateVolume`, until it is disarmed.

    `delay_seconds`: the work is done this long after the first call for the volume; repeated calls do not
    start this time again. `code`: the name of a gRPC status; empty: after the delay, continue.
    """

    rpc: str
    delay_seconds: float = 0
    code: str = ""
    message: str = "refused by a fault of the testbed"


class PoolFull(_ForClaims, frozen=True, kw_only=True, tag="pool-full"):
    """The pool has no space for new volumes (`claims` has no meaning here)."""


class CloneFault(_ForClaims, frozen=True, kw_only=True, tag="clone"):
    """A volume that is cloned from another one is empty, or is refused: `Unimplemented`."""

    kind: Literal["empty", "refused"]


class MountsNothing(_ForClaims, frozen=True, kw_only=True, tag="mounts-nothing"):
    """Stage and publish answer OK, and the application gets an empty directory of the host."""


class ExpandsNothing(_ForClaims, frozen=True, kw_only=True, tag="expands-nothing"):
    """ControllerExpandVolume answers that the volume has the new size, and it keeps the old one."""


Fault = MountFault | BackingFault | RpcFault | PoolFull | CloneFault | MountsNothing | ExpandsNothing
F = TypeVar("F", bound=_ForClaims)


class Armed:
    """The armed faults by name. They stay armed when the driver is restarted."""

    def __init__(self, path: Path) -> None:
        """Read the faults from the file, if it exists."""
        self._path = path
        self._faults: dict[str, Fault] = {}
        if path.exists():
            self._faults = msgspec.json.decode(path.read_bytes(), type=dict[str, Fault])

    def arm(self, name: str, fault: Fault) -> None:
        """Arm a fault; it replaces the one of the same name."""
        self._faults[name] = fault
        self._keep()

    def disarm(self, name: str) -> Fault | None:
        """Remove a fault and return it; None: there is none of this name."""
        fault = self._faults.pop(name, None)
        self._keep()
        return fault

    def items(self) -> dict[str, Fault]:
        """Return all armed faults by name."""
        return dict(self._faults)

    def concerning(self, kind: type[F], claim: str) -> Iterator[tuple[str, F]]:
        """Iterate over the armed faults of a kind that concern a PVC, with their names."""
        for name, fault in self.items().items():
            if isinstance(fault, kind) and matches(fault.claims, claim):
                yield name, fault

    def _keep(self) -> None:
        replace(self._path, msgspec.json.encode(self._faults))
