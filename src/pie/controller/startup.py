"""Waits for the first lists, and writes into the status of every PieProbe what keeps pie from starting."""

import asyncio
from typing import Final

import structlog

from pie.controller.caches import Caches
from pie.core.reasons import Reason
from pie.core.status import not_started
from pie.core.wire import PieProbe, rfc3339
from pie.kube.client import Client
from pie.kube.errors import KubeError, NotFound
from pie.kube.repeated import Repeated
from pie.kube.resources import PIE_PROBES

_log = structlog.get_logger()

_EVERY_SECONDS: Final = 10.0


class Startup:
    """The time before the caches are complete: nothing is probed yet, and PieProbes say why."""

    def __init__(self, client: Client, caches: Caches, *, every_seconds: float = _EVERY_SECONDS) -> None:
        self._client = client
        self._caches = caches
        self._every_seconds = every_seconds
        self._repeated = Repeated()

    async def wait_synced(self) -> None:
        """Return when every cache has seen its whole list once."""
        while True:
            try:
                async with asyncio.timeout(self._every_seconds):
                    await self._caches.wait_synced()
            except TimeoutError:
                await self._report()
            else:
                return

    async def _report(self) -> None:
        reason = Reason.PERMISSION_MISSING if self._client.refusals.current() else Reason.SETUP_FAILED
        why = f"pie cannot start: {self._caches.missing()}"
        if self._repeated.write(why) is not None:
            _log.warning("not started yet", waiting_for=self._caches.missing())
        for stored in list(self._caches.probes.store.values()):
            wanted = not_started(
                stored.status, stored.metadata.generation, (reason, why), rfc3339(self._client.now())
            )
            if wanted != {key: stored.status.get(key) for key in wanted}:
                await self._write(stored, wanted)

    async def _write(self, stored: PieProbe, wanted: dict[str, object]) -> None:
        metadata = stored.metadata
        try:
            await self._client.merge_patch(
                PIE_PROBES,
                metadata.name,
                {"metadata": {"uid": metadata.uid}, "status": wanted},
                metadata.namespace,
                subresource="status",
                decode=PieProbe,
            )
        except NotFound:
            _log.debug("PieProbe is gone", name=metadata.name)
        except KubeError as error:
            if self._repeated.write(type(error).__name__) is not None:
                _log.warning("status not written", name=metadata.name, error=str(error))
