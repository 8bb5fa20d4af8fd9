"""Faults of the embedded cluster, by name, each with its undo.

Most are only a name that a machine has; what meets the machine acts accordingly. docs/embedded.md says what
is real in each and what is not.
"""

import asyncio
import mmap
import shutil
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pie.embedded import childprocess
from pie.embedded.errors import Refused
from pie.embedded.kinds import NODES, PVCS, Json, find, owners
from pie.embedded.machines import Machine

if TYPE_CHECKING:
    from pie.embedded.cluster import EmbeddedCluster

_FLIPPED_AT: Final = 100
"""A byte in the first record of a volume."""
_REBOOT_SECONDS: Final = 10.0
_CNI_TAINT: Final = {"key": "node.cilium.io/agent-not-ready", "effect": "NoSchedule"}
_TAINT: Final = {"key": "maintenance", "value": "planned", "effect": "NoSchedule"}

Act = Callable[..., Awaitable[None]]
"""Begins or ends a fault in a cluster, on a machine. Raises FaultError or Refused if it cannot."""


class FaultError(Refused):
    """A fault that is not known, or cannot be injected here; the text lists the known ones."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "BadRequest", message)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault. Without `act`, its name on the machine is enough. `per_node`: on a machine."""

    name: str
    meaning: str
    act: Act | None = None
    per_node: bool = True


class Faults:
    """Injects and clears faults."""

    def __init__(self, cluster: "EmbeddedCluster") -> None:
        self._cluster = cluster

    @property
    def active(self) -> set[tuple[str, str]]:
        """The active faults, by name and node (empty: the cluster's)."""
        on_nodes = {(name, each.name) for each in self._cluster.machines.values() for name in each.faults}
        return on_nodes | {(name, "") for name in self._cluster.front.faults}

    async def inject(self, name: str, node: str = "") -> None:
        """Inject a fault on a node, or without a node on all that do not have it. Raises FaultError."""
        if name in childprocess.FAULTS and not childprocess.supported():
            raise FaultError("this machine cannot inject disk faults: they need Linux on x86-64 or arm64")
        await self._act(name, node, begin=True)

    async def clear(self, name: str, node: str = "") -> None:
        """End a fault on a node, or without a node on all that have it. Raises FaultError."""
        await self._act(name, node, begin=False)

    async def _act(self, name: str, node: str, *, begin: bool) -> None:
        """Begin or end a fault where needed; an error on one node does not stop the others."""
        machines, problems = self._cluster.machines, []
        if name not in FAULTS:
            raise FaultError(f"there is no fault {name!r}; there are: {', '.join(sorted(FAULTS))}")
        if node and node not in machines:
            raise FaultError(f"there is no node {node!r}; there are: {', '.join(sorted(machines))}")
        fault, found = FAULTS[name], [machines[node]] if node else [*machines.values()]
        for machine in found if fault.per_node else found[:1]:
            having = machine.faults if fault.per_node else self._cluster.front.faults
            if (name in having) is begin:
                continue
            having.discard(name)  # also if the undo fails: on a deleted node, no fault is left
            try:
                if fault.act is not None:
                    await fault.act(self._cluster, machine, begin=begin)
                having.update([name] if begin else [])
            except (Refused, OSError) as error:
                if isinstance(error, OSError) and not begin:  # for example, the port is in use: try again
                    having.add(name)
                where = machine.name if fault.per_node else "the cluster"
                problems.append(f"{name} on {where}: {error}")
        self._cluster.store.wake()
        if problems:
            raise FaultError("; ".join(problems))


def _standing_volumes(cluster: "EmbeddedCluster", machine: Machine) -> list[Path]:
    """Return the directories of the machine's volumes that outlive their pods: those of mount probes."""
    kept = [each for each in cluster.store.all(PVCS) if "Pod" not in {own["kind"] for own in owners(each)}]
    names = {find(claim, "spec.volumeName") for claim in kept}
    return [path for name in names if name and (path := machine.volumes / name).is_dir()]


async def _flip(cluster: "EmbeddedCluster", machine: Machine, *, begin: bool) -> None:
    records = [path / ".pie" / "records" for path in _standing_volumes(cluster, machine)]
    written = [path for path in records if path.is_file()]
    if begin and not written:
        raise FaultError(f"no probe has written to a volume of {machine.name} yet: nothing to corrupt")
    for path in written:
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
            content[_FLIPPED_AT] ^= 0xFF


async def _empty(cluster: "EmbeddedCluster", machine: Machine, *, begin: bool) -> None:
    for path in _standing_volumes(cluster, machine):
        lost = path.with_suffix(".lost")
        if begin:
            path.rename(lost)
            path.mkdir()
        elif lost.is_dir():
            shutil.rmtree(path)
            lost.rename(path)


