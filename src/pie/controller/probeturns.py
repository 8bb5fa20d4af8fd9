"""The loop of a PieProbe: gather facts, decide by a pure step, act: series, Events and status.

Its incidents are in its status, where the next controller finds them.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from pie.controller.caches import Caches
from pie.controller.events import EventWriter
from pie.controller.objects import Objects
from pie.controller.paces import Paces
from pie.controller.probefacts import FactsOfProbes
from pie.controller.queue import SETTLE_SECONDS, Lane, WorkQueue
from pie.controller.statuswriter import StatusWriter
from pie.controller.teardown import Teardown
from pie.core.byclass import WholeStep, by_class, status_of_all, step_all
from pie.core.incidents.cluster import is_open_in
from pie.core.incidents.incident import Incident
from pie.core.incidents.stored import from_status
from pie.core.model import Probed, ProbeId
from pie.core.probestep import ProbeFacts, renewal, wanted
from pie.core.wire import PieProbe
from pie.kube.client import Client
from pie.serve.incidentgauge import IncidentGauge

_LOOK_AT_VOLUMES_SECONDS: Final = 10.0
"""While the volumes of a class are replaced."""


class ProbeTurns:
    """What is reported of PieProbes. `revision` grows with each change of an incident."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        facts: FactsOfProbes,
        objects: Objects,
        teardown: Teardown,
        events: EventWriter,
        paces: Paces,
        series: IncidentGauge,
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._facts = facts
        self._objects = objects
        self._teardown = teardown
        self._events = events
        self._paces = paces
        self._series = series
        self._status = StatusWriter(client, caches, queue)
        self._incidents: dict[ProbeId, tuple[str, tuple[Incident, ...]]] = {}
        self.revision = 0
        queue.handle("probe", self._turn, Lane.JUDGES)

    def start(self) -> None:
        """Begin to lead: look at every PieProbe."""
        self._wake_all()
        self._client.refusals.listen(self._wake_all)

    def _wake_all(self) -> None:
        for probe in self._caches.probes.store.values():
            self._queue.add("probe", probe.id, after_seconds=SETTLE_SECONDS)

    # What other parts read.

    def incidents(self, probe: PieProbe) -> tuple[Incident, ...]:
        """Return the incidents of a PieProbe; before its first turn, those in its status."""
        uid, known = self._incidents.get(probe.id, ("", ()))
        return known if uid == probe.metadata.uid else tuple(from_status(probe.status))

    def _of_others(self, probe: PieProbe) -> list[Incident]:
        """Return the incidents of all other PieProbes."""
        others = (each for each in self._caches.probes.store.values() if each is not probe)
        return [incident for each in others for incident in self.incidents(each)]

    def status(self, probe: PieProbe) -> dict[str, Any] | None:
        """Return the status as it is now; None: the spec was not read yet."""
        facts = self._facts.gather(probe)
        return status_of_all(facts, self.incidents(probe), self._client.now()) if facts is not None else None

    # Gather, decide, act.

    async def _turn(self, of: ProbeId) -> None:
        if (stored := self._caches.probe(of)) is None:
            self._incidents.pop(of, None)
            self._teardown.forget(of)
            self._series.keep(of, ())
            self._status.forget(of)
            self._paces.note(of, None)
            return
        before, facts, now = self.incidents(stored), self._facts.gather(stored), self._client.now()
        if facts is not None:
            self._renew(of, facts)
        if facts is not None and (costs := wanted(facts)) is not None:
            self._paces.note(of, costs)
            facts = [replace(each, pace=self._paces.of(of)) for each in facts]
        others = self._of_others(stored)
        done = step_all(before, facts, now, others) if facts is not None else WholeStep(before)
        self._incidents[of] = stored.metadata.uid, done.incidents
        self.revision += done.incidents != before
        new = [each for each in done.opened if not is_open_in(each, others)]
        self._show(stored, [each.storage_class for each in facts or ()], done.incidents, new)
        for storage_class, nodes in done.leaks_explained_on.items():
            self._teardown.explain(Probed(of, storage_class), nodes)
        for incident in (*new, *(each for each in done.closed if not is_open_in(each, others))):
            self._events.report(stored, incident)
        if facts is not None:
            status = status_of_all(facts, done.incidents, now)
            self._status.order(stored, status, urgent=bool(done.opened))
        if done.wake_at is not None:
            self._queue.add("probe", of, after_seconds=max(1.0, done.wake_at - now))

    def _renew(self, of: ProbeId, facts: list[ProbeFacts]) -> None:
        """Have PVCs of a class that has changed replaced, one after the other."""
        now, pending = renewal(facts)
        if now is not None:
            self._objects.renew(*now)
        if pending:
            self._queue.add("probe", of, after_seconds=_LOOK_AT_VOLUMES_SECONDS)

    def _show(
        self, stored: PieProbe, known: list[str], incidents: Iterable[Incident], new: Iterable[Incident]
    ) -> None:
        """Show and count the incidents of each class."""
        of = stored.id
        classes = [each for each in known if each] or list(stored.storage_classes)
        self._series.keep(of, classes)
        if not classes:
            return
        of_class, opened = by_class(incidents, classes), by_class(new, classes)
        for each in classes:
            self._series.show(Probed(of, each), of_class[each])
            self._series.count(Probed(of, each), opened[each])
