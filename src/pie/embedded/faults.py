"""Faults of the embedded cluster, by name, each with its undo.

What each one really does is in its own words below; docs/embedded.md says what that leaves out.
"""

import asyncio
import shutil
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pie.embedded import launch
from pie.embedded.kinds import NODES, PVCS, find
from pie.embedded.machines import Machine

if TYPE_CHECKING:
    from pie.embedded.cluster import EmbeddedCluster

Json = dict[str, Any]

_FLIPPED_AT: Final = 100
"""A byte in the first record of a volume."""
_SLOW_SECONDS: Final = 2.0
_REBOOT_SECONDS: Final = 10.0
_CNI_TAINT: Final = {"key": "node.cilium.io/agent-not-ready", "effect": "NoSchedule"}
_TAINT: Final = {"key": "maintenance", "value": "planned", "effect": "NoSchedule"}

Act = Callable[["EmbeddedCluster", Machine], Awaitable[None]]


class FaultError(ValueError):
    """A fault that is not known, or cannot be done here; says which there are."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault. `per_node`: it is done to one machine; otherwise to the cluster, or every machine of it."""

    name: str
    meaning: str
    inject: Act
    clear: Act
    per_node: bool = True


class Faults:
    """Injects and clears faults; `active` holds those that are, by name and node (empty: the cluster's)."""

    def __init__(self, cluster: "EmbeddedCluster") -> None:
        self._cluster = cluster
        self.active: set[tuple[str, str]] = set()

    async def inject(self, name: str, node: str = "") -> None:
        """Inject a fault on a node; without one, on all of them. Raises FaultError."""
        fault = FAULTS.get(name)
        if fault is None:
            raise FaultError(f"there is no fault {name!r}; there are: {', '.join(sorted(FAULTS))}")
        for machine in self._on(fault, node):
            await fault.inject(self._cluster, machine)
            self.active.add((name, machine.name if fault.per_node else ""))
        self._cluster.machines.changed()

    async def clear(self, name: str, node: str = "") -> None:
        """Undo a fault on a node; without one, wherever it is. Raises FaultError."""
        fault = FAULTS.get(name)
        if fault is None:
            raise FaultError(f"there is no fault {name!r}; there are: {', '.join(sorted(FAULTS))}")
        for machine in self._on(fault, node):
            where = machine.name if fault.per_node else ""
            if (name, where) in self.active:
                await fault.clear(self._cluster, machine)
                self.active.discard((name, where))
        self._cluster.machines.changed()

    async def clear_all(self) -> None:
        """Undo every fault."""
        for name, node in sorted(self.active):
            await self.clear(name, node)

    def _on(self, fault: Fault, node: str) -> list[Machine]:
        machines = self._cluster.machines.by_name
        if node and node not in machines:
            raise FaultError(f"there is no node {node!r}; there are: {', '.join(sorted(machines))}")
        if node:
            return [machines[node]]
        return list(machines.values()) if fault.per_node else list(machines.values())[:1]


def _set(**fields: Any) -> Act:
    async def act(_cluster: "EmbeddedCluster", machine: Machine) -> None:
        if fields.get("errno") and not launch.supported():
            raise FaultError("this machine cannot make system calls fail: only Linux on x86-64 and arm64 can")
        for key, value in fields.items():
            setattr(machine, key, value)

    return act


def _front(**fields: Any) -> Act:
    async def act(cluster: "EmbeddedCluster", _machine: Machine) -> None:
        for key, value in fields.items():
            setattr(cluster.front, key, value)

    return act


async def _api_gone(cluster: "EmbeddedCluster", _machine: Machine) -> None:
    await cluster.front.stop()


async def _api_back(cluster: "EmbeddedCluster", _machine: Machine) -> None:
    await cluster.front.start()


def _standing_volumes(cluster: "EmbeddedCluster", machine: Machine) -> list[Path]:
    """Return the directories of the machine's volumes that outlive their pods: those of mount probes."""
    names = [
        claim["spec"].get("volumeName", "")
        for claim in cluster.store.all(PVCS)
        if not any(owner["kind"] == "Pod" for owner in claim["metadata"].get("ownerReferences") or [])
    ]
    return [path for name in names if name and (path := machine.volume(name)).is_dir()]


async def _flip(cluster: "EmbeddedCluster", machine: Machine) -> None:
    records = [path / ".pie" / "records" for path in _standing_volumes(cluster, machine)]
    written = [path for path in records if path.is_file()]
    if not written:
        raise FaultError(
            f"no probe has written to a volume of {machine.name} yet: there is nothing to corrupt"
        )
    for path in written:
        with path.open("r+b") as file:
            file.seek(_FLIPPED_AT)
            byte = file.read(1)[0]
            file.seek(_FLIPPED_AT)
            file.write(bytes([byte ^ 0xFF]))


async def _empty(cluster: "EmbeddedCluster", machine: Machine) -> None:
    for path in _standing_volumes(cluster, machine):
        path.rename(path.with_suffix(".lost"))
        path.mkdir()


