"""All faults, each with its undo: of storage, of nodes, and of pods.

`await inflict(cluster, "hang", node="node-1", options=Options(claims="pie-pvc-*"))`, and `undo` with the same
name. Most faults are armed in the node's CSI driver, see `testbed.csi.armed`: a mounted volume fails at once,
another one each time it is mounted.

`node` is the name of a real node. For storage that is attached first (`testbed.attachable`), `attachable` is
its controller, and `node-1/attachable` its part on a node.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from testbed import control
from testbed.csi.armed import (
    BackingFault,
    CloneFault,
    ExpandsNothing,
    Fault,
    MountFault,
    MountsNothing,
    PoolFull,
    RpcFault,
    matches,
)
from testbed.csi.control import State, VolumeState
from testbed.csi.server import control_socket
from testbed.errors import TestbedError
from testbed.machine_faults import MACHINE_FAULTS
from testbed.node_faults import NODE_FAULTS, NodeFault, NodesCluster
from testbed.pod_faults import POD_FAULTS, PodFault, Pods, PodsCluster

POLL_SECONDS = 0.02
START_TIMEOUT_SECONDS = 90
DRIVER = "csi"
TAINT = "example.com/broken:NoSchedule"


class FaultyCluster(NodesCluster, PodsCluster, Protocol):
    """The parts of a testbed that faults need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The details of a fault; each fault uses those that have a meaning for it.

    `claims`: the PVCs of the volumes, a shell pattern for `<namespace>/<name>` or for the name alone. `when`
    (if not the usual one of the fault) and `after_seconds`: the moment after a publish, see MountFault.
    `delay_seconds`: of slow calls. `code`, `message`: the gRPC status of refused calls. `other`: the PVC of
    the volume to swap in. `taint`: of a node, as `kubectl taint` takes it. `pods`: the pods of a fault of
    pods, `<namespace>/<labels>`. `one_in`: one of how many pods is deleted at random, see `testbed.sweeper`.
    """

    claims: str = "*"
    when: Literal["publish", "use"] | None = None
    after_seconds: float = 0
    delay_seconds: float = 60
    code: str = "INTERNAL"
    message: str = "refused by a fault of the testbed"
    other: str = ""
    taint: str = TAINT
    pods: str = ""
    one_in: int = 1


@dataclass(frozen=True, slots=True)
class ArmedFault:
    """A fault inside the node's CSI driver."""

    meaning: str
    make: Callable[[Options], Fault]


@dataclass(frozen=True, slots=True)
class EndedProcess:
    """A fault that is a missing process.

    `takes_along`: the sidecars that end by themselves at their next call, because the process is gone. They
    are ended at once, and started again with it: there is no kubelet that would restart them.
    """

    meaning: str
    process: str
    takes_along: tuple[str, ...] = ()


def _mount(
    kind: Literal["hang", "slow", "io-error", "read-only", "full"], when: Literal["publish", "use"]
) -> Callable[[Options], Fault]:
    return lambda options: MountFault(
        kind=kind, when=options.when or when, after_seconds=options.after_seconds, claims=options.claims
    )


def _backing(kind: Literal["corrupted", "swapped", "emptied", "stale"]) -> Callable[[Options], Fault]:
    return lambda options: BackingFault(kind=kind, claims=options.claims)


def _clone(kind: Literal["empty", "refused"]) -> Callable[[Options], Fault]:
    return lambda options: CloneFault(kind=kind, claims=options.claims)


def _slow(rpc: str) -> Callable[[Options], Fault]:
    return lambda options: RpcFault(rpc=rpc, delay_seconds=options.delay_seconds, claims=options.claims)


def _refused(rpc: str) -> Callable[[Options], Fault]:
    return lambda options: RpcFault(
        rpc=rpc, code=options.code, message=options.message, claims=options.claims
    )


