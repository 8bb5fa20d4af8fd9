"""Whether a node's kubelet still speaks, which Kubernetes itself notices only after some 50 seconds.

A bad run on a node that has just died is no fault of the storage, but nothing says so yet. So a bad run is
doubted for a moment, in which the watch of nodes catches up with that of pods; and if the node's kubelet is
silent, until Kubernetes has had the time to call the node NotReady, or the kubelet to tell of its new boot.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

import structlog

from pie.controller.caches import Caches
from pie.controller.queue import Lane, WorkQueue
from pie.core.judge import Judgement
from pie.core.maintenance.excuse import NODE_CONTROLLER_SECONDS, SLACK_SECONDS
from pie.core.reasons import Reason
from pie.kube.client import Client
from pie.kube.errors import Forbidden, NotFound
from pie.kube.lease import Lease
from pie.kube.resources import LEASES, NODES
from pie.kube.watchstream import Marked

_log = structlog.get_logger()

_NAMESPACE = "kube-node-lease"
# A kubelet renews its lease at a quarter of its duration; one renewal may be lost on the way.
_SILENT_PART = 0.4
_USUAL_DURATION_SECONDS = 40
# The watch of nodes may be so far behind that of pods; and what explains a run may come so soon after it.
_CATCH_UP_SECONDS = SLACK_SECONDS + 1.0
# A kubelet that starts after a reboot tells of its lost containers and of its new boot in either order.
_REBOOT_SECONDS = 10.0
_LIKE_A_REBOOT = frozenset({Reason.NO_RESULT, Reason.KILLED})
_ASK_AGAIN_SECONDS = 3.0


class Heartbeats:
    """Reads the leases of nodes, one at a time, for bad runs only."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def silent(self, node: str) -> bool:
        """Tell whether the node's kubelet has missed a heartbeat; a node without a lease has not."""
        try:
            lease = await self._client.get(LEASES, node, _NAMESPACE, decode=Lease)
        except NotFound:
            return False
        except Forbidden as error:
            _log.warning("cannot read the leases of nodes; is the chart's role there?", error=str(error))
            return False
        try:
            renewed = datetime.fromisoformat(lease.spec.renew_time or "").timestamp()
        except ValueError:
            return False
        duration_seconds = lease.spec.lease_duration_seconds or _USUAL_DURATION_SECONDS
        return self._client.now() - renewed > _SILENT_PART * duration_seconds


@dataclass(slots=True)
class _Doubt:
    """What a run on a node was said to be; whether that is believed.

    It has been doubted since `since`, and is until `until` at least (the API server's clock). `silent`: the
    node's kubelet was, when last asked.
    """

    said: tuple[bool | None, bool | None]
    node: str
    since: float
    until: float
    silent: bool = False
    believed: bool = False


class Doubts:
    """Bad runs that are not believed yet, by the uids of their Jobs."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._heartbeats = Heartbeats(client)
        self._doubts: dict[str, _Doubt] = {}
        queue.handle("doubt", self._look, Lane.READS)

    def believes(self, uid: str, judgement: Judgement, node: str) -> bool:
        """Tell whether a bad run on a node may be held against it; else it is judged again in a moment."""
        said = (judgement.on_time, judgement.succeeded)
        known = self._doubts.get(uid)
        if known is None or known.said != said:
            now = self._client.now()
            until = now + (_REBOOT_SECONDS if judgement.reason in _LIKE_A_REBOOT else _CATCH_UP_SECONDS)
            if known is None:
                known = _Doubt(said, node, now, until)
            else:
                known = _Doubt(said, node, now, max(until, known.until), known.silent)
            self._doubts[uid] = known
            # At once: a kubelet that is silent now and speaks soon has come back, and will tell of its boot.
            self._queue.add("doubt", uid)
        return known.believed

    def forget(self, uid: str) -> None:
        """Forget a run that is gone."""
        self._doubts.pop(uid, None)

    async def _look(self, thing: Hashable) -> None:
        uid = str(thing)
        if (doubt := self._doubts.get(uid)) is None or doubt.believed:
            return
        patient = self._client.now() - doubt.since < NODE_CONTROLLER_SECONDS
        wait_seconds = await self._wait_seconds(doubt) if patient else None
        if wait_seconds is None:
            doubt.believed = True
        else:
            self._queue.add("doubt", uid, after_seconds=wait_seconds)
        self._queue.add("run", uid)

    async def _wait_seconds(self, doubt: _Doubt) -> float | None:
        """Return how long the node may need to tell more; None: what is known of it is all there is."""
        now = self._client.now()
        if doubt.node:
            was_silent, doubt.silent = doubt.silent, await self._heartbeats.silent(doubt.node)
            if was_silent and not doubt.silent:
                doubt.until = max(doubt.until, now + _REBOOT_SECONDS)
        if now < doubt.until:
            return doubt.until - now
        if not doubt.node:
            # Bound to none of them, so any of them may explain it.
            if self._caches.nodes.heard_at >= doubt.since:
                return None
            self._caches.nodes.confirm()
            return _ASK_AGAIN_SECONDS
        if doubt.silent or await self._is_behind(doubt.node):
            return _ASK_AGAIN_SECONDS
        return None

    async def _is_behind(self, name: str) -> bool:
        """Tell whether the API server knows more of a node than the watch has brought."""
        seen = self._caches.nodes.store.get(("", name))
        found = await self._client.get_or_none(NODES, name, decode=Marked)
        versions = [each.metadata.resource_version if each is not None else "" for each in (seen, found)]
        if versions[0] == versions[1]:
            return False
        self._caches.nodes.confirm()
        return True
