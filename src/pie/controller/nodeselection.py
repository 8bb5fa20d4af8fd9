"""Which nodes a PieProbe matches, and what of it is paused: its class, and where volumes of it can be used.

CSINodes are not watched: what is asked of them hardly ever changes. A few are read instead.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

import structlog

from pie.controller.caches import Caches
from pie.controller.problems import problem
from pie.core import selector
from pie.core.kinds import KINDS
from pie.core.model import Probe
from pie.core.preflight import ClassWarning, Pause, fs_type, preflight, topology_segments, warnings
from pie.core.suitable import unsuitable
from pie.core.volumeobjects import CSIDriver
from pie.core.wire import CSINode, StorageClass
from pie.kube.client import Client
from pie.kube.errors import KubeError
from pie.kube.resources import CSI_DRIVERS, CSI_NODES

_log = structlog.get_logger()

_POLICY_SECONDS: Final = 600.0
"""A driver's CSIDriver hardly ever changes."""

_MOST_NODES: Final = 10
"""So many CSINodes are read in one selection to find one that lists the driver."""


@dataclass(frozen=True, slots=True)
class NodeSelection:
    """The nodes that match, by name, what is paused, and what of the class probably cannot work.

    `complete`: the driver's topology keys are known.
    """

    nodes: set[str]
    paused: dict[str, Pause]
    complete: bool = True
    warnings: tuple[ClassWarning, ...] = ()


class NodeFinder:
    """Makes surveys. It remembers each driver's topology keys, for while no node lists it (an upgrade)."""

    def __init__(self, client: Client, caches: Caches) -> None:
        self._client = client
        self._caches = caches
        self._keys: dict[str, tuple[str, ...]] = {}
        self._next: dict[str, int] = {}
        self._policies: dict[str, tuple[str, float]] = {}

    def by_topology(self, probe: Probe) -> bool:
        """Tell whether the driver's topology decides what is paused: claims are bound before pods are."""
        storage_class = self._class(probe)
        binds_at_once = storage_class is not None and storage_class.volume_binding_mode == "Immediate"
        return binds_at_once and any(row.per_node and row.enabled(probe) for row in KINDS.values())

    async def find(self, probe: Probe) -> NodeSelection:
        """Return how things are now. An incomplete selection is worth repeating after a minute."""
        keys: tuple[str, ...] | None = ()
        unread: KubeError | None = None
        storage_class = self._class(probe)
        if storage_class is not None and self.by_topology(probe):
            try:
                keys = await self._topology_keys(storage_class.driver, sorted(self._matching(probe)))
            except KubeError as error:
                keys, unread = None, error
        policy = await self._fs_group_policy(storage_class)
        # Looked up again after the requests: classes and nodes come and go meanwhile.
        matching = self._matching(probe)
        segments = topology_segments(keys or (), matching.values())
        storage_class = self._class(probe)
        paused = preflight(probe, storage_class, len(matching), segments)
        if unread is not None:
            reason, words = problem(unread)
            message = (
                f"the topology of the driver of StorageClass {probe.storage_class} is not known: {words}"
            )
            for row in KINDS.values():
                if row.per_node:
                    paused.setdefault(row.name, Pause(reason, message, keep=True))
        return NodeSelection(
            set(matching),
            paused,
            complete=keys is not None or not matching,
            warnings=warnings(probe, storage_class, policy),
        )

    async def _fs_group_policy(self, storage_class: StorageClass | None) -> str:
        """Return whose fsGroup a class's driver applies, where that decides anything; empty: not known."""
        if storage_class is None or fs_type(storage_class) or not storage_class.driver:
            return ""
        driver, now = storage_class.driver, self._client.now()
        policy, asked_at = self._policies.get(driver, ("", -math.inf))
        if now < asked_at + _POLICY_SECONDS:
            return policy
        try:
            found = await self._client.get_or_none(CSI_DRIVERS, driver, decode=CSIDriver)
        except KubeError as error:
            _log.debug("the CSIDriver is not known", driver=driver, error=str(error))
            return policy
        policy = found.spec.fs_group_policy if found is not None else ""
        self._policies[driver] = policy, now
        return policy

    def _class(self, probe: Probe) -> StorageClass | None:
        return self._caches.storage_classes.store.get(("", probe.storage_class))

    def _matching(self, probe: Probe) -> dict[str, Mapping[str, str]]:
        storage_class = self._class(probe)
        return {
            node.metadata.name: node.metadata.labels
            for node in self._caches.nodes.store.values()
            if selector.matches(probe.node_selector, node.metadata.name, node.metadata.labels)
            and not unsuitable(node, probe, storage_class)
        }

    async def _topology_keys(self, driver: str, nodes: list[str]) -> tuple[str, ...] | None:
        """Return a driver's topology keys; None where no node that was asked lists it, nor ever did.

        Begins with the node that listed the driver last, or where the last selection stopped without one.
        """
        begin = self._next.get(driver, 0) % max(1, len(nodes))
        round_robin = chain(enumerate(nodes[begin:], begin), enumerate(nodes[:begin]))
        for index, node in islice(round_robin, _MOST_NODES):
            self._next[driver] = index
            try:
                found = await self._client.get_or_none(CSI_NODES, node, decode=CSINode)
            except KubeError:
                if driver in self._keys:
                    return self._keys[driver]  # they hardly ever change
                raise
            for entry in found.spec.drivers if found is not None else ():
                if entry.name == driver:
                    self._keys[driver] = entry.topology_keys or ()
                    return self._keys[driver]
            self._next[driver] = index + 1
        return self._keys.get(driver)