AnyFault = ArmedFault | EndedProcess | NodeFault | PodFault
FAULTS: Mapping[str, AnyFault] = {
    **NODE_FAULTS,
    **MACHINE_FAULTS,
    **POD_FAULTS,
    "kubelet-gone": EndedProcess("the kubelet has ended; containers go on", "kubelet"),
    "hang": ArmedFault("writes sleep, uninterruptible, until the undo (fsfreeze)", _mount("hang", "publish")),
    "slow": ArmedFault("five direct reads and writes a second (I/O cgroups)", _mount("slow", "use")),
    "io-error": ArmedFault("every access is EIO (shutdown), until a new mount", _mount("io-error", "use")),
    "read-only": ArmedFault("the filesystem is remounted read-only", _mount("read-only", "publish")),
    "full-volume": ArmedFault("no byte is free in the volume", _mount("full", "publish")),
    "corrupted": ArmedFault("bytes of the small files in the volume are inverted", _backing("corrupted")),
    "swapped": ArmedFault("the volume holds what another one does (`other`)", _backing("swapped")),
    "emptied": ArmedFault("the volume holds a new, empty filesystem", _backing("emptied")),
    "stale": ArmedFault("the volume is as it was when `snapshot` copied it", _backing("stale")),
    "full-pool": ArmedFault("nothing is free for new volumes", lambda _options: PoolFull()),
    "clones-other": ArmedFault("a volume that is cloned from another one is empty", _clone("empty")),
    "clones-refused": ArmedFault("no volume is cloned from another one", _clone("refused")),
    "mounts-nothing": ArmedFault(
        "stage and publish answer OK, and mount nothing", lambda options: MountsNothing(claims=options.claims)
    ),
    "create-slow": ArmedFault("CreateVolume takes long", _slow("CreateVolume")),
    "create-refused": ArmedFault("CreateVolume fails", _refused("CreateVolume")),
    "delete-refused": ArmedFault("DeleteVolume fails", _refused("DeleteVolume")),
    "expand-refused": ArmedFault("ControllerExpandVolume fails", _refused("ControllerExpandVolume")),
    "expands-nothing": ArmedFault(
        "ControllerExpandVolume answers OK, and nothing grows",
        lambda options: ExpandsNothing(claims=options.claims),
    ),
    "node-expand-refused": ArmedFault("NodeExpandVolume fails", _refused("NodeExpandVolume")),
    "attach-slow": ArmedFault("ControllerPublishVolume takes long", _slow("ControllerPublishVolume")),
    "attach-refused": ArmedFault("ControllerPublishVolume fails", _refused("ControllerPublishVolume")),
    "detach-refused": ArmedFault("ControllerUnpublishVolume fails", _refused("ControllerUnpublishVolume")),
    "stage-slow": ArmedFault("NodeStageVolume takes long", _slow("NodeStageVolume")),
    "stage-refused": ArmedFault("NodeStageVolume fails", _refused("NodeStageVolume")),
    "unstage-refused": ArmedFault("NodeUnstageVolume fails", _refused("NodeUnstageVolume")),
    "publish-slow": ArmedFault("NodePublishVolume takes long", _slow("NodePublishVolume")),
    "publish-refused": ArmedFault("NodePublishVolume fails", _refused("NodePublishVolume")),
    "unpublish-slow": ArmedFault("NodeUnpublishVolume takes long", _slow("NodeUnpublishVolume")),
    "unpublish-refused": ArmedFault("NodeUnpublishVolume fails", _refused("NodeUnpublishVolume")),
    "node-plugin-gone": EndedProcess(
        "the CSI driver has crashed; what is mounted stays so", DRIVER, ("csi-provisioner", "csi-attacher")
    ),
    "provisioner-gone": EndedProcess("csi-provisioner has ended", "csi-provisioner"),
    "resizer-gone": EndedProcess("csi-resizer has ended", "csi-resizer"),
    "attacher-gone": EndedProcess("csi-attacher has ended", "csi-attacher"),
}
"""Every fault by name."""


async def inflict(
    cluster: FaultyCluster, name: str, *, node: str = "", options: Options | None = None
) -> None:
    """Cause a fault of a node or of pods. A fault of the same name is replaced."""
    options = options or Options()
    fault = _find(name)
    if isinstance(fault, PodFault):
        pods = Pods.parse(options.pods)
        await undo(cluster, name)
        _pods_mark(cluster, name).write_text(options.pods)
        await fault.inflict(cluster, name, pods, options.one_in)
        return
    if isinstance(fault, NodeFault):
        await undo(cluster, name, node=node)
        mark = _mark(cluster, name, node)
        mark.write_text(options.taint)
        try:
            await fault.inflict(cluster, node, options.taint)
        except TestbedError:  # there is nothing to undo, and perhaps nothing can be undone
            mark.unlink()
            raise
        return
    if isinstance(fault, EndedProcess):
        _mark(cluster, name, node).touch()
        for process in await _running(cluster, fault, node):
            await cluster.kill(process)
        return
    armed = fault.make(options)
    if name == "swapped":
        source = await _copy_of_another(cluster, options.other)
        armed = msgspec.structs.replace(armed, source=source)
    await _call(cluster, node, "arm", name=name, fault=msgspec.to_builtins(armed))


async def undo(cluster: FaultyCluster, name: str, *, node: str = "") -> None:
    """End a fault and undo its effects; it is no error if there is no such fault."""
    fault = _find(name)
    if isinstance(fault, PodFault):
        if (mark := _pods_mark(cluster, name)).exists():
            await fault.undo(cluster, name, Pods.parse(mark.read_text()))
            mark.unlink()
        return
    if isinstance(fault, ArmedFault):
        await _call(cluster, node, "disarm", name=name)
        return
    if isinstance(fault, NodeFault):
        if (mark := _mark(cluster, name, node)).exists():
            await fault.undo(cluster, node, mark.read_text())
            if fault.boots:
                await _wait_until_it_answers(cluster, node)
            mark.unlink()
        return
    _mark(cluster, name, node).unlink(missing_ok=True)
    gone = {
        process
        for other, ended in FAULTS.items()
        if isinstance(ended, EndedProcess) and _mark(cluster, other, node).exists()
        for process in (ended.process, *ended.takes_along)
    }
    running = await cluster.processes()
    for process in (fault.process, *fault.takes_along):
        if process not in gone and not running.get(_process(process, node), True):
            await cluster.start(_process(process, node))
            if process == DRIVER:
                await _wait_until_it_answers(cluster, node)