async def _restore(cluster: "EmbeddedCluster", machine: Machine) -> None:
    for path in _standing_volumes(cluster, machine):
        lost = path.with_suffix(".lost")
        if lost.is_dir():
            shutil.rmtree(path)
            lost.rename(path)


async def _reboot(cluster: "EmbeddedCluster", machine: Machine) -> None:
    """Shut down in order, be away for a while, and come back by itself with another boot ID."""
    machine.shutting_down = True
    await _report(cluster)
    machine.kubelet_up = False
    machine.boot_id = str(uuid.uuid4())
    cluster.spawn(_boot(cluster, machine))


async def _boot(cluster: "EmbeddedCluster", machine: Machine) -> None:
    await asyncio.sleep(_REBOOT_SECONDS)
    await _finish_reboot(cluster, machine)
    cluster.faults.active.discard(("reboot", machine.name))


async def _finish_reboot(cluster: "EmbeddedCluster", machine: Machine) -> None:
    machine.shutting_down, machine.kubelet_up = False, True
    cluster.machines.changed()
    await _report(cluster)


async def _report(cluster: "EmbeddedCluster") -> None:
    cluster.heartbeats.reconcile()


def _on_node(edit: Callable[[Json], Any]) -> Act:
    async def act(cluster: "EmbeddedCluster", machine: Machine) -> None:
        cluster.registry.change(NODES, "", machine.name, edit)

    return act


def _tainted(copy: Json) -> None:
    copy["spec"]["taints"] = [*(find(copy, "spec", "taints") or []), _TAINT]


def _untainted(copy: Json) -> None:
    copy["spec"]["taints"] = [
        each for each in find(copy, "spec", "taints") or [] if each["key"] != _TAINT["key"]
    ]


async def _join(cluster: "EmbeddedCluster", _machine: Machine) -> None:
    """Let a node join, tainted by its CNI as long as its agent is not ready: until the fault is cleared."""
    number = len(cluster.machines.by_name) + 1
    cluster.add_node(f"node-{number}", [_CNI_TAINT])


def _with_taints(taints: list[Json]) -> Callable[[Json], None]:
    return lambda copy: copy["spec"].update(taints=taints)


async def _joined(cluster: "EmbeddedCluster", _machine: Machine) -> None:
    for node in cluster.store.all(NODES):
        taints = find(node, "spec", "taints") or []
        kept = [each for each in taints if each["key"] != _CNI_TAINT["key"]]
        if kept != taints:
            cluster.registry.edit(NODES, node, _with_taints(kept))


FAULTS: Final[dict[str, Fault]] = {
    fault.name: fault
    for fault in (
        Fault(
            "plugin-crash",
            "The CSI node plugin is gone: mounted volumes work on, nothing can be mounted or provisioned.",
            _set(plugin_up=False),
            _set(plugin_up=True),
        ),
        Fault(
            "provisioner-down",
            "The provisioner is gone: claims wait for ever.",
            _set(provisioner_up=False),
            _set(provisioner_up=True),
        ),
        Fault(
            "pool-full", "The pool has no room for a new volume.", _set(pool_full=True), _set(pool_full=False)
        ),
        Fault(
            "slow-disk", "fio's I/O takes several times as long as usual.", _set(slow=True), _set(slow=False)
        ),
        Fault(
            "hang",
            "I/O does not return, and what waits for it cannot be killed.",
            _set(hung=True),
            _set(hung=False),
        ),
        Fault("eio", "Writes to the volumes fail with EIO.", _set(errno="EIO"), _set(errno="")),
        Fault("volume-full", "Writes to the volumes fail with ENOSPC.", _set(errno="ENOSPC"), _set(errno="")),
        Fault("read-only", "The volumes are read-only: EROFS.", _set(errno="EROFS"), _set(errno="")),
        Fault("corruption", "A byte of a record on each standing volume is flipped.", _flip, _flip),
        Fault("data-loss", "The standing volumes come back empty.", _empty, _restore),
        Fault("reboot", "The machine reboots, and is back after ten seconds.", _reboot, _finish_reboot),
        Fault(
            "kubelet-down",
            "The kubelet is gone; its containers run on.",
            _set(kubelet_up=False),
            _set(kubelet_up=True),
        ),
        Fault(
            "cordon",
            "The node is unschedulable.",
            _on_node(lambda copy: copy["spec"].update(unschedulable=True)),
            _on_node(lambda copy: copy["spec"].pop("unschedulable", None) and None),
        ),
        Fault(
            "taint",
            "The node has a taint that probes do not tolerate.",
            _on_node(_tainted),
            _on_node(_untainted),
        ),
        Fault(
            "new-node",
            "A node joins, tainted by its CNI until this is cleared.",
            _join,
            _joined,
            per_node=False,
        ),
        Fault(
            "api-slow",
            "The API server takes two seconds more for every request.",
            _front(delay_seconds=_SLOW_SECONDS),
            _front(delay_seconds=0.0),
            per_node=False,
        ),
        Fault("api-gone", "The API server is gone.", _api_gone, _api_back, per_node=False),
    )
}
"""Every fault, by name."""
