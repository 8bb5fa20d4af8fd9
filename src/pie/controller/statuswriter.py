"""Writes the status of PieProbes: only on change, at most every ten seconds, and shorter if it is refused."""

from collections.abc import Hashable
from typing import Any

import structlog

from pie.controller.caches import Caches
from pie.controller.incidentkeeper import IncidentKeeper
from pie.controller.nodes import Nodes
from pie.controller.objects import Objects
from pie.controller.probes import Probes, ProbeState
from pie.controller.queue import WorkQueue
from pie.controller.runners import Runner
from pie.controller.targets import Targets
from pie.core.deletedruns import losing_until, runs_deleted
from pie.core.maintenance.overdue import Overdue, long_suppressed
from pie.core.model import Kind, Probe, Target, Verdict
from pie.core.permissions import permission_missing
from pie.core.reasons import Reason
from pie.core.shorter import SHORTEST, refuses_content, shortened
from pie.core.status import Condition, status
from pie.core.wire import PieProbe, rfc3339
from pie.kube.client import Client
from pie.kube.errors import ApiError, NotFound
from pie.kube.resources import PIE_PROBES

_log = structlog.get_logger()

_INTERVAL_SECONDS = 10.0
_SHORT_SECONDS = 3600.0
"""How long a status stays shorter after the API server refused one: then all of it is tried again."""

_REFUSALS_SECONDS = 600.0
"""While a permission is missing, the status is looked at so often."""


class StatusWriter:
    """The status writer."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        probes: Probes,
        targets: Targets,
        nodes: Nodes,
        objects: Objects,
        runner: Runner,
        incidents: IncidentKeeper,
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._probes = probes
        self._targets = targets
        self._nodes = nodes
        self._objects = objects
        self._runner = runner
        self._incidents = incidents
        self._written_at: dict[str, float] = {}
        self._short: dict[str, tuple[int, float]] = {}
        queue.handle("status", self._write)
        client.refusals.listen(self._refusals_changed)

    async def _write(self, thing: Hashable) -> None:
        name = str(thing)
        stored, state = self._caches.probe(name), self._probes.get(name)
        if stored is None or state is None or state.uid != stored.metadata.uid:
            self._written_at.pop(name, None)
            self._short.pop(name, None)
            return
        since = self._client.now() - self._written_at.get(name, 0.0)
        urgent = self._incidents.urgent(stored)
        if since < _INTERVAL_SECONDS and not urgent:
            self._queue.add("status", name, after_seconds=_INTERVAL_SECONDS - since)
            return
        status = self._status(name, stored) | {"incidents": self._incidents.stored(stored)}
        wanted = shortened(status, self._step(name))
        if wanted == {key: stored.status.get(key) for key in wanted}:
            self._incidents.written(stored)
            return
        try:
            await self._write_what_fits(stored, status, urgent=urgent)
        except NotFound:
            _log.debug("PieProbe is gone", name=name)
            return
        self._written_at[name] = self._client.now()
        self._incidents.written(stored)

    async def _write_what_fits(self, stored: PieProbe, status: dict[str, Any], *, urgent: bool) -> None:
        """Write a status, with less and less in it as long as the API server refuses what it says."""
        name = stored.metadata.name
        provisioned = self._last_provision(name)
        more = {"lastProvisionTime": provisioned} if provisioned is not None else {}
        while True:
            step = self._step(name)
            try:
                await self._client.merge_patch(
                    PIE_PROBES,
                    name,
                    {"metadata": {"uid": stored.metadata.uid}, "status": shortened(status, step) | more},
                    stored.metadata.namespace,
                    subresource="status",
                    decode=PieProbe,
                    urgent=urgent,
                )
            except ApiError as error:
                if step == SHORTEST or not refuses_content(error.status, error.message):
                    raise
                _log.warning("status refused, writing a shorter one", name=name, error=str(error))
                self._short[name] = step + 1, self._client.now()
            else:
                return

    def _step(self, name: str) -> int:
        """Return how much shorter than wanted the status of a PieProbe has to be; see `shortened`."""
        step, since = self._short.get(name, (0, 0.0))
        return step if self._client.now() - since < _SHORT_SECONDS else 0

    def _status(self, name: str, stored: PieProbe) -> dict[str, Any]:
        state = self._probes.get(name) or ProbeState("")
        # A PieProbe that was set up before goes on, unless its spec is wrong.
        whole = state.probe is None or (state.problem and state.problem[0] is Reason.INVALID_SPEC)
        targets = (
            (target.kind, target.node, *self.verdict(target)) for target in self._probes.live_targets(name)
        )
        return status(
            generation=stored.metadata.generation,
            problem=state.problem if whole else None,
            refused=state.problem or self._objects.refused(name),
            paused=state.paused,
            targets=targets,
            stored=stored.status,
            now=rfc3339(self._client.now()),
            more=self._more(name, state.probe),
            incidents=self._incidents.open(stored),
        )

    def current(self, stored: PieProbe) -> dict[str, Any] | None:
        """Return conditions, summary and targets as they are now; None: not looked at yet."""
        state = self._probes.get(stored.metadata.name)
        if state is None or state.uid != stored.metadata.uid:
            return None
        return self._status(stored.metadata.name, stored)

    def verdict(self, target: Target) -> tuple[Verdict, Reason]:
        """Return the last verdict on a target since its maintenance; while it is suppressed, that."""
        if (why := self._nodes.suppression(target)) is not None:
            return Verdict.SUPPRESSED, why.reason
        state = self._targets.get(target)
        if state is None:
            return Verdict.PENDING, Reason.PENDING
        known = state.standing.after(self._nodes.judged_since(target))
        return known.verdict, known.reason

    def _more(self, name: str, probe: Probe | None) -> list[Condition]:
        permissions = self._permission_missing(name)
        if probe is None:
            return [permissions]
        return [
            long_suppressed(self._overdue(name, probe), probe.suppression.max_duration_seconds),
            self._runs_deleted(name, probe),
            permissions,
        ]

    def _permission_missing(self, name: str) -> Condition:
        if missing := self._client.refusals.current():
            self._queue.add("status", name, after_seconds=_REFUSALS_SECONDS)  # some may be over by then
        return permission_missing(missing)

    def _refusals_changed(self) -> None:
        for name in self._probes.names():
            self._queue.add("status", name)

    def _overdue(self, name: str, probe: Probe) -> list[Overdue]:
        """Return the nodes suppressed for too long; have the status looked at when the next one is."""
        whole = self._runner.paused_since(probe.target(Kind.PROVISION))
        noted = {
            node: (self._runner.paused_since(probe.target(Kind.MOUNT, node)), whole)
            for node in self._nodes.suppressed_nodes(name)
        }
        overdue, next_in = self._nodes.overdue(name, noted)
        if next_in is not None:
            self._queue.add("status", name, after_seconds=max(1.0, next_in))
        return overdue

    def _runs_deleted(self, name: str, probe: Probe) -> Condition:
        now, period_seconds = self._client.now(), probe.period_seconds / 60 * probe.minute_seconds
        losing = {}
        for state in self._targets.of(name):
            until = losing_until(state.lost, period_seconds)
            if until is not None and until > now:
                losing[state.target] = until
        if losing:
            self._queue.add("status", name, after_seconds=max(1.0, min(losing.values()) - now))
        return runs_deleted(losing)

    def _last_provision(self, name: str) -> str | None:
        times = [
            state.standing.last_ok
            for state in self._targets.of(name)
            if state.target.kind is Kind.PROVISION and state.standing.last_ok
        ]
        return rfc3339(max(times)) if times else None
