"""What the verdicts add up to: counters, gauges, and the last word on each target."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from pie.controller.incidentkeeper import IncidentKeeper
from pie.controller.queue import WorkQueue
from pie.controller.tracking import Tracked
from pie.controller.warnings import WarningEvents
from pie.core.batch.wire import CronJob
from pie.core.deletedruns import lose
from pie.core.history import History, PastRun, measured
from pie.core.judge import Judgement, missed
from pie.core.ledger import Ledger
from pie.core.model import BAD, Kind, Probe, Stage, Target, Verdict
from pie.core.reasons import CERTAIN, Reason
from pie.core.result import IoStats
from pie.core.schedule import dues_between
from pie.core.timeline import Run, timeline
from pie.core.wire import epoch_seconds
from pie.kube.client import Client
from pie.serve.series import RunSeries, TargetSeries
from pie.serve.suppressed import SuppressedSeries

_log = structlog.get_logger()

# Bounds a count after a very long silence; no more than a ledger remembers.
_MOST_DUES = 16


@dataclass(slots=True)
class TargetState:
    """The last word on a target.

    `last_ok`: when a run was last well, epoch seconds. `since`: the due time from which on the verdict is
    this one, `noted_at`: when it was said last. `io`: what the last run measured that measured anything.
    `ledger`: which due times are counted. `lost`: the newest ones whose runs somebody deleted unread.
    """

    verdict: Verdict = Verdict.PENDING
    reason: Reason = Reason.PENDING
    message: str = ""
    due: float = 0.0
    last_ok: float = 0.0
    stage: Stage | None = None
    since: float = 0.0
    noted_at: float = 0.0
    io: IoStats | None = None
    ledger: Ledger = field(default_factory=Ledger)
    lost: tuple[float, ...] = ()

    def after(self, maintenance: float) -> "TargetState":
        """Return the last word after a maintenance that ended then: none, if it was bad before.

        It may be cured, so nobody knows. What a run read stands until another reads something else.
        """
        if self.verdict not in BAD or self.noted_at >= maintenance or self.reason in CERTAIN:
            return self
        return TargetState(due=self.due, last_ok=self.last_ok, io=self.io, lost=self.lost)


class Tally:
    """The table of targets with their last verdict (`states`), and what is counted of their runs.

    Each due time is counted once: as on time, as not, or as suppressed.
    """

    def __init__(
        self,
        client: Client,
        queue: WorkQueue,
        *,
        warnings: WarningEvents,
        incidents: IncidentKeeper,
        series: TargetSeries,
        suppressed: SuppressedSeries,
        run_series: RunSeries,
        history: History,
    ) -> None:
        self._client = client
        self._queue = queue
        self._warnings = warnings
        self._incidents = incidents
        self._series = series
        self._suppressed = suppressed
        self._run_series = run_series
        self._history = history
        self.led_since = 0.0
        self.states: dict[Target, TargetState] = {}

    def add(self, target: Target) -> None:
        """Show a target that came to life."""
        self._series.add(target)
        self._run_series.add(target)
        self.states[target] = TargetState()

    def remember(self, target: Target, probe: Probe) -> None:
        """Remember what becomes of a target's runs, by its spec of now."""
        self._history.follow(target, probe.period_seconds)

    def remove(self, target: Target) -> None:
        """Forget a target that ended."""
        self._series.remove(target)
        self._history.forget(target)
        self._incidents.forget(target)
        self.states.pop(target, None)

    def remove_probe(self, name: str) -> None:
        """Take away what is shown of a PieProbe that is deleted."""
        self._run_series.remove(name)
        self._history.forget_probe(name)

    def counted(self, target: Target, due: float) -> bool:
        """Tell whether a due time is counted; those of a target that ended all are."""
        state = self.states.get(target)
        return state is None or due in state.ledger

    def count_suppressed(self, target: Target, due: float, reason: Reason) -> None:
        """Count a due time as suppressed, unless it is counted."""
        state = self.states.get(target)
        if state is not None and state.ledger.claim(due):
            _log.debug("counted as suppressed", target=str(target), due=due, reason=reason.value)
            self._suppressed.count(target, reason)
            self._history.mark(target, due, Verdict.SUPPRESSED)

    def count_missed(self, target: Target, due: float, cronjobs: Iterable[CronJob]) -> None:
        """Count a due time for which no run of the target's CronJobs was seen."""
        if target not in self.states or self.counted(target, due):
            return
        warnings = self._warnings.about(*(each.metadata.uid for each in cronjobs))
        scheduled = (epoch_seconds(each.status.last_schedule_time) for each in cronjobs)
        judgement = missed(due, warnings, last_scheduled=max(scheduled, default=0.0))
        if judgement.verdict is Verdict.SUPPRESSED:
            self.count_suppressed(target, due, judgement.reason)
            self._lose(target, due)
        elif self._count_on_time(target, due, on_time=False):
            self.note(target, judgement, due, target.node)
            self._history.mark(target, due, judgement.verdict)
            self._history.record(
                target,
                PastRun(
                    due, "schedule", judgement.verdict, judgement.reason, judgement.message, judgement.stage
                ),
            )

    def count_blocked(self, target: Target, due: float) -> None:
        """Count a due time that had no run, since an earlier one stood in its way until the next."""
        state = self.states.get(target)
        if state is not None and self._count_on_time(target, due, on_time=False):
            self._history.mark(target, due, state.verdict if state.verdict in BAD else Verdict.LATE)
            self._incidents.still_bad(target, 1)

    def _count_on_time(self, target: Target, due: float, *, on_time: bool) -> bool:
        """Count a due time, and tell whether that was still to be done."""
        if fresh := self.states[target].ledger.claim(due):
            _log.debug("counted", target=str(target), due=due, on_time=on_time)
            self._series.count_on_time(target, on_time=on_time)
        return fresh

    def gone(self, tracked: Tracked) -> None:
        """Count a run that its node took with it."""
        if tracked.on_time_counted:
            self._cut_short(tracked, Reason.NODE_DELETED)
        else:
            self.count_suppressed(tracked.target, tracked.due, Reason.NODE_DELETED)

    def _lose(self, target: Target, due: float) -> None:
        """Count a run whose Job somebody deleted before its result was read."""
        self._run_series.lost(target.probe, "Pruned")
        state = self.states[target]
        state.lost = lose(state.lost, due)
        _log.warning("a run's Job was deleted before its result was read", target=str(target), due=due)
        self._queue.add("status", target.probe)

    def count(self, tracked: Tracked, probe: Probe, judgement: Judgement, as_of: float) -> None:
        """Count what a run is known to be by now: each answer once, and the due times it blocks."""
        if tracked.retry and judgement.verdict is not Verdict.HUNG:
            return  # The series count due times; but a hang blocks those that follow.
        target = tracked.target
        if judgement.on_time is not None and not tracked.on_time_counted:
            tracked.on_time_counted = True
            self._count_on_time(target, tracked.due, on_time=judgement.on_time)
        if judgement.succeeded is not None and not tracked.succeeded_counted:
            tracked.succeeded_counted = True
            self._series.count_succeeded(target, succeeded=judgement.succeeded)
        if judgement.verdict is Verdict.SUPPRESSED:
            self._count_suppressed(tracked, judgement)
        if (judgement.bad or judgement.verdict is Verdict.SUPPRESSED) and not judgement.ended:
            self._count_blocked(tracked, probe, judgement, as_of)

    def _count_suppressed(self, tracked: Tracked, judgement: Judgement) -> None:
        """Count a suppressed run. One that had been on time stays so: only its I/O says nothing."""
        if not tracked.on_time_counted:
            self.count_suppressed(tracked.target, tracked.due, judgement.reason)
        elif judgement.on_time and judgement.ended:
            self._cut_short(tracked, judgement.reason)

    def _cut_short(self, tracked: Tracked, reason: Reason) -> None:
        """Count a mount run that was on time and cut short, unless its I/O was called good or bad before."""
        if not tracked.succeeded_counted and tracked.target.kind is Kind.MOUNT:
            tracked.succeeded_counted = True
            self._suppressed.count_cut_short(tracked.target, reason)

    def _count_blocked(self, tracked: Tracked, probe: Probe, judgement: Judgement, as_of: float) -> None:
        """Count the due times that passed while an unfinished run stood in their way."""
        target, bad = tracked.target, 0
        for due in self._dues_in_its_way(tracked, probe, as_of):
            if judgement.verdict is Verdict.SUPPRESSED:
                self.count_suppressed(target, due, judgement.reason)
            elif self._count_on_time(target, due, on_time=False):
                bad += 1
                self._history.mark(target, due, judgement.verdict)
        if bad:
            self._incidents.still_bad(target, bad)

    def _dues_in_its_way(self, tracked: Tracked, probe: Probe, as_of: float) -> list[float]:
        return dues_between(
            tracked.target,
            probe.period_seconds,
            max(tracked.due, self.led_since),
            as_of,
            limit=_MOST_DUES,
            minute_seconds=probe.minute_seconds,
        )

    def open_due(self, tracked: Tracked, probe: Probe, *, ended: bool) -> float | None:
        """Return the first due time of a run's life that is not counted; its own, once it `ended`."""
        in_its_way = [] if ended else self._dues_in_its_way(tracked, probe, self._client.now())
        dues = (tracked.due, *in_its_way)
        return next((due for due in dues if not self.counted(tracked.target, due)), None)

    def note(self, target: Target, judgement: Judgement, due: float, node: str, *, runs: int = 1) -> None:
        """Note the target's last verdict; a run in flight, or one that says nothing, leaves it standing."""
        state = self.states[target]
        if judgement.verdict in {Verdict.PENDING, Verdict.SUPPRESSED} or due < state.due:
            return
        if judgement.verdict is Verdict.OK:
            state.last_ok = self._client.now()
        changed = (state.verdict, state.reason) != (judgement.verdict, judgement.reason)
        if state.verdict is not judgement.verdict:
            state.since = due
        state.verdict, state.reason, state.message = judgement.verdict, judgement.reason, judgement.message
        state.due, state.stage, state.noted_at = due, judgement.stage, self._client.now()
        self._series.set_health(
            target,
            healthy=judgement.verdict is Verdict.OK,
            at_seconds=state.last_ok,
            hung_since=due if judgement.verdict is Verdict.HUNG else None,
        )
        self._incidents.note(target, judgement, due=due, node=node, runs=runs)
        if changed:
            log = _log.info if judgement.verdict is Verdict.OK else _log.warning
            log(
                "verdict",
                target=str(target),
                verdict=judgement.verdict.value,
                reason=judgement.reason.value,
                message=judgement.message,
            )
            self._queue.add("status", target.probe)

    def _end_hang(self, tracked: Tracked) -> None:
        """Show that a run hangs no more, whatever became of it; its verdict stands."""
        state = self.states.get(tracked.target)
        if state is not None and state.verdict is Verdict.HUNG and state.due == tracked.due:
            self._series.set_health(tracked.target, healthy=False, at_seconds=state.last_ok)

    def show(self, tracked: Tracked, run: Run, judgement: Judgement, *, decides: bool) -> None:
        """Show what is known of a run by now; unless it `decides`, another one speaks for its due time."""
        if judgement.verdict is Verdict.PENDING:
            return
        if decides:
            self._history.mark(tracked.target, tracked.due, judgement.verdict)
        io = judgement.result.io if judgement.result is not None else None
        past = PastRun(
            due=tracked.due,
            cause=tracked.cause,
            verdict=judgement.verdict,
            reason=judgement.reason,
            message=judgement.message,
            stage=judgement.stage,
            node=run.node,
            ended=judgement.ended,
            measured=measured(timeline(run).seconds, io),
            rough=io is not None and io.tool == "pie",
        )
        self._history.record(tracked.target, past)

    def record(self, tracked: Tracked, run: Run, judgement: Judgement) -> None:
        """Take in what an ended run measured, if it says anything; its Job is not needed any more."""
        tracked.recorded = True
        self._end_hang(tracked)
        self._queue.add("job", tracked.uid)
        if judgement.reason is Reason.JOB_DELETED and not tracked.succeeded_counted:
            self._lose(tracked.target, tracked.due)
        if judgement.verdict is Verdict.SUPPRESSED:
            return
        self._run_series.stages(tracked.target, timeline(run).seconds)
        if judgement.result is not None and judgement.result.io is not None:
            io = judgement.result.io
            self._series.set_latency(tracked.target, io)
            self.states[tracked.target].io = io
            self._history.measure(tracked.target, tracked.due, io)
