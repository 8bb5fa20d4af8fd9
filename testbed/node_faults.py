"""Faults of whole nodes, each with its undo: power, and what administrators and cluster managers do."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from testbed.api import CONFLICT, Api, ApiError
from testbed.errors import TestbedError

POLL_SECONDS = 0.2
BOOT_SECONDS = 180
_TRIES = 10

Taint = Mapping[str, str]


class NodesCluster(Protocol):
    """The parts of a testbed that faults of nodes need."""

    @property
    def api(self) -> Api:
        """The API server."""

    async def power_off(self, node: str) -> None:
        """Power a node off."""

    async def power_on(self, node: str) -> None:
        """Boot a node again."""

    @property
    def directory(self) -> Path:
        """The directory with the nodes' directories."""

    async def kill(self, name: str) -> None:
        """End a process at once."""

    async def start(self, name: str) -> None:
        """Start a process that has ended."""

    async def processes(self) -> dict[str, bool]:
        """Return which processes run."""


@dataclass(frozen=True, slots=True)
class NodeFault:
    """A fault of a node. Both functions get the cluster, the node, and the taint, which one of them needs.

    `boots`: the node is on after the undo, but its CSI driver may not answer yet.
    """

    meaning: str
    inflict: Callable[[NodesCluster, str, str], Awaitable[None]]
    undo: Callable[[NodesCluster, str, str], Awaitable[None]]
    boots: bool = False


async def until_ready(cluster: NodesCluster, node: str) -> None:
    """Return when a node is Ready."""
    try:
        async with asyncio.timeout(BOOT_SECONDS):
            while not await _ready(cluster, node):  # noqa: ASYNC110  the other side is a kubelet
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise TestbedError(f"{node} is not Ready after {BOOT_SECONDS} s") from None


async def _ready(cluster: NodesCluster, node: str) -> bool:
    found = await cluster.api.find(_path(node))
    conditions = found["status"].get("conditions", []) if found is not None else []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


async def _reboot(cluster: NodesCluster, node: str, taint: str) -> None:
    await _power_off(cluster, node, taint)
    await _power_on(cluster, node, taint)


async def _power_off(cluster: NodesCluster, node: str, _: str) -> None:
    await cluster.power_off(node)


async def _power_on(cluster: NodesCluster, node: str, _: str) -> None:
    await cluster.power_on(node)
    await until_ready(cluster, node)


async def _booted(cluster: NodesCluster, node: str, _: str) -> None:
    await until_ready(cluster, node)


async def _cordon(cluster: NodesCluster, node: str, _: str) -> None:
    await cluster.api.patch(_path(node), {"spec": {"unschedulable": True}})


async def _uncordon(cluster: NodesCluster, node: str, _: str) -> None:
    await cluster.api.patch(_path(node), {"spec": {"unschedulable": None}})


async def _taint(cluster: NodesCluster, node: str, taint: str) -> None:
    added = parse_taint(taint)
    await _change_taints(cluster, node, lambda taints: [*taints, added])


async def _untaint(cluster: NodesCluster, node: str, taint: str) -> None:
    gone = parse_taint(taint)
    await _change_taints(
        cluster,
        node,
        lambda taints: [
            each for each in taints if (each["key"], each["effect"]) != (gone["key"], gone["effect"])
        ],
    )


async def _change_taints(
    cluster: NodesCluster, node: str, change: Callable[[list[Taint]], list[Taint]]
) -> None:
    """Change a node's taints; start again if the node was changed at the same time."""
    for _ in range(_TRIES):
        found = await cluster.api.get(_path(node))
        taints: list[Any] = change(found["spec"].get("taints") or [])
        version = found["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"taints": taints or None}}
        try:
            await cluster.api.patch(_path(node), body)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
        else:
            return
    raise TestbedError(f"{node} was changed by others {_TRIES} times while its taints were to be changed")


def parse_taint(text: str) -> dict[str, str]:
    """Read a taint as `kubectl taint` takes it, `key=value:Effect` or `key:Effect`."""
    marked, _, effect = text.rpartition(":")
    key, _, value = marked.partition("=")
    if not key or effect not in {"NoSchedule", "PreferNoSchedule", "NoExecute"}:
        raise TestbedError(f"{text!r} is no taint: it must be like key=value:NoSchedule or key:NoExecute")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})


def _path(node: str) -> str:
    return f"/api/v1/nodes/{node}"


NODE_FAULTS: Mapping[str, NodeFault] = {
    "power-off": NodeFault(
        "the node has no power; nobody tells the API server", _power_off, _power_on, boots=True
    ),
    "reboot": NodeFault(
        "the node boots without a word, and has another boot ID", _reboot, _booted, boots=True
    ),
    "cordoned": NodeFault("the node is unschedulable, as by `kubectl cordon`", _cordon, _uncordon),
    "tainted": NodeFault("the node has one taint more (`taint`)", _taint, _untaint),
}
"""Every fault of a node by name, except missing processes."""
