"""Reads the Leases of nodes: they show that a kubelet is silent before Kubernetes calls it NotReady."""

from typing import Final

from pie.core.maintenance.heartbeat import Heartbeat, NodeLease, heartbeat
from pie.kube.client import Client, Dated
from pie.kube.errors import Forbidden, NotFound
from pie.kube.resources import LEASES
from pie.kube.sharedlist import SharedList

_NAMESPACE: Final = "kube-node-lease"
_SHARED_SECONDS: Final = 5.0
"""A Lease that was read is used for all questions within this time."""


class NodeLeases:
    """Reads the Leases of nodes, for bad runs only: a few by name, those of many nodes as one list."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._leases = SharedList(client, LEASES, _NAMESPACE, decode=NodeLease)

    async def look(self, node: str, *, after: float = 0.0) -> Heartbeat | None:
        """Return what a node's Lease shows; None: it has none that pie may read.

        The Lease must be read after `after`.
        """
        since = max(after + 0.001, self._client.now() - _SHARED_SECONDS)
        try:
            found = await self._leases.dated(node, since)
        except Forbidden:
            found = await self._by_name(node)
        return heartbeat(found.item, found.answered_seconds) if found is not None else None

    async def _by_name(self, node: str) -> Dated[NodeLease] | None:
        """Read one Lease: the role of an earlier release allows no list."""
        try:
            return await self._client.get_dated(LEASES, node, _NAMESPACE, decode=NodeLease)
        except (NotFound, Forbidden):
            return None
