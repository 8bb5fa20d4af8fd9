"""Writes the status of PieProbes: only on change, at most every ten seconds, and shorter if it is refused."""

from dataclasses import dataclass
from typing import Any, Final

import structlog

from pie.controller.caches import Caches
from pie.controller.queue import WorkQueue
from pie.core.model import ProbeId
from pie.core.shorter import SHORTEST, refuses_content, shortened
from pie.core.wire import PieProbe
from pie.kube.client import Client
from pie.kube.errors import ApiError, NotFound
from pie.kube.resources import PIE_PROBES

_log = structlog.get_logger()

_INTERVAL_SECONDS: Final = 10.0
_SHORT_SECONDS: Final = 3600.0
"""After a refusal, the status stays shorter for this long; then pie tries the whole status again."""

_NO_CHANGE: Final = {"lastProvisionTime"}
"""It changes with each run, so it is written only together with another change."""


@dataclass(frozen=True, slots=True)
class _Order:
    """The status that a PieProbe (by uid) is to have."""

    uid: str
    status: dict[str, Any]
    urgent: bool


class StatusWriter:
    """The newest status of each PieProbe, until it is written."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._orders: dict[ProbeId, _Order] = {}
        self._written_at: dict[ProbeId, float] = {}
        self._short: dict[ProbeId, tuple[int, float]] = {}
        queue.handle("status", self._write)

    def order(self, stored: PieProbe, status: dict[str, Any], *, urgent: bool) -> None:
        """Order that a status is written, an urgent one at once; a newer order replaces an older one."""
        of, uid = stored.id, stored.metadata.uid
        before = self._orders.get(of)
        urgent = urgent or (before is not None and before.uid == uid and before.urgent)
        self._orders[of] = _Order(uid, status, urgent)
        wait_seconds = self._written_at.get(of, 0.0) + _INTERVAL_SECONDS - self._client.now()
        self._queue.add("status", of, after_seconds=0.0 if urgent else wait_seconds)

    def forget(self, of: ProbeId) -> None:
        """Forget a PieProbe that is gone."""
        for table in (self._orders, self._written_at, self._short):
            table.pop(of, None)

    async def _write(self, of: ProbeId) -> None:
        stored, order = self._caches.probe(of), self._orders.get(of)
        if order is None or stored is None or stored.metadata.uid != order.uid:
            return
        wanted = shortened(order.status, self._step(of))
        if any(stored.status.get(key) != wanted[key] for key in wanted.keys() - _NO_CHANGE):
            try:
                await self._write_what_fits(stored, order)
            except NotFound:
                _log.debug("PieProbe is gone", probe=str(of))
                return
            self._written_at[of] = self._client.now()
        if self._orders.get(of) is order:
            del self._orders[of]

    async def _write_what_fits(self, stored: PieProbe, order: _Order) -> None:
        """Write a status; each time the API server refuses it, leave out more."""
        of = stored.id
        while True:
            step = self._step(of)
            try:
                await self._client.merge_patch(
                    PIE_PROBES,
                    of.name,
                    {"metadata": {"uid": order.uid}, "status": shortened(order.status, step)},
                    of.namespace,
                    subresource="status",
                    decode=PieProbe,
                    urgent=order.urgent,
                )
            except ApiError as error:
                if step == SHORTEST or not refuses_content(error.status, error.message):
                    raise
                _log.warning("status refused, writing a shorter one", probe=str(of), error=str(error))
                self._short[of] = step + 1, self._client.now()
            else:
                return

    def _step(self, of: ProbeId) -> int:
        """Return the step of `shortened` for the status of a PieProbe."""
        step, since = self._short.get(of, (0, 0.0))
        return step if self._client.now() - since < _SHORT_SECONDS else 0
