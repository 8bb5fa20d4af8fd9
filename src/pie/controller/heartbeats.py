"""Whether a node's kubelet is alive, which Kubernetes itself notices only after some 50 seconds.

A bad run on a node that has just died is no fault of the storage, but the node does not say so yet. So a bad
run is doubted for a moment, in which the watch of nodes catches up with that of pods. A kubelet that missed a
renewal of its Lease has until the Lease runs out to come back, and then some time to report its new boot.
Once the Lease has run out, the node is silent, and that excuses the run.
"""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from pie.controller.caches import Caches
from pie.controller.queue import Lane, WorkQueue
from pie.core.judge import Judgement
from pie.core.maintenance.excuse import SLACK_SECONDS
from pie.core.maintenance.heartbeat import Heartbeat, NodeLease, Pulse, heartbeat, pulse, silence
from pie.core.maintenance.now import Suppression
from pie.core.reasons import Reason
from pie.kube.client import Client
from pie.kube.errors import Forbidden, NotFound
from pie.kube.resources import LEASES, NODES
from pie.kube.watchstream import Marked

_NAMESPACE = "kube-node-lease"
_CROWD = 20
"""If more nodes are in doubt, all their Leases are read at once, as one list."""
_FORBIDDEN_SECONDS = 300.0
"""Where the list is not allowed, it is tried again after so long."""
_SHARED_SECONDS = 5.0
"""A look at a Lease is good for everybody who wants one within this time."""
# The watch of nodes may be so far behind that of pods; and what explains a run may come so soon after it.
_CATCH_UP_SECONDS = SLACK_SECONDS + 1.0
# A kubelet that starts after a reboot reports its lost containers and its new boot in either order.
_REBOOT_SECONDS = 10.0
_LIKE_A_REBOOT = frozenset({Reason.NO_RESULT, Reason.KILLED})
_ASK_AGAIN_SECONDS = 3.0

OnSilence = Callable[[str, Suppression, float], None]


class Heartbeats:
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


@dataclass(slots=True)
class _Doubt:
    """What a run on a node was said to be; whether that is believed.

    It is doubted from `since` until `until` at least (the API server's clock). `before` is the first of those
    looks at its node's Lease that all showed the same renewal, `pulse` what they say. `believed`: it is
    doubted no more, or not before `again_at`.
    """

    said: tuple[bool | None, bool | None]
    node: str
    since: float
    until: float
    looked_at: float = 0.0
    before: Heartbeat | None = None
    pulse: Pulse | None = None
    believed: bool = False
    again_at: float = float("inf")


class Doubts:
    """Bad runs that are not believed yet, by the uids of their Jobs.

    `on_silence(node, why, until)` is told of a node whose kubelet is silent.
    """

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue, on_silence: OnSilence) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._on_silence = on_silence
        self._heartbeats = Heartbeats(client)
        self._doubts: dict[str, _Doubt] = {}
        queue.handle("doubt", self._look, Lane.READS)

    def believes(self, uid: str, judgement: Judgement, node: str) -> bool:
        """Tell whether a bad run on a node may be held against it; else it is judged again in a moment."""
        said = (judgement.on_time, judgement.succeeded)
        known, now = self._doubts.get(uid), self._client.now()
        if known is None or known.said != said or now >= known.again_at:
            until = now + (_REBOOT_SECONDS if judgement.reason in _LIKE_A_REBOOT else _CATCH_UP_SECONDS)
            fresh = _Doubt(said, node, now, until)
            if known is not None and not known.believed:
                fresh = replace(known, said=said, since=now, until=max(until, known.until))
            known = self._doubts[uid] = fresh
            # At once: a kubelet that is quiet now and renews soon has come back, and will report its boot.
            self._queue.add("doubt", uid)
        return known.believed

    def forget(self, uid: str) -> None:
        """Forget a run that is gone."""
        self._doubts.pop(uid, None)

    async def _look(self, thing: Hashable) -> None:
        uid = str(thing)
        if (doubt := self._doubts.get(uid)) is None or doubt.believed:
            return
        wait_seconds = await self._wait_seconds(doubt)
        if wait_seconds is None:
            doubt.believed = True
        else:
            self._queue.add("doubt", uid, after_seconds=wait_seconds)
        self._queue.add("run", uid)

    async def _wait_seconds(self, doubt: _Doubt) -> float | None:
        """Return how long the node may need to say more; None: what is known of it is all there is."""
        if doubt.node and (doubt.pulse is None or doubt.pulse.look_again_seconds is not None):
            found = await self._feel(doubt)
            if found.silent or found.look_again_seconds is not None:
                return found.look_again_seconds
        now = self._client.now()
        if now < doubt.until:
            return doubt.until - now
        if await self._is_behind(doubt):
            return _ASK_AGAIN_SECONDS
        return None

    async def _feel(self, doubt: _Doubt) -> Pulse:
        """Look at the Lease of a doubted run's node, and note what follows from it."""
        in_doubt = {each.node for each in self._doubts.values() if not each.believed}
        others, after = len(in_doubt - {doubt.node}), doubt.looked_at
        beat = await self._heartbeats.look(doubt.node, after=after, others=others)
        doubt.looked_at = self._client.now()
        earlier, before = doubt.pulse, doubt.before
        found = doubt.pulse = pulse(beat, before)
        if before is None or beat is None or before.renewal != beat.renewal:
            doubt.before = beat
        now = self._client.now()
        if found.silent and beat is not None and found.quiet_since is not None:
            self._on_silence(doubt.node, silence(beat, found.quiet_since), now)
            # If that does not explain the run, nothing will; one that goes on is doubted again.
            doubt.again_at = now + beat.duration_seconds
        elif earlier is not None and earlier.quiet_since is not None and found.quiet_since is None:
            doubt.until = max(doubt.until, now + _REBOOT_SECONDS)
        return found

    async def _is_behind(self, doubt: _Doubt) -> bool:
        """Tell whether the API server may know more of the node than the watch has brought."""
        nodes = self._caches.nodes
        if nodes.heard_at >= (doubt.until if doubt.node else doubt.since):
            return False
        crowd = sum(not each.believed for each in self._doubts.values()) > _CROWD
        if doubt.node and not crowd:
            seen = nodes.store.get(("", doubt.node))
            found = await self._client.get_or_none(NODES, doubt.node, decode=Marked)
            versions = [each.metadata.resource_version if each is not None else "" for each in (seen, found)]
            if versions[0] == versions[1]:
                return False
        # Bound to none of them, any of them may explain it; of many, one list says it all.
        nodes.confirm()
        return True
