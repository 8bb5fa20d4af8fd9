"""The nodes that a PieProbe matches, and its probes that are paused because of class or topology."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from pie.controller.caches import Caches
from pie.core import selector
from pie.core.kinds import KINDS
from pie.core.model import Probe
from pie.core.preflight import (
    SHORTEST_WITH_ATTACH_SECONDS,
    ClassWarning,
    Pause,
    fs_type,
    preflight,
    topology_segments,
    warnings,
)
from pie.core.suitable import unsuitable
from pie.core.volumeobjects import CSIDriver, CSIDriverSpec
from pie.core.wire import StorageClass
from pie.kube.client import Client
from pie.kube.errors import KubeError
from pie.kube.resources import CSI_DRIVERS

_log = structlog.get_logger()

_DRIVER_SECONDS: Final = 600.0
"""A driver's CSIDriver hardly ever changes."""
_UNKNOWN: Final = CSIDriverSpec(attach_required=False)
"""It says nothing, or there is none."""


@dataclass(frozen=True, slots=True)
class NodeSelection:
    """The names of the matching nodes, what is paused, and warnings about the class."""

    nodes: set[str]
    paused: dict[str, Pause]
    warnings: tuple[ClassWarning, ...] = ()


class NodeFinder:
    """Finds the nodes of PieProbes.

    It remembers the topology keys of each driver: during an upgrade no node may list it.
    """

    def __init__(self, client: Client, caches: Caches) -> None:
        self._client = client
        self._caches = caches
        self._keys: dict[str, tuple[str, ...]] = {}
        self._drivers: dict[str, tuple[CSIDriverSpec, float]] = {}

    def by_topology(self, probe: Probe) -> bool:
        """Tell whether the driver's topology decides what is paused, because PVCs are bound before pods."""
        storage_class = self._caches.storage_class(probe.storage_class)
        binds_at_once = storage_class is not None and storage_class.volume_binding_mode == "Immediate"
        return binds_at_once and any(row.per_node and row.enabled(probe) for row in KINDS.values())

    async def find(self, probe: Probe) -> NodeSelection:
        """Return the nodes, and what is paused, as they are now."""
        spec = await self._driver(probe, self._caches.storage_class(probe.storage_class))
        # Read after the request: classes and nodes may have changed meanwhile.
        storage_class, matching = self._caches.storage_class(probe.storage_class), self._matching(probe)
        keys: tuple[str, ...] = ()
        if storage_class is not None and self.by_topology(probe):
            keys = self.topology_keys(storage_class.driver, matching)
        segments = topology_segments(keys, matching.values())
        paused = preflight(probe, storage_class, len(matching), segments, attaches=spec.attach_required)
        return NodeSelection(set(matching), paused, warnings(probe, storage_class, spec.fs_group_policy))

    async def _driver(self, probe: Probe, storage_class: StorageClass | None) -> CSIDriverSpec:
        """Return what a class's driver says of itself, if it matters."""
        short = probe.period_seconds < SHORTEST_WITH_ATTACH_SECONDS
        if storage_class is None or not storage_class.driver or (fs_type(storage_class) and not short):
            return _UNKNOWN
        driver, now = storage_class.driver, self._client.now()
        known, asked_at = self._drivers.get(driver, (_UNKNOWN, -math.inf))
        if now < asked_at + _DRIVER_SECONDS:
            return known
        try:
            found = await self._client.get_or_none(CSI_DRIVERS, driver, decode=CSIDriver)
        except KubeError as error:
            _log.debug("the CSIDriver is not known", driver=driver, error=str(error))
            return known
        spec = found.spec if found is not None else _UNKNOWN
        self._drivers[driver] = spec, now
        return spec

    def _matching(self, probe: Probe) -> dict[str, Mapping[str, str]]:
        storage_class = self._caches.storage_class(probe.storage_class)
        return {
            node.metadata.name: node.metadata.labels
            for node in self._caches.nodes.store.values()
            if selector.matches(probe.node_selector, node.metadata.name, node.metadata.labels)
            and not unsuitable(node, probe, storage_class)
        }

    def topology_keys(self, driver: str, nodes: Iterable[str]) -> tuple[str, ...]:
        """Return a driver's topology keys; empty: no node ever listed the driver."""
        found = (self._caches.csi_nodes.store.get(("", name)) for name in nodes)
        entries = (entry for each in found if each is not None for entry in each.spec.drivers)
        entry = next((entry for entry in entries if entry.name == driver), None)
        if entry is not None:
            self._keys[driver] = entry.topology_keys or ()
        return self._keys.get(driver, ())
