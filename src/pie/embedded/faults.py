"""Faults of the embedded cluster, by name, each with its undo.

Most are only a name that a machine has; what meets the machine acts accordingly. docs/embedded.md says what
is real in each and what is not.
"""

import asyncio
import shutil
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pie import leash
from pie.embedded.kinds import NODES, PVCS, Json, find, owners
from pie.embedded.machines import Machine

if TYPE_CHECKING:
    from pie.embedded.cluster import EmbeddedCluster

_FLIPPED_AT: Final = 100
"""A byte in the first record of a volume."""
_REBOOT_SECONDS: Final = 10.0
_CNI_TAINT: Final = {"key": "node.cilium.io/agent-not-ready", "effect": "NoSchedule"}
_TAINT: Final = {"key": "maintenance", "value": "planned", "effect": "NoSchedule"}

Act = Callable[["EmbeddedCluster", Machine], Awaitable[None]]


async def _nothing(_cluster: "EmbeddedCluster", _machine: Machine) -> None:
    """Do nothing: that the machine has the fault is all there is to it."""


class FaultError(ValueError):
    """A fault that is not known, or cannot be done here; says which there are."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault. `per_node`: it is done to one machine, not to the cluster."""

    name: str
    meaning: str
    inject: Act = _nothing
    clear: Act = _nothing
    per_node: bool = True


class Faults:
    """Injects and clears faults; `active` holds those that are, by name and node (empty: the cluster's)."""

    def __init__(self, cluster: "EmbeddedCluster") -> None:
        self._cluster = cluster
        self.active: set[tuple[str, str]] = set()

    async def inject(self, name: str, node: str = "") -> None:
        """Inject a fault on a node; without one, on all of them. Raises FaultError."""
        for fault, machine in self._named(name, node):
            if name in leash.FAULTS and not leash.supported():
                raise FaultError("this machine cannot break disks: only Linux on x86-64 and arm64 can")
            await fault.inject(self._cluster, machine)
            self.active.add((name, machine.name if fault.per_node else ""))
            (machine if fault.per_node else self._cluster.front).faults.add(name)
        self._cluster.store.wake()

    async def clear(self, name: str, node: str = "") -> None:
        """Undo a fault on a node; without one, wherever it is. Raises FaultError."""
        for fault, machine in self._named(name, node):
            where = (name, machine.name if fault.per_node else "")
            if where in self.active:
                await fault.clear(self._cluster, machine)
                self.active.discard(where)
            (machine if fault.per_node else self._cluster.front).faults.discard(name)
        self._cluster.store.wake()

    def _named(self, name: str, node: str) -> list[tuple[Fault, Machine]]:
        machines = self._cluster.machines
        if name not in FAULTS:
            raise FaultError(f"there is no fault {name!r}; there are: {', '.join(sorted(FAULTS))}")
        if node and node not in machines:
            raise FaultError(f"there is no node {node!r}; there are: {', '.join(sorted(machines))}")
        found = [machines[node]] if node else [*machines.values()]
        return [(FAULTS[name], machine) for machine in (found if FAULTS[name].per_node else found[:1])]


def _standing_volumes(cluster: "EmbeddedCluster", machine: Machine) -> list[Path]:
    """Return the directories of the machine's volumes that outlive their pods: those of mount probes."""
    kept = [each for each in cluster.store.all(PVCS) if "Pod" not in {own["kind"] for own in owners(each)}]
    names = [find(claim, "spec.volumeName") for claim in kept]
    return [path for name in names if name and (path := machine.volumes / name).is_dir()]


async def _flip(cluster: "EmbeddedCluster", machine: Machine) -> None:
    records = [path / ".pie" / "records" for path in _standing_volumes(cluster, machine)]
    written = [path for path in records if path.is_file()]
    if not written:
        raise FaultError(f"no probe has written to a volume of {machine.name} yet: nothing to corrupt")
    for path in written:
        with path.open("r+b") as file:
            file.seek(_FLIPPED_AT)
            (byte,) = file.read(1)
            file.seek(_FLIPPED_AT)
            file.write(bytes([byte ^ 0xFF]))


