"""Keeps the incidents of each PieProbe: what is bad goes in, one fault after the other comes out.

They live in the status (written by `StatusWriter`), from where the next controller takes them up, and are
announced when they open and close.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from pie.controller.caches import Caches
from pie.controller.events import EventWriter
from pie.controller.maintenance import Maintenance
from pie.controller.queue import Lane, WorkQueue
from pie.core.incidents.close import conclude
from pie.core.incidents.fold import EVERY_NODE, Finding, Incident, View, fold, where_leaks_are_explained
from pie.core.incidents.stored import MOST_IN_STATUS, from_status, to_status
from pie.core.judge import Judgement
from pie.core.model import BAD, Kind, Stage, Target, Verdict
from pie.core.wire import PieProbe
from pie.kube.client import Client
from pie.kube.resources import PIE_PROBES
from pie.serve.incidentgauge import IncidentGauge

_SETTLE_SECONDS: Final = 0.5
"""Verdicts that come together are looked at together."""

_LOOK_AGAIN_SECONDS: Final = 15.0
"""While something is bad: maintenance begins and ends, nodes go, without a verdict of any run."""

LeftBehind = Callable[[str], tuple[tuple[Finding, ...], bool]]


@dataclass(slots=True)
class _Bad:
    """A bad target, the due time of the last run that said so, and when it did."""

    finding: Finding
    last_due: float
    noted_at: float


@dataclass(slots=True)
class _Kept:
    """What is known of one PieProbe."""

    uid: str
    open: tuple[Incident, ...]
    closed: tuple[Incident, ...]
    urgent: bool = False


class IncidentKeeper:
    """The incidents, by PieProbe. `Runs` tells it each verdict, `StatusWriter` asks it for the status.

    `revision` grows with each change.
    """

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        maintenance: Maintenance,
        series: IncidentGauge,
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._maintenance = maintenance
        self._series = series
        self._announcements = EventWriter(client, caches, queue)
        self._live_targets: Callable[[str], Iterable[Target]] = lambda _probe: ()
        self._kept: dict[str, _Kept] = {}
        self._bad: dict[str, dict[Target, _Bad]] = {}
        self._heard: dict[str, dict[Target, float]] = {}
        self._leaks_explained: dict[str, frozenset[str]] = {}
        self._left_behind: LeftBehind = lambda _probe: ((), False)
        self.revision = 0
        queue.handle("incidents", self._look, Lane.JUDGES)

    def start(
        self,
        live_targets: Callable[[str], Iterable[Target]],
        left_behind: LeftBehind,
    ) -> None:
        """Begin to lead: take up every PieProbe's incidents.

        `live_targets` are a PieProbe's targets whose runs count, `left_behind` what its runs left behind, and
        whether that is all known by now.
        """
        self._live_targets = live_targets
        self._left_behind = left_behind
        for stored in self._caches.probes.store.values():
            self._queue.add("incidents", stored.metadata.name, after_seconds=_SETTLE_SECONDS)
        self._caches.listen(PIE_PROBES, self._probe_changed)

    # Told by Runs.

    def note(self, target: Target, judgement: Judgement, *, due: float, node: str, runs: int = 1) -> None:
        """Note the verdict of a target's newest run, which was due at `due` and seen on `node`.

        `runs` is of how many runs it is the verdict: a follow-up run's is that of the first one, too.
        """
        heard = self._heard.setdefault(target.probe, {})
        bad = self._bad.setdefault(target.probe, {})
        judged_since = self._begin_anew(target)
        new, before = target not in heard, bad.get(target)
        heard[target] = due
        if judgement.verdict is Verdict.OK:
            if bad.pop(target, None) is not None or new:
                self.changed(target.probe)
            return
        if judgement.verdict not in BAD:
            return
        again = runs if before is not None and due > before.last_due else 0
        finding = Finding(
            target=target,
            stage=judgement.stage or Stage.IO,
            reason=judgement.reason,
            evidence=judgement.message,
            node=target.node or node,
            first_bad=before.finding.first_bad if before else max(due, judged_since),
            bad_runs=(before.finding.bad_runs if before else runs) + again,
        )
        bad[target] = _Bad(finding, due, self._client.now())
        if before is None or before.finding != finding:
            self.changed(target.probe)

    def _begin_anew(self, target: Target) -> float:
        """Forget that a target was bad before its last maintenance, and return when that ended.

        What happened in between nobody knows, so its bad runs in a row are counted from there. What a run
        read stands until another reads something else.
        """
        judged_since = self._maintenance.judged_since(target)
        bad = self._bad.get(target.probe, {})
        found = bad.get(target)
        if found is not None and found.noted_at < judged_since and not found.finding.certain:
            del bad[target]
            self._heard.get(target.probe, {}).pop(target, None)
        return judged_since

    def still_bad(self, target: Target, dues: int) -> None:
        """Note due times at which a bad run stood in the way of the next."""
        if (bad := self._bad.get(target.probe, {}).get(target)) is not None:
            bad.finding = replace(bad.finding, bad_runs=bad.finding.bad_runs + dues)
            self.changed(target.probe)

    def tell_of_node(self, probe: str, node: str, judgement: Judgement) -> None:
        """Tell of a node on which a new volume could not be used; a run on another speaks for the class."""
        if (stored := self._caches.probe(probe)) is not None:
            self._announcements.tell_of_node(stored, node, judgement)

    def forget(self, target: Target) -> None:
        """Forget a target that ended."""
        self._heard.get(target.probe, {}).pop(target, None)
        if self._bad.get(target.probe, {}).pop(target, None) is not None:
            self.changed(target.probe)

    # Asked by Teardown and StatusWriter.

    def explain_leaks(self, probe: str, node: str) -> bool:
        """Tell whether the last fold found something else wrong that keeps volumes of a node from going."""
        return not self._leaks_explained.get(probe, frozenset()).isdisjoint({EVERY_NODE, node})

    def stored(self, probe: PieProbe) -> list[dict[str, Any]]:
        """Return the incidents as they stand in the status."""
        kept = self._keep(probe)
        return to_status((*kept.open, *kept.closed))

    def open(self, probe: PieProbe) -> tuple[Incident, ...]:
        """Return the open incidents."""
        return self._keep(probe).open

    def known(self, probe: PieProbe) -> tuple[Incident, ...]:
        """Return the open incidents, and those that closed of late."""
        kept = self._keep(probe)
        return (*kept.open, *kept.closed)

    def urgent(self, probe: PieProbe) -> bool:
        """Tell whether an incident opened that the status does not show yet."""
        return self._keep(probe).urgent

    def written(self, probe: PieProbe) -> None:
        """Note that the status was written."""
        self._keep(probe).urgent = False

    # The work.

    def changed(self, probe: str) -> None:
        """Have the incidents of a PieProbe looked at."""
        self._queue.add("incidents", probe, after_seconds=_SETTLE_SECONDS)

    def _probe_changed(self, _old: PieProbe | None, new: PieProbe | None) -> None:
        if new is None and _old is not None:
            self._queue.add("incidents", _old.metadata.name)

    def _keep(self, probe: PieProbe) -> _Kept:
        """Return what is known of a PieProbe; the first time, what its status says."""
        kept = self._kept.get(probe.metadata.name)
        if kept is None or kept.uid != probe.metadata.uid:
            told = from_status(probe.status)
            kept = self._kept[probe.metadata.name] = _Kept(
                probe.metadata.uid,
                tuple(each for each in told if each.closed_at is None),
                tuple(each for each in told if each.closed_at is not None),
            )
        return kept

    async def _look(self, thing: Hashable) -> None:
        name = str(thing)
        stored = self._caches.probe(name)
        if stored is None:
            for table in (self._kept, self._bad, self._heard, self._leaks_explained):
                table.pop(name, None)
            self._series.remove(name)
            return
        kept, storage_class = self._keep(stored), stored.storage_class
        if not self._maintenance.follows(name):
            # Which targets there are is not known yet, as right after a start: nothing opens or closes.
            self._series.show(name, storage_class, (*kept.open, *kept.closed))
            if kept.open:
                self._queue.add("incidents", name, after_seconds=_LOOK_AGAIN_SECONDS)
            return
        view = self._view(name)
        self._leaks_explained[name] = where_leaks_are_explained(view)
        found = fold(kept.open, view, self._client.now())
        closed = tuple(conclude(each, view) for each in found.closed)
        changed = found.open != kept.open or bool(closed)
        kept.open = found.open
        kept.closed = (*closed, *kept.closed)[:MOST_IN_STATUS]
        self._series.show(name, storage_class, (*kept.open, *kept.closed))
        for incident in (*found.opened, *closed):
            self._announcements.add(stored, incident)
        if changed:
            self.revision += 1
            kept.urgent = kept.urgent or bool(found.opened)
            self._queue.add("status", name)
        if kept.open or view.findings:
            self._queue.add("incidents", name, after_seconds=_LOOK_AGAIN_SECONDS)

    def _view(self, probe: str) -> View:
        """Return what is bad now, among the targets that are not suppressed, and how the others are."""
        live = set(self._live_targets(probe))
        for target in [target for target in self._bad.get(probe, {}) if target in live]:
            self._begin_anew(target)
        suppressed = {each: why.reason for each in live if (why := self._maintenance.suppression(each))}
        telling = live - suppressed.keys()
        bad, heard = self._bad.get(probe, {}), self._heard.get(probe, {})
        # A volume that lost what was written to it has lost it, whatever is done to its node.
        told = [
            each.finding
            for target, each in bad.items()
            if target in telling or (target in live and each.finding.certain)
        ]
        left, settled = self._left_behind(probe)
        well = {target: heard[target] for target in live & heard.keys() - bad.keys()}
        return View(
            findings=(*told, *left),
            zones={
                target.node: self._caches.zone(target.node) for target in telling if target.kind is Kind.MOUNT
            },
            unheard=frozenset(telling - heard.keys()),
            settled=settled,
            well=well,
            suppressed={target: why for target, why in suppressed.items() if target not in well},
        )