async def _stale(cluster: "EmbeddedCluster", machine: Machine, *, begin: bool) -> None:
    """Take the file from those who have it open, as a server does that does not know a handle any more."""
    files = [path / ".pie" / "resident" for path in _standing_volumes(cluster, machine)]
    there = [file for file in files if file.is_file()]
    if begin and not there:
        raise FaultError(f"no resident probe has begun on {machine.name} yet: set spec.residentProbe")
    for file in there if begin else files:
        lost = file.with_suffix(".lost")
        if begin:
            file.rename(lost)
        elif file.is_file():  # a new pod has mounted the volume since
            lost.unlink(missing_ok=True)
        elif lost.is_file():
            lost.rename(file)


async def _reboot(cluster: "EmbeddedCluster", machine: Machine, *, begin: bool) -> None:
    """Shut down in order, stay down for a while, and start again with another boot ID."""
    if begin:
        node, loop = cluster.registry.get(NODES, "", machine.name), asyncio.get_running_loop()
        cluster.registry.set_condition(node, "Ready", "False", "KubeletNotReady", "node is shutting down")
        machine.boot_id = boot_id = str(uuid.uuid4())
        loop.call_later(_REBOOT_SECONDS, lambda: loop.create_task(_come_back(cluster, machine, boot_id)))


async def _come_back(cluster: "EmbeddedCluster", machine: Machine, boot_id: str) -> None:
    if machine.boot_id == boot_id:  # else the user ended that reboot, and this is another one
        await cluster.faults.clear("reboot", machine.name)


async def _cordon(cluster: "EmbeddedCluster", machine: Machine, *, begin: bool) -> None:
    node = cluster.registry.get(NODES, "", machine.name)
    cluster.registry.edit(node, lambda copy: copy["spec"].update(unschedulable=begin))


async def _taint(cluster: "EmbeddedCluster", machine: Machine, *, begin: bool) -> None:
    _set_taint(cluster, cluster.registry.get(NODES, "", machine.name), _TAINT, there=begin)


async def _join(cluster: "EmbeddedCluster", _machine: Machine, *, begin: bool) -> None:
    if begin:
        cluster.add_node(f"node-{len(cluster.machines) + 1}", _CNI_TAINT)
    for node in [] if begin else cluster.store.all(NODES):
        _set_taint(cluster, node, _CNI_TAINT, there=False)


def _set_taint(cluster: "EmbeddedCluster", node: Json, taint: Json, *, there: bool) -> None:
    others = [each for each in find(node, "spec.taints") or [] if each["key"] != taint["key"]]
    cluster.registry.edit(
        node, lambda copy: copy["spec"].update(taints=[*others, *([taint] if there else [])])
    )


async def _leave(cluster: "EmbeddedCluster", _machine: Machine, *, begin: bool) -> None:
    await (cluster.front.stop() if begin else cluster.front.start())


_CRASH: Final = "The CSI node plugin is down: mounted volumes work, but none can be mounted or provisioned."
_ALL: Final = (
    Fault("node-plugin-gone", _CRASH),
    Fault("provisioner-gone", "The provisioner is down: PVCs stay Pending."),
    Fault("full-pool", "The pool has no room for a new volume."),
    Fault("clones-other", "A volume that is cloned from another one is empty."),
    Fault("expand-refused", "The driver refuses to expand a volume."),
    Fault("expands-nothing", "The driver says that a volume is expanded, and it is not."),
    Fault("slow", "fio's I/O takes several times as long as usual."),
    Fault("hang", "I/O does not return, and processes that wait for it cannot be killed."),
    Fault("io-error", "Writes to the volumes fail with EIO."),
    Fault("full-volume", "Writes to the volumes fail with ENOSPC."),
    Fault("read-only", "The volumes are read-only: EROFS."),
    Fault("corrupted", "A byte of a record on each existing volume is changed.", _flip),
    Fault("emptied", "The existing volumes come back empty.", _empty),
    Fault(
        "stale-mount", "Volumes that stay mounted (spec.residentProbe) are stale; new mounts work.", _stale
    ),
    Fault("reboot", "The machine reboots, and is back after ten seconds.", _reboot),
    Fault("kubelet-gone", "The kubelet is down; its containers continue to run."),
    Fault("cordoned", "The node is unschedulable.", _cordon),
    Fault("tainted", "The node has a taint that probes do not tolerate.", _taint),
    Fault("new-node", "A node joins, and has its CNI's taint until this fault ends.", _join, per_node=False),
    Fault("clones-refused", "The driver does not clone volumes: Unimplemented."),
    Fault("api-slow", "The API server needs two seconds more for every request.", per_node=False),
    Fault("api-gone", "The API server is down.", _leave, per_node=False),
)
FAULTS: Final = {fault.name: fault for fault in _ALL}
"""Every fault, by name."""
