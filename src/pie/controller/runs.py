"""What becomes of the runs: each is judged when something about it changes, or when time could change it.

A run is counted once, and then its Job is deleted. All of it starts again from the caches after a restart:
finished pods wait in the history of their CronJob until they have been read.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from pie.controller.followups import PATIENCE_SECONDS, FollowUps
from pie.controller.heartbeats import Doubts
from pie.controller.incidents import Incidents
from pie.controller.maintenance import Maintenance
from pie.controller.missed import Missed
from pie.controller.observe import Caches
from pie.controller.queue import WorkQueue
from pie.controller.volumes import Volumes
from pie.controller.witness import Witness
from pie.core.judge import Judgement, judge, missed
from pie.core.model import Kind, Probe, Stage, Target, Verdict
from pie.core.naming import ANNOTATION_FOLLOWS, ANNOTATION_SCHEDULED, GO_PIE_FINALIZER, target_of
from pie.core.objects import Claim, CronJob, Job, Pod
from pie.core.reasons import Reason
from pie.core.schedule import dues_between, next_due
from pie.core.timeline import Run, timeline
from pie.kube.client import Client
from pie.kube.resources import CRONJOBS, JOBS, PODS
from pie.serve.series import RunSeries, TargetSeries

_log = structlog.get_logger()

# The pods' watch may be behind the Jobs'; only then is the pod asked for.
_POD_CATCHES_UP_SECONDS = 2.0
# Bounds a count after a very long silence.
_MOST_DUES = 60


@dataclass(slots=True)
class TargetState:
    """The last word on a target.

    `counted_until`: due times up to here are counted, though no run of theirs was started. `last_ok`: when a
    run was last well, epoch seconds.
    """

    verdict: Verdict = Verdict.PENDING
    reason: Reason = Reason.PENDING
    message: str = ""
    due: float = 0.0
    counted_until: float = 0.0
    last_ok: float = 0.0


@dataclass(slots=True)
class Tracked:
    """A run being followed. `seen_until`: to when its pod is known by asking, not by the watch."""

    target: Target
    uid: str
    due: float
    created: float
    pod: Pod | None = None
    pod_gone: bool = False
    seen_until: float = 0.0
    follows: str = ""
    check_at: float | None = None
    on_time_counted: bool = False
    succeeded_counted: bool = False
    suppressed_counted: bool = False
    held_against: bool = False
    recorded: bool = False


class Runs:
    """The table of runs, and of targets with their last verdict (`states`)."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        volumes: Volumes,
        witness: Witness,
        maintenance: Maintenance,
        follow_ups: FollowUps,
        incidents: Incidents,
        series: TargetSeries,
        run_series: RunSeries,
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._volumes = volumes
        self._witness = witness
        self._maintenance = maintenance
        self._follow_ups = follow_ups
        self._incidents = incidents
        self._doubts = Doubts(client, queue)
        self._missed = Missed(
            client,
            caches,
            queue,
            maintenance=maintenance,
            last_due=lambda target: self._newest_due.get(target, self._led_since),
            on_missed=self._count_missed,
        )
        self._series = series
        self._run_series = run_series
        self._probes: dict[Target, Probe] = {}
        self._tracked: dict[str, Tracked] = {}
        self._of_target: dict[Target, set[str]] = {}
        self._newest_due: dict[Target, float] = {}
        self._led_since = 0.0
        self.states: dict[Target, TargetState] = {}
        queue.handle("run", self._look)

    def start(self) -> None:
        """Begin to lead: take up every run there is, oldest first."""
        self._led_since = self._client.now()
        for job in self._caches.jobs.store.values():
            self._track(job)
        for pod in self._caches.pods.store.values():
            self._pod_changed(None, pod)
        self._caches.listen(JOBS, self._job_changed)
        self._caches.listen(PODS, self._pod_changed)
        self._caches.listen(CRONJOBS, self._cronjob_changed)

    def target_changed(self, target: Target, probe: Probe | None) -> None:
        """Show a target that came to life and judge its runs; forget one that ended (`probe` is None)."""
        self._missed.follow(target, probe)
        if probe is None:
            self._drop_runs(target)
            self._follow_ups.forget(target)
            self._probes.pop(target, None)
            self._series.remove(target)
            self._volumes.forget(target)
            self._incidents.forget(target)
            self.states.pop(target, None)
            return
        known = target in self._probes
        self._probes[target] = probe
        if known:
            return
        self._series.add(target)
        self._run_series.add(target)
        self.states[target] = TargetState()
        runs = (self._tracked[uid] for uid in self._of_target.get(target, ()))
        for tracked in sorted(runs, key=lambda run: run.due):
            self._queue.add("run", tracked.uid)

    def probe_gone(self, name: str) -> None:
        """Take away what is shown of a PieProbe that is deleted."""
        self._run_series.remove(name)
        self._maintenance.forget(name)

    def count_unstarted(self, target: Target, due: float, reason: Reason) -> None:
        """Count a suppressed run for a due time at which none was started."""
        state = self.states.get(target)
        if state is not None and due > max(state.counted_until, self._newest_due.get(target, 0.0)):
            state.counted_until = due
            self._maintenance.count(target, reason)

    def _count_missed(self, target: Target, due: float) -> None:
        """Count a due time at which Kubernetes started no run."""
        state = self.states.get(target)
        if state is None or due <= state.counted_until:
            return
        state.counted_until = due
        self._series.count_on_time(target, on_time=False)
        self._note_verdict(target, missed(), due, target.node)

    def _drop_runs(self, target: Target) -> None:
        """Count the runs that a node took with it when it was deleted: their target goes, and nobody asks."""
        self._newest_due.pop(target, None)
        if target not in self._probes or not target.node or ("", target.node) in self._caches.nodes.store:
            return
        for tracked in (self._tracked[uid] for uid in self._of_target.get(target, ())):
            if not (tracked.recorded or tracked.held_against or tracked.suppressed_counted):
                self._maintenance.count(target, Reason.NODE_DELETED)
            tracked.recorded = True

    # Events.

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        if new is None:
            if old is not None:
                self._forget(old.metadata.uid)
            return
        tracked = self._tracked.get(new.metadata.uid)
        self._queue.add("job" if tracked is not None and tracked.recorded else "run", new.metadata.uid)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None and GO_PIE_FINALIZER in new.metadata.finalizers:
            self._queue.add("finalizer", new.metadata.name)
        pod = new or old
        owner = pod.metadata.controller_owner if pod is not None else None
        if owner is None or (tracked := self._tracked.get(owner.uid)) is None or tracked.recorded:
            return
        tracked.pod, tracked.pod_gone = pod, new is None
        self._queue.add("run", tracked.uid)

    def _cronjob_changed(self, _old: CronJob | None, new: CronJob | None) -> None:
        if new is not None and (target := target_of(new.metadata)) is not None:
            for uid in self._of_target.get(target, ()):
                if self._tracked[uid].recorded:
                    self._queue.add("job", uid)

    # Following a run.

    def _track(self, job: Job) -> Tracked | None:
        """Take up a Job whose owner chain leads to a PieProbe; None for any other."""
        if (target := self._chain(job)) is None:
            return None
        uid = job.metadata.uid
        tracked = Tracked(target, uid, _due_seconds(job), job.metadata.created_seconds)
        tracked.follows = job.metadata.annotations.get(ANNOTATION_FOLLOWS, "")
        tracked.pod = self._caches.pod_of_job.get(uid)
        self._tracked[uid] = tracked
        self._of_target.setdefault(target, set()).add(uid)
        self._follow_ups.see(target, job, tracked.due)
        self._newest_due[target] = max(tracked.due, self._newest_due.get(target, 0.0))
        return tracked

    def _chain(self, job: Job) -> Target | None:
        owner = job.metadata.controller_owner
        made_for = job.metadata
        if owner is not None and owner.kind == "CronJob":
            cronjob = self._caches.cronjobs.store.get((self._caches.namespace, owner.name))
            if cronjob is None or cronjob.metadata.uid != owner.uid:
                return None
            made_for, owner = cronjob.metadata, cronjob.metadata.controller_owner
        if owner is None or owner.kind != "PieProbe":
            return None
        probe = self._caches.probe(owner.name)
        if probe is None or probe.metadata.uid != owner.uid:
            return None
        return target_of(made_for)

    def _forget(self, uid: str) -> None:
        if (tracked := self._tracked.pop(uid, None)) is None:
            return
        self._witness.forget(tracked.pod)
        self._doubts.forget(uid)
        uids = self._of_target[tracked.target]
        uids.discard(uid)
        if not uids:
            del self._of_target[tracked.target]
        if not tracked.recorded and tracked.target in self._probes:
            self._run_series.lost(tracked.target.probe, "Pruned")
            _log.warning("a run's Job was deleted before it was read", target=str(tracked.target))

    async def _look(self, thing: Hashable) -> None:
        """Judge a run because its time has come; ask for its pod where the watch does not reach that far."""
        uid = str(thing)
        job = self._caches.jobs_by_uid.get(uid)
        tracked = self._tracked.get(uid)
        if tracked is None and job is not None:
            tracked = self._track(job)
        if tracked is None or tracked.recorded:
            return
        if tracked.check_at is not None and self._as_of(tracked) < tracked.check_at <= self._client.now():
            await self._ask(tracked)
        self._evaluate(tracked)

    async def _ask(self, tracked: Tracked) -> None:
        asked_at = self._client.now()
        page = await self._client.list_page(
            PODS,
            self._caches.namespace,
            decode=Pod,
            label_selector=f"batch.kubernetes.io/controller-uid={tracked.uid}",
        )
        tracked.pod_gone = not page.items
        tracked.pod = page.items[0] if page.items else tracked.pod
        tracked.seen_until = asked_at

    def _as_of(self, tracked: Tracked) -> float:
        return min(self._client.now(), max(self._caches.pods.heard_at, tracked.seen_until))

    def _evaluate(self, tracked: Tracked) -> None:
        probe = self._probes.get(tracked.target)
        job = self._caches.jobs_by_uid.get(tracked.uid)
        if probe is None or job is None or tracked.recorded:
            return
        as_of = self._as_of(tracked)
        finished_at = job.finished_at
        pod_over = tracked.pod is not None and tracked.pod.status.phase in {"Succeeded", "Failed"}
        unseen_end = finished_at is not None and not pod_over and not tracked.pod_gone
        run = self._witness.testify(
            Run(
                tracked.target,
                tracked.uid,
                tracked.due,
                tracked.created,
                tracked.pod,
                self._claim(tracked),
                job_finished=finished_at is not None and not unseen_end,
            )
        )
        judgement = self._maintenance.excuse(run, judge(run, probe, as_of))
        self._witness.investigate(run, judgement)
        node = tracked.pod.spec.node_name if tracked.pod is not None else ""
        if judgement.bad and not self._doubts.believes(tracked.uid, judgement, node or tracked.target.node):
            return
        taken_over = judgement.bad and self._follow_ups.takes_over(
            job, run, probe, judgement, busy=self._follow_up_runs(tracked.target)
        )
        if taken_over and not self._follow_ups.under_way(tracked.target):
            self._queue.add("run", tracked.uid, after_seconds=PATIENCE_SECONDS)
            return
        if taken_over:
            tracked.on_time_counted = True
            judgement = replace(judgement, verdict=Verdict.PENDING, on_time=None)
        judgement = self._with_latency(self._with_integrity(judgement, run), run)
        self._count(tracked, probe, judgement, as_of)
        self._note_verdict(tracked.target, judgement, tracked.due, node or tracked.target.node)
        if judgement.ended:
            self._record(tracked, run, judgement)
            return
        if judgement.replace and tracked.pod is not None and not tracked.pod_gone:
            self._queue.add("pod", tracked.uid)
        checks = [judgement.check_at]
        if judgement.bad or taken_over or judgement.verdict is Verdict.SUPPRESSED:
            checks.append(next_due(tracked.target, probe.period_seconds, as_of))
        if unseen_end:
            checks.append(self._client.now() + _POD_CATCHES_UP_SECONDS)
        tracked.check_at = min((at for at in checks if at is not None), default=None)
        if tracked.check_at is not None:
            wait_seconds = max(0.01, tracked.check_at - self._client.now())
            self._queue.add("run", tracked.uid, after_seconds=wait_seconds)

    def _follow_up_runs(self, target: Target) -> bool:
        runs = (self._tracked[uid] for uid in self._of_target.get(target, ()))
        return any(tracked.follows and not tracked.recorded for tracked in runs)

    def _claim(self, tracked: Tracked) -> Claim | None:
        if tracked.target.kind is Kind.MOUNT:
            return next(iter(self._caches.claims_of.get(tracked.target, {}).values()), None)
        return self._caches.claim_of_pod.get(tracked.pod.metadata.uid) if tracked.pod is not None else None

    def _with_integrity(self, judgement: Judgement, run: Run) -> Judgement:
        """Judge what the probe found on its volume, where the probe itself found nothing wrong."""
        result = judgement.result
        if result is None or result.records is None or run.target.kind is not Kind.MOUNT:
            return judgement
        reason, message = self._volumes.judge(run, result.records)
        if reason is None or not result.ok:
            return judgement
        wrong = replace(judgement, verdict=Verdict.FAILED, reason=reason, message=message)
        return replace(wrong, stage=Stage.IO, succeeded=False)

    def _with_latency(self, judgement: Judgement, run: Run) -> Judgement:
        """Call a good run late if its I/O was slow for its target; what it counts as stays."""
        if judgement.verdict is not Verdict.OK or judgement.result is None:
            return judgement
        slow = self._volumes.slow(run.target, judgement.result.io)
        if not slow:
            return judgement
        return replace(judgement, verdict=Verdict.LATE, reason=Reason.IO_SLOW, stage=Stage.IO, message=slow)

    def _count(self, tracked: Tracked, probe: Probe, judgement: Judgement, as_of: float) -> None:
        state, target = self.states[tracked.target], tracked.target
        if judgement.on_time is not None and not tracked.on_time_counted:
            tracked.on_time_counted = True
            # A due time that was counted while an earlier run stood in its way is not counted again.
            if judgement.on_time or tracked.due > state.counted_until:
                self._series.count_on_time(target, on_time=judgement.on_time)
        if judgement.succeeded is not None and not tracked.succeeded_counted:
            tracked.succeeded_counted = True
            self._series.count_succeeded(target, succeeded=judgement.succeeded)
        tracked.held_against = tracked.held_against or judgement.bad
        suppressed = judgement.verdict is Verdict.SUPPRESSED
        if suppressed and not (tracked.suppressed_counted or tracked.held_against):
            tracked.suppressed_counted = True
            if tracked.due > state.counted_until:
                self._maintenance.count(target, judgement.reason)
                state.counted_until = tracked.due
        if (judgement.bad or suppressed) and not judgement.ended:
            since = max(tracked.due, state.counted_until, self._led_since)
            dues = dues_between(target, probe.period_seconds, since, as_of, limit=_MOST_DUES)
            if dues and suppressed:
                self._maintenance.count(target, judgement.reason, dues)
            elif dues:
                self._series.count_on_time(target, on_time=False, times=dues)
                self._incidents.still_bad(target, dues)
            if dues:
                state.counted_until = as_of

    def _note_verdict(self, target: Target, judgement: Judgement, due: float, node: str) -> None:
        """Note the target's last verdict; a run in flight, or one that says nothing, leaves it standing."""
        state = self.states[target]
        if judgement.verdict in {Verdict.PENDING, Verdict.SUPPRESSED} or due < state.due:
            return
        if judgement.verdict is Verdict.OK:
            state.last_ok = self._client.now()
        changed = (state.verdict, state.reason) != (judgement.verdict, judgement.reason)
        state.verdict, state.reason, state.message = judgement.verdict, judgement.reason, judgement.message
        state.due = due
        self._series.set_health(
            target,
            healthy=judgement.verdict is Verdict.OK,
            at_seconds=state.last_ok,
            hung_since=due if judgement.verdict is Verdict.HUNG else None,
        )
        self._incidents.note(target, judgement, due=due, node=node)
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

    def _record(self, tracked: Tracked, run: Run, judgement: Judgement) -> None:
        tracked.recorded = True
        self._run_series.stages(tracked.target, timeline(run).seconds)
        if judgement.reason is Reason.POD_DELETED and not tracked.on_time_counted:
            self._run_series.lost(tracked.target.probe, "PodDeleted")
        if judgement.result is not None and judgement.result.io is not None:
            measured = judgement.result.io
            self._series.set_latency(tracked.target, measured)
        self._queue.add("job", tracked.uid)


def _due_seconds(job: Job) -> float:
    """Return the time the schedule meant; a one-off Job is due when it is created."""
    stamp = job.metadata.annotations.get(ANNOTATION_SCHEDULED)
    if stamp is None:
        return job.metadata.created_seconds
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return job.metadata.created_seconds
