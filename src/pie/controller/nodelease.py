"""Reads the Leases of nodes, which say whether a kubelet is alive some time before Kubernetes notices."""

import asyncio
from typing import Final

from pie.core.maintenance.heartbeat import Heartbeat, NodeLease, heartbeat
from pie.kube.client import Client
from pie.kube.errors import Forbidden, NotFound
from pie.kube.resources import LEASES

_NAMESPACE: Final = "kube-node-lease"
_CROWD: Final = 20
"""If more nodes are in doubt, all their Leases are read at once, as one list."""

_SHARED_SECONDS: Final = 5.0
"""A look at a Lease is good for everybody who wants one within this time."""

_FORBIDDEN_SECONDS: Final = 300.0
"""Where the list is not allowed, it is tried again after so long."""


class NodeLeases:
    """Reads the Leases of nodes, for bad runs only; what was read a moment ago is shared."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._looks: dict[str, tuple[float, Heartbeat | None]] = {}
        self._listed_at = float("-inf")
        self._listing = asyncio.Lock()
        self._list_from = float("-inf")

    async def look(self, node: str, *, after: float = 0.0, others: int = 0) -> Heartbeat | None:
        """Return what a node's Lease shows; None: it has none.

        `after`: by the looker's last look at it. `others`: how many more nodes are in doubt.
        """
        since = max(after + 0.001, self._client.now() - _SHARED_SECONDS)
        if others >= _CROWD and self._client.now() >= self._list_from:
            await self._list(since)
        looked_at, found = self._looks.get(node, (self._listed_at, None))
        if looked_at >= since:
            return found
        self._looks = {name: look for name, look in self._looks.items() if look[0] >= since}
        looked_at = self._client.now()
        found = await self._get(node)
        self._looks[node] = (looked_at, found)
        return found

    async def _get(self, node: str) -> Heartbeat | None:
        try:
            lease = await self._client.get_dated(LEASES, node, _NAMESPACE, decode=NodeLease)
        except (NotFound, Forbidden):
            return None
        return heartbeat(lease.item, lease.answered_seconds)

    async def _list(self, since: float) -> None:
        """Read the Leases of all nodes, unless somebody did since then."""
        async with self._listing:
            asked_at = self._client.now()
            if self._listed_at >= since:
                return
            found: dict[str, tuple[float, Heartbeat | None]] = {}
            token, more = "", True
            try:
                while more:
                    page = await self._client.list_page(LEASES, _NAMESPACE, decode=NodeLease, continue_=token)
                    for lease in page.items:
                        found[lease.metadata.name] = asked_at, heartbeat(lease, page.answered_seconds)
                    token = page.continue_
                    more = bool(token)
            except Forbidden:
                self._list_from = self._client.now() + _FORBIDDEN_SECONDS
                return
            self._looks, self._listed_at = found, asked_at