async def undo_all(cluster: FaultyCluster, *, node: str) -> None:
    """End all faults of a node."""
    for name, fault in FAULTS.items():  # a node that is off has no driver
        if not isinstance(fault, (ArmedFault, PodFault)):
            await undo(cluster, name, node=node)
    for name in (await state(cluster, node=node)).armed:
        await undo(cluster, name, node=node)


async def snapshot(cluster: FaultyCluster, *, node: str, claims: str) -> dict[str, str]:
    """Copy the volumes of some PVCs for the fault `stale`; return the path of the copy of each PVC."""
    copies: dict[str, str] = await _call(cluster, node, "snapshot", claims=claims)
    return copies


async def state(cluster: FaultyCluster, *, node: str) -> State:
    """Return the volumes of a node, its armed faults, and which have taken effect."""
    return msgspec.convert(await _call(cluster, node, "show"), State)


async def volume(cluster: FaultyCluster, *, node: str, claims: str) -> VolumeState:
    """Return the volume on a node whose PVC matches; TestbedError if there is none, or several."""
    volumes = (await state(cluster, node=node)).volumes
    found = [each for each in volumes if matches(claims, each.volume.claim)]
    if len(found) != 1:
        there = ", ".join(each.volume.claim for each in volumes) or "none"
        raise TestbedError(
            f"{len(found)} volumes on {node} have a claim like {claims!r} (there are: {there})"
        )
    return found[0]


async def wait_until_bitten(
    cluster: FaultyCluster, name: str, *, node: str, since_seconds: float = 0, timeout_seconds: float = 60
) -> None:
    """Wait until a fault of mounted volumes takes effect, after a moment (Unix time)."""
    async with asyncio.timeout(timeout_seconds):
        while True:
            for bite in (await state(cluster, node=node)).bitten:
                if bite.fault == name and bite.at_seconds >= since_seconds:
                    if bite.error:
                        raise TestbedError(f"fault {name} could not bite {bite.claim}: {bite.error}")
                    return
            await asyncio.sleep(POLL_SECONDS)


def _find(name: str) -> AnyFault:
    if fault := FAULTS.get(name):
        return fault
    raise TestbedError(f"no fault {name!r} (there are: {', '.join(FAULTS)})")


async def _copy_of_another(cluster: FaultyCluster, claims: str) -> str:
    if not claims:
        raise TestbedError("fault swapped: say which claim's volume to swap in (`other`)")
    for socket in sorted(cluster.directory.glob("*/csi/control.sock")):
        shown = msgspec.convert(await control.call(socket, "show"), State)
        if any(matches(claims, each.volume.claim) for each in shown.volumes):
            copies = await control.call(socket, "snapshot", claims=claims)
            return str(next(iter(copies.values())))
    raise TestbedError(f"fault swapped: no node has a volume with a claim like {claims!r}")


async def _call(cluster: FaultyCluster, node: str, command: str, **arguments: Any) -> Any:
    return await control.call(control_socket(cluster.directory / node / "csi"), command, **arguments)


async def _wait_until_it_answers(cluster: FaultyCluster, node: str) -> None:
    """Wait until a driver that was started takes commands."""
    deadline = asyncio.get_running_loop().time() + START_TIMEOUT_SECONDS
    while True:
        try:
            await state(cluster, node=node)
        except TestbedError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(POLL_SECONDS)
        else:
            return


async def _running(cluster: FaultyCluster, fault: EndedProcess, node: str) -> list[str]:
    """Return which processes of the fault run."""
    running = await cluster.processes()
    names = (_process(kind, node) for kind in (fault.process, *fault.takes_along))
    return [name for name in names if running.get(name)]


def _process(kind: str, node: str) -> str:
    """Name a node's process: `csi-node-1`, or `csi-attachable-node-1` for `node-1/attachable`."""
    return "-".join((kind, *reversed(node.split("/"))))


def _pods_mark(cluster: FaultyCluster, name: str) -> Path:
    """Return the file that names the pods of a fault of pods; it exists while the fault lasts."""
    return cluster.directory / f"fault-{name}"


def _mark(cluster: FaultyCluster, name: str, node: str) -> Path:
    """Return the file that exists while a fault of a process or of a node lasts."""
    mark = cluster.directory / node / "csi" / name
    if not mark.parent.exists():
        raise TestbedError(f"no node and no storage {node!r} in this testbed")
    return mark
