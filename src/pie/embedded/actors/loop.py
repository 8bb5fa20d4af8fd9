"""Runs an actor: again after every change of what it watches, and when the time comes that it named."""

import asyncio
from contextlib import suppress
from typing import Final, Never, Protocol

import structlog

from pie.embedded.errors import Refused
from pie.embedded.kinds import Kind
from pie.embedded.machines import Machines
from pie.embedded.store import Change, Store

_log = structlog.get_logger()

_RETRY_SECONDS: Final = 1.0


class Actor(Protocol):
    """A controller. It calls the registry directly, so `reconcile` never waits."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds whose changes it wants to hear of."""

    def reconcile(self) -> float | None:
        """Look at everything and act; return after how many seconds to look again though nothing changed."""


async def run(actor: Actor, store: Store, machines: Machines, reachable: asyncio.Event) -> Never:
    """Run an actor until cancelled; while the API server is gone it can do nothing, and waits."""
    changed = asyncio.Event()
    kinds = actor.kinds

    def note(change: Change) -> None:
        if change.kind in kinds:
            changed.set()

    store.listen(note)
    machines.listen(changed.set)
    while True:
        await reachable.wait()
        changed.clear()
        try:
            wait_seconds = actor.reconcile()
        except Refused as refused:  # as by a namespace that is being deleted: what stands in the way may go
            _log.warning("refused", actor=type(actor).__name__, error=str(refused))
            wait_seconds = _RETRY_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await changed.wait()