async def _empty(cluster: "EmbeddedCluster", machine: Machine) -> None:
    for path in _standing_volumes(cluster, machine):
        path.rename(path.with_suffix(".lost"))
        path.mkdir()


async def _restore(cluster: "EmbeddedCluster", machine: Machine) -> None:
    for path in _standing_volumes(cluster, machine):
        if (lost := path.with_suffix(".lost")).is_dir():
            shutil.rmtree(path)
            lost.rename(path)


async def _reboot(cluster: "EmbeddedCluster", machine: Machine) -> None:
    """Shut down in order, be away for a while, and come back by itself with another boot ID."""
    node, loop = cluster.registry.get(NODES, "", machine.name), asyncio.get_running_loop()
    cluster.registry.set_condition(node, "Ready", "False", "KubeletNotReady", "node is shutting down")
    machine.boot_id = str(uuid.uuid4())
    loop.call_later(_REBOOT_SECONDS, lambda: loop.create_task(cluster.faults.clear("reboot", machine.name)))


async def _set_cordon(cluster: "EmbeddedCluster", machine: Machine, *, cordon: bool) -> None:
    node = cluster.registry.get(NODES, "", machine.name)
    cluster.registry.edit(node, lambda copy: copy["spec"].update(unschedulable=cordon))


async def _taint(cluster: "EmbeddedCluster", machine: Machine, taint: Json, *, add: bool) -> None:
    node = cluster.registry.get(NODES, "", machine.name)
    others = [each for each in find(node, "spec.taints") or [] if each["key"] != taint["key"]]
    cluster.registry.edit(node, lambda copy: copy["spec"].update(taints=[*others, *([taint] if add else [])]))


async def _join(cluster: "EmbeddedCluster", _machine: Machine) -> None:
    cluster.add_node(f"node-{len(cluster.machines) + 1}", _CNI_TAINT)


async def _joined(cluster: "EmbeddedCluster", _machine: Machine) -> None:
    for machine in cluster.machines.values():
        await _taint(cluster, machine, _CNI_TAINT, add=False)


async def _serve(cluster: "EmbeddedCluster", _machine: Machine, *, up: bool) -> None:
    await (cluster.front.start() if up else cluster.front.stop())


_taint_it: Final = partial(_taint, taint=_TAINT, add=True)
_untaint_it: Final = partial(_taint, taint=_TAINT, add=False)
_stop, _start = partial(_serve, up=False), partial(_serve, up=True)
_cordon, _uncordon = partial(_set_cordon, cordon=True), partial(_set_cordon, cordon=False)
_CRASH: Final = "The CSI node plugin is gone: mounted volumes work on, nothing can be mounted or provisioned."
_LATE: Final = "The API server takes two seconds more for every request."
_NEW: Final = "A node joins, tainted by its CNI until this is cleared."
_ALL: Final = (
    Fault("plugin-crash", _CRASH),
    Fault("provisioner-down", "The provisioner is gone: claims wait for ever."),
    Fault("pool-full", "The pool has no room for a new volume."),
    Fault("slow-disk", "fio's I/O takes several times as long as usual."),
    Fault("hang", "I/O does not return, and what waits for it cannot be killed."),
    Fault("eio", "Writes to the volumes fail with EIO."),
    Fault("volume-full", "Writes to the volumes fail with ENOSPC."),
    Fault("read-only", "The volumes are read-only: EROFS."),
    Fault("corruption", "A byte of a record on each standing volume is flipped.", _flip, _flip),
    Fault("data-loss", "The standing volumes come back empty.", _empty, _restore),
    Fault("reboot", "The machine reboots, and is back after ten seconds.", _reboot),
    Fault("kubelet-down", "The kubelet is gone; its containers run on."),
    Fault("cordon", "The node is unschedulable.", _cordon, _uncordon),
    Fault("taint", "The node has a taint that probes do not tolerate.", _taint_it, _untaint_it),
    Fault("new-node", _NEW, _join, _joined, per_node=False),
    Fault("api-slow", _LATE, per_node=False),
    Fault("api-gone", "The API server is gone.", _stop, _start, per_node=False),
)
FAULTS: Final = {fault.name: fault for fault in _ALL}
"""Every fault, by name."""
