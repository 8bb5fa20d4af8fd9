"""Answers the page and the command line, from the tables of the leading controller."""

from collections.abc import Iterator
from dataclasses import replace
from heapq import nlargest
from typing import Any, Final

import pie
from pie.controller.caches import Caches
from pie.controller.nodes import Nodes
from pie.controller.probefacts import FactsOfProbes
from pie.controller.probes import Probes
from pie.controller.probeturns import ProbeTurns
from pie.controller.settings import Settings
from pie.controller.targets import Targets
from pie.core.apitypes import (
    ConditionView,
    Counts,
    Heatmap,
    HeatRow,
    LatencyTrend,
    Overview,
    ProbeView,
    RunView,
    SlowTarget,
    TargetDetail,
    TargetList,
    TargetView,
)
from pie.core.features import feature_now
from pie.core.history import History, PastRun
from pie.core.kinds import is_canary, kind_of
from pie.core.model import Probe, ProbeId, Target, Verdict
from pie.core.overview import incident_views, state_of, summary, worst
from pie.core.pace.parts import EFFECTIVE_PERIOD
from pie.core.reasons import ADVICE, AREA, MEANING
from pie.core.wire import PieProbe
from pie.kube.client import Client

_SLOWEST: Final = 10


class ApiSource:
    """Implements `pie.serve.api.Source`."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        settings: Settings,
        *,
        probes: Probes,
        targets: Targets,
        nodes: Nodes,
        facts: FactsOfProbes,
        probe_turns: ProbeTurns,
        history: History,
    ) -> None:
        self._client = client
        self._caches = caches
        self._settings = settings
        self._probes = probes
        self._targets = targets
        self._nodes = nodes
        self._facts = facts
        self._probe_turns = probe_turns
        self._history = history

    @property
    def revision(self) -> int:
        """A number that grows whenever the answers change."""
        changing = (self._probes, self._history, self._probe_turns, self._nodes)
        return sum(each.revision for each in changing)

    # The answers.

    def overview(self) -> Overview:
        """Return whether everything is fine."""
        stored = sorted(self._caches.probes.store.values(), key=lambda each: each.id[::-1])
        probes = tuple(view for each in stored if (view := self._probe_view(each)) is not None)
        incidents = incident_views(
            (incident, self._shown(each.id), incident.storage_class or each.storage_class)
            for each in stored
            for incident in self._probe_turns.incidents(each)
        )
        open_now = [each for each in incidents if each.closed is None]
        return Overview(
            now=self._client.now(),
            version=pie.__version__,
            namespace=self._caches.namespace,
            leading=True,
            state=worst([each.state for each in probes]),
            summary=summary(probes, open_now, self._caches.namespace),
            probes=probes,
            incidents=incidents,
            slowest=self._slowest(),
            panel_url=self._settings.panel_url,
        )

    def named(self, of: ProbeId) -> ProbeId:
        """Return the PieProbe that is meant: without a namespace, the only one of that name."""
        found = [each for each in self._probes.ids() if each.name == of.name and not of.namespace]
        return found[0] if len(found) == 1 else of

    def targets(self, of: ProbeId) -> TargetList | None:
        """Return the targets of a PieProbe, or of all of them (without a name); None: there is none."""
        of = self.named(of)
        if of.name and self._probes.get(of) is None:
            return None
        views = tuple(self._target_view(target) for target in self._live(of))
        return TargetList(self._client.now(), views)

    def target(self, of: ProbeId, kind: str, node: str, storage_class: str = "") -> TargetDetail | None:
        """Return a target with its runs; without a class, that of the first class. None: there is none."""
        if (spec := self._probes.spec(self.named(of))) is None:
            return None
        target = replace(spec, storage_class=storage_class or spec.storage_class).target(kind, node)
        if self._targets.get(target) is None:
            return None
        runs = self._runs(target)
        return TargetDetail(
            self._client.now(),
            self._target_view(target),
            spec.threshold_seconds,
            runs,
            " ".join(kind_of(target).options(spec)),
            spec.max_latency_seconds if kind_of(target).io_apart else None,
        )

    def heatmap(self, of: ProbeId, columns: int) -> Heatmap | None:
        """Return the verdicts of a PieProbe's targets over time; None if there is none."""
        if (spec := self._probes.spec(self.named(of))) is None:
            return None
        now, (start, step_seconds) = self._client.now(), self._columns(spec, columns)
        rows = tuple(
            HeatRow(
                target.kind,
                target.node,
                self._caches.zone(target.node),
                self._facts.target(target).verdict[0],
                self._history.letters(target, now, columns, step_seconds),
                target.storage_class,
            )
            for target in self._live(spec.id)
        )
        return Heatmap(now, self._shown(spec.id), start, step_seconds, columns, rows)

    def latency(self, of: ProbeId, columns: int) -> LatencyTrend | None:
        """Return the trend of a PieProbe's I/O latency; None if there is none."""
        if (spec := self._probes.spec(self.named(of))) is None:
            return None
        now, (start, step_seconds) = self._client.now(), self._columns(spec, columns)
        points = self._history.trend(spec.id, now, columns)
        return LatencyTrend(
            now,
            self._shown(spec.id),
            start,
            step_seconds,
            columns,
            tuple(each.read_median for each in points),
            tuple(each.read_p99 for each in points),
            tuple(each.write_median for each in points),
            tuple(each.write_p99 for each in points),
        )

    # Their parts.

    def _shown(self, of: ProbeId) -> str:
        """Return how a PieProbe is named: where pie serves all namespaces, with its own."""
        return of.name if self._caches.namespace else str(of)

    def _live(self, of: ProbeId) -> Iterator[Target]:
        for each in [of] if of.name else self._probes.ids():
            yield from sorted(state.target for state in self._targets.of(each))

    def _columns(self, spec: Probe, columns: int) -> tuple[float, float]:
        """Return where the first of so many columns up to now begins, and how long one is."""
        step_seconds = self._history.step_seconds(spec.period_seconds)
        return (self._client.now() // step_seconds - columns + 1) * step_seconds, step_seconds

    def _probe_view(self, stored: PieProbe) -> ProbeView | None:
        if (current := self._probe_turns.status(stored)) is None:
            return None
        conditions = tuple(_condition(each) for each in current["conditions"])
        targets = Counts(**{word: count for word, count in current["targets"].items() if word != "bad"})
        ready = next((each.status == "True" for each in conditions if each.type == "Ready"), False)
        open_now = [each for each in self._probe_turns.incidents(stored) if each.closed_at is None]
        spec = self._probes.spec(stored.id)
        return ProbeView(
            name=self._shown(stored.id),
            namespace=stored.id.namespace,
            storage_class=stored.storage_class,
            state=state_of(targets, open_now, probed=ready),
            summary=current["summary"],
            period_seconds=spec.period_seconds if spec is not None else None,
            targets=targets,
            conditions=conditions,
            effective_period_seconds=current.get(EFFECTIVE_PERIOD),
            features=tuple(
                feature_now(self._target_view(each), self._runs(each)) for each in self._canaries(stored.id)
            ),
        )

    def _canaries(self, of: ProbeId) -> list[Target]:
        return sorted(state.target for state in self._targets.of(of) if is_canary(state.target))

    def _runs(self, target: Target) -> tuple[RunView, ...]:
        return tuple(_run_view(each) for each in self._history.runs(target))

    def _slowest(self) -> tuple[SlowTarget, ...]:
        measured = (
            SlowTarget(
                self._shown(each),
                state.target.node,
                io.read.p99_seconds if io.read is not None else None,
                io.write.p99_seconds if io.write is not None else None,
                state.target.storage_class,
            )
            for each in self._probes.ids()
            for state in self._targets.of(each)
            if (io := state.standing.io) is not None
        )
        return tuple(nlargest(_SLOWEST, measured, key=_slowness))

    def _target_view(self, target: Target) -> TargetView:
        now = self._facts.target(target)
        state, why = now.state.standing.after(now.judged_since), now.suppression
        return TargetView(
            probe=self._shown(target.probe_id),
            kind=target.kind,
            storage_class=target.storage_class,
            node=target.node,
            zone=now.zone,
            verdict=now.verdict[0],
            reason=now.verdict[1].value,
            message=why.message if why is not None else state.message,
            stage=None if why is not None else state.stage,
            since=(why.since if why is not None else state.since) or None,
            due=state.due or None,
            last_ok=state.last_ok or None,
            io=state.io,
            area=AREA.get(now.verdict[1], ""),
        )


def _slowness(each: SlowTarget) -> float:
    return max(each.read_p99_seconds or 0.0, each.write_p99_seconds or 0.0)


def _condition(found: dict[str, Any]) -> ConditionView:
    return ConditionView(found["type"], found["status"], found["reason"], found["message"])


def _run_view(past: PastRun) -> RunView:
    good = past.verdict is Verdict.OK
    return RunView(
        due=past.due,
        cause=past.cause,
        verdict=past.verdict,
        reason=past.reason.value,
        message=past.message,
        stage=past.stage,
        node=past.node,
        ended=past.ended,
        stages=past.stages,
        io=past.io,
        meaning="" if good else MEANING[past.reason],
        next="" if good else ADVICE[past.reason],
        area=AREA.get(past.reason, ""),
    )
