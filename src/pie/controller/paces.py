"""How fast the runs of each PieProbe start, and since when: as budgets and control plane allow."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from pie.controller.caches import Caches
from pie.controller.probes import Probes
from pie.controller.queue import SETTLE_SECONDS, Lane, WorkQueue
from pie.core.model import Probe, ProbeId, RunnerKind
from pie.core.pace.budget import Pace, Wanted, paces
from pie.core.pace.condition import BEFORE, was_throttled
from pie.core.pace.parts import ALWAYS, PacePart, changed, faster_at, stored_every
from pie.core.pace.throttle import LEAST, Throttle
from pie.serve.paceseries import PaceSeries

_log = structlog.get_logger()


class Paces:
    """The pace of each PieProbe. `revision` grows with each change.

    `budget` is what all PieProbes may cause together, writes and Events in a second; None: no limit.
    """

    def __init__(
        self,
        caches: Caches,
        queue: WorkQueue,
        *,
        probes: Probes,
        budget: float | None,
        now: Callable[[], float],
        series: PaceSeries,
    ) -> None:
        self._caches = caches
        self._queue = queue
        self._probes = probes
        self._budget = budget
        self._now = now
        self._series = series
        self._wanted: dict[ProbeId, Wanted] = {}
        self._parts: dict[ProbeId, tuple[PacePart, ...]] = {}
        self._paces: dict[ProbeId, Pace] = {}
        self._could_be_faster: dict[ProbeId, float] = {}
        self.throttle = Throttle()
        self.revision = 0
        queue.handle("pace", self._look_again, Lane.JUDGES)

    def parts(self, probe: Probe) -> tuple[PacePart, ...]:
        """Return since when the effective period is what it is; at first as the former leader left it."""
        if (found := self._parts.get(probe.id)) is None:
            found = self._parts[probe.id] = self._stored(probe)
        return found

    def _stored(self, probe: Probe) -> tuple[PacePart, ...]:
        stored = self._caches.probe(probe.id)
        if stored is None or probe.runner is not RunnerKind.POD:
            return ALWAYS
        every = stored_every(stored.status, probe.period_seconds)
        if was_throttled(stored.status) and not self.throttle.on:
            # The control plane lagged a moment ago.
            part = max(LEAST, 1 / every)
            self.throttle = replace(self.throttle, part=part, changed_at=self._now(), signs=(BEFORE,))
        return (PacePart(every=every),)

    def of(self, probe: ProbeId) -> Pace:
        """Return the pace of a PieProbe now."""
        return self._paces.get(probe) or Pace()

    def note(self, probe: ProbeId, wanted: Wanted | None) -> None:
        """Note what a PieProbe would cost, or that it is gone; slow down all as far as needed."""
        if wanted is None:
            for table in (self._wanted, self._parts, self._paces, self._could_be_faster):
                table.pop(probe, None)
            self._series.remove(probe)
        elif (before := self._wanted.get(probe)) == wanted:
            return
        else:
            if before is not None and before.budget != wanted.budget:
                self._could_be_faster[probe] = 0.0  # at once, since somebody wants that
            self._wanted[probe] = wanted
        self.look()

    def spare(self, found: Throttle) -> None:
        """Have runs start at this part of their pace."""
        before, self.throttle = self.throttle, found
        self._series.show_throttle(found)
        if (before.part, before.signs) == (found.part, found.signs):
            return
        self._could_be_faster = dict.fromkeys(self._wanted, 0.0)
        if before.on != found.on:
            _log.warning("throttled" if found.on else "not throttled any more", signs=list(found.signs))
        self.look()
        for probe in self._probes.ids():
            self._queue.add("probe", probe, after_seconds=SETTLE_SECONDS)

    async def _look_again(self, _: str) -> None:
        self.look()

    def _steady(self, spec: Probe, wish: Pace, every: int) -> Pace:
        """Return the pace that is wished for; a faster one only when it could be so for a while."""
        if wish.every >= every:
            self._could_be_faster.pop(spec.id, None)
            return wish
        now = self._now()
        at = faster_at(self._could_be_faster.setdefault(spec.id, now), spec.real_period_seconds)
        if now >= at:
            del self._could_be_faster[spec.id]
            return wish
        self._queue.add("pace", "", after_seconds=at - now)
        return replace(wish, every=every)

    def look(self) -> None:
        """Decide all paces anew, once all PieProbes are known."""
        specs = {each: spec for each in self._probes.ids() if (spec := self._probes.spec(each)) is not None}
        unread = (each for each in self._caches.probes.store.values() if not self._probes.known(each.id))
        if self._wanted.keys() != specs.keys() or any(unread):
            return
        before = {each: self.parts(spec)[-1].every for each, spec in specs.items()}
        found = paces(self._wanted, self._budget, part=self.throttle.part, before=before)
        for probe, wish in found.items():
            pace = self._steady(specs[probe], wish, before[probe])
            state = self._probes.get(probe)
            several = state is not None and len(state.classes) > 1
            self._series.show(replace(specs[probe], storage_class="") if several else specs[probe], pace)
            if pace == self._paces.get(probe):
                continue
            self._paces[probe] = pace
            self._parts[probe] = changed(self.parts(specs[probe]), pace.every, self._now())
            self.revision += 1
            self._queue.add("targets", probe)
            self._queue.add("probe", probe, after_seconds=SETTLE_SECONDS)
            if pace.every != before[probe]:
                _log.info("the effective period is another", probe=str(probe), periods=pace.every)
