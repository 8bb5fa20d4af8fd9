"""Watches the control plane that pie uses, and has runs start more slowly while it lags."""

from typing import Final

from pie.controller.paces import Paces
from pie.controller.probes import Probes
from pie.controller.queue import Lane, WorkQueue
from pie.controller.targets import Targets
from pie.core.pace.late import Late, late
from pie.core.pace.throttle import throttle
from pie.kube.client import Client
from pie.kube.strain import Strain

LOOK_SECONDS: Final = 5.0
_LONGEST_PERIOD_SECONDS: Final = 60.0
"""The pace follows the control plane at least so fast, also where all periods are long."""


class StrainWatch:
    """Looks at the requests of pie and at the runs of all targets, every few seconds."""

    def __init__(
        self, client: Client, queue: WorkQueue, *, probes: Probes, targets: Targets, paces: Paces
    ) -> None:
        self._client = client
        self._queue = queue
        self._probes = probes
        self._targets = targets
        self._paces = paces
        self._strain = Strain()
        self._late = Late()
        queue.handle("strain", self._look, Lane.JUDGES)

    def start(self) -> None:
        """Begin to lead."""
        self._strain = self._now()
        self._queue.add("strain", "", after_seconds=LOOK_SECONDS)

    def _now(self) -> Strain:
        found = self._client.strain
        return Strain(found.calls, found.refused, found.slow)

    async def _look(self, _: str) -> None:
        now, before, strain = self._client.now(), self._strain, self._now()
        ids = self._probes.ids()
        found = late((state for each in ids for state in self._targets.of(each)), now)
        observed = found.since(
            self._late,
            calls=strain.calls - before.calls,
            refused=strain.refused - before.refused,
            slow=strain.slow - before.slow,
        )
        self._strain, self._late = strain, found
        specs = [spec for each in ids if (spec := self._probes.spec(each)) is not None]
        shortest = min((spec.real_period_seconds for spec in specs), default=_LONGEST_PERIOD_SECONDS)
        period_seconds = min(shortest, _LONGEST_PERIOD_SECONDS)
        self._paces.spare(throttle(self._paces.throttle, observed, now, period_seconds))
        self._queue.add("strain", "", after_seconds=LOOK_SECONDS)
