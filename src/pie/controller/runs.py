"""What becomes of the runs: each is judged when something about it changes, or when time could change it.

A run is counted once, and then its Job is deleted. All of it starts again from the caches after a restart:
finished pods wait in the history of their CronJob until they have been read.
"""

from collections.abc import Hashable, Iterable
from dataclasses import replace

from pie.controller.caches import Caches
from pie.controller.followups import PATIENCE_SECONDS as FOLLOW_UP_SECONDS
from pie.controller.followups import FollowUps, Speaker
from pie.controller.heartbeats import Doubts
from pie.controller.maintenance import Maintenance
from pie.controller.missed import Missed
from pie.controller.queue import Lane, WorkQueue
from pie.controller.retries import Retries
from pie.controller.tally import Tally
from pie.controller.tracking import Tracked, Tracking
from pie.controller.volumes import Volumes
from pie.controller.witness import PATIENCE_SECONDS, Witness
from pie.core.batch.wire import CronJob, Job
from pie.core.judge import Judgement, judge
from pie.core.model import BAD, Kind, Probe, Target, Verdict
from pie.core.naming import GO_PIE_FINALIZER, LABEL_PROBE, target_of
from pie.core.reasons import Reason
from pie.core.schedule import next_due
from pie.core.timeline import Run, pod_over
from pie.core.wire import Claim, Pod
from pie.kube.client import Client
from pie.kube.resources import CRONJOBS, JOBS, PODS
from pie.kube.sharedlist import SharedList

# The pods' watch may be behind the Jobs'; only then is the pod asked for.
_POD_CATCHES_UP_SECONDS = 2.0


class Runs:
    """Follows every run; `states` are the targets with their last verdict."""

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
        tally: Tally,
        image: str,
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._volumes = volumes
        self._witness = witness
        self._maintenance = maintenance
        self._follow_ups = follow_ups
        self._tally = tally
        self._tracking = Tracking(caches)
        self._doubts = Doubts(client, caches, queue, maintenance.fall_silent)
        self._missed = Missed(
            client,
            caches,
            queue,
            maintenance=maintenance,
            settled=self._settled,
            in_the_way=self._tracking.in_the_way,
            tally=tally,
        )
        self._probes: dict[Target, Probe] = {}
        self._read: set[str] = set()
        self._retries = Retries(
            client,
            caches,
            queue,
            maintenance=maintenance,
            image=image,
            probes=self._probes,
            wants=self._wants_retry,
        )
        self.states = tally.states
        self._pods = SharedList(client, PODS, caches.namespace, decode=Pod, label_selector=LABEL_PROBE)
        queue.handle("run", self._look, Lane.JUDGES)
        queue.handle("read-pod", self._read_pod, Lane.READS)

    def start(self) -> None:
        """Begin to lead: take up every run there is, oldest first."""
        self._tally.led_since = self._client.now()
        for job in self._caches.jobs.store.values():
            self._track(job)
        for pod in self._caches.pods.store.values():
            self._pod_changed(None, pod)
        self._caches.listen(JOBS, self._job_changed)
        self._caches.listen(PODS, self._pod_changed)
        self._caches.listen(CRONJOBS, self._cronjob_changed)

    def target_changed(self, target: Target, probe: Probe | None) -> None:
        """Show a target that came to life and judge its runs; forget one that ended (`probe` is None)."""
        if target.probe not in self._read:
            # Its other targets are told in the same breath; what is none of them by then ended unseen.
            self._read.add(target.probe)
            self._look_at(self._tracking.of_probe(target.probe))
        if probe is None:
            self._drop_runs(target)
            self._missed.forget(target)
            self._retries.forget(target)
            self._maintenance.forget_target(target)
            self._follow_ups.forget(target)
            self._probes.pop(target, None)
            self._volumes.forget(target)
            self._tally.remove(target)
            return
        known = target in self._probes
        self._probes[target] = probe
        self._tally.remember(target, probe)
        self._missed.follow(target, probe)
        if known:
            return
        self._tally.add(target)
        self._look_at(self._tracking.of(target))

    def probe_gone(self, name: str) -> None:
        """Take away what is shown of a PieProbe that is deleted."""
        self._read.discard(name)
        self._tally.remove_probe(name)
        self._maintenance.forget(name)

    def _look_at(self, runs: Iterable[Tracked]) -> None:
        for tracked in sorted(runs, key=lambda run: run.due):
            self._queue.add("job" if tracked.recorded else "run", tracked.uid)

    def _settled(self, target: Target, due: float) -> bool:
        """Tell whether a due time is counted, or has a run that will be."""
        earlier = due <= self._tally.led_since
        return earlier or self._tally.counted(target, due) or self._tracking.has(target, due)

    def _drop_runs(self, target: Target) -> None:
        """Count the runs that a node took with it when it was deleted: their target goes, and nobody asks."""
        if target in self._probes and target.node and ("", target.node) not in self._caches.nodes.store:
            for tracked in self._tracking.of(target):
                if not tracked.recorded and not tracked.retry:
                    self._tally.gone(tracked)
                tracked.recorded = True
            if (due := self._missed.open_due(target)) is not None:
                self._tally.count_suppressed(target, due, Reason.NODE_DELETED)
        for tracked in [each for each in self._tracking.of(target) if each.job_deleted_at is not None]:
            self._forget(tracked.uid)
        self._look_at(self._tracking.of(target))

    # Events.

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        if new is None:
            if old is not None:
                self._job_deleted(old)
            return
        # At once, so that nobody looking at the due time takes the run for missing.
        tracked = self._tracking.get(new.metadata.uid) or self._track(new)
        if tracked is not None:
            tracked.job_finished_at = new.finished_at
        self._queue.add("job" if tracked is not None and tracked.recorded else "run", new.metadata.uid)

    def _job_deleted(self, job: Job) -> None:
        """Forget a run that is counted; of any other, whoever deleted its Job, what was seen is judged."""
        tracked = self._tracking.get(job.metadata.uid)
        if tracked is None:
            return
        if tracked.recorded or tracked.target not in self._probes:
            self._forget(tracked.uid)
            return
        tracked.job_finished_at, tracked.job_deleted_at = job.finished_at, self._client.now()
        if tracked.pod is None:
            tracked.pod_known_until = min(self._caches.jobs.heard_at, self._as_of(tracked))
        self._queue.add("run", tracked.uid)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None and GO_PIE_FINALIZER in new.metadata.finalizers:
            self._queue.add("finalizer", new.metadata.name)
        # A pod that its Job left behind when it was deleted (--cascade=orphan) is nobody's run any more.
        shown = new if new is not None and new.metadata.controller_owner is not None else None
        pod = shown or old
        owner = pod.metadata.controller_owner if pod is not None else None
        if owner is None or (tracked := self._tracking.get(owner.uid)) is None:
            return
        if tracked.recorded:
            self._queue.add("job", tracked.uid)  # What runs on in a pod that is counted is ended.
            return
        if shown is None:
            self._pod_went(tracked)
        tracked.pod, tracked.pod_gone = pod, shown is None
        self._queue.add("run", tracked.uid)

    def _cronjob_changed(self, _old: CronJob | None, new: CronJob | None) -> None:
        if new is not None and (target := target_of(new.metadata)) is not None:
            for tracked in self._tracking.of(target):
                if tracked.recorded:
                    self._queue.add("job", tracked.uid)

    # Following a run.

    def _track(self, job: Job) -> Tracked | None:
        tracked = self._tracking.add(job)
        if tracked is not None and tracked.follows:
            self._follow_ups.see(tracked.follows)
        return tracked

    def _forget(self, uid: str) -> None:
        if (tracked := self._tracking.remove(uid)) is None:
            return
        self._witness.forget(tracked.pod, uid)
        self._doubts.forget(uid)
        self._follow_ups.forget_run(uid)

    def _pod_went(self, tracked: Tracked) -> None:
        """Note that the pod of a run is gone, and until when it is known to have been as last seen."""
        if not tracked.pod_gone:
            tracked.pod_gone, tracked.pod_known_until = True, self._as_of(tracked)

    async def _look(self, thing: Hashable) -> None:
        """Judge a run because its time has come; read its pod first if the watch does not reach that far."""
        uid = str(thing)
        job = self._caches.jobs_by_uid.get(uid)
        tracked = self._tracking.get(uid)
        if tracked is None and job is not None:
            tracked = self._track(job)
        if tracked is None or tracked.recorded:
            return
        if tracked.target not in self._probes:
            # A run of the schedule goes with its CronJob; a one-off run has nobody else to take it away.
            if tracked.job_deleted_at is not None:
                self._forget(uid)
            elif job is not None and not job.scheduled and tracked.target.probe in self._read:
                tracked.recorded = True
                self._queue.add("job", uid)
            return
        if self._is_behind(tracked):
            self._queue.add("read-pod", uid)
            return
        self._evaluate(tracked)

    def _is_behind(self, tracked: Tracked) -> bool:
        """Tell whether it is time to judge a run, and its pod is not known as it is at that time."""
        at = tracked.check_at
        return at is not None and self._as_of(tracked) < at <= self._client.now()

    async def _read_pod(self, thing: Hashable) -> None:
        """Read the pod of a run that has to be judged now: by name, or with all others that are wanted."""
        tracked = self._tracking.get(str(thing))
        if tracked is None or tracked.recorded:
            return
        if (at := tracked.check_at) is not None and self._is_behind(tracked):
            pod, gone = await self._current_pod(tracked, at)
            if self._caches.pods.heard_at < at:  # else the watch has caught up, and may know more by now
                if pod is not None:
                    tracked.pod, tracked.pod_gone = pod, False
                elif gone:
                    self._pod_went(tracked)
                tracked.seen_until = at
        self._queue.add("run", tracked.uid)

    async def _current_pod(self, tracked: Tracked, since: float) -> tuple[Pod | None, bool]:
        """Return the pod of a run as it was at `since` or later, and whether there is none for certain."""
        if tracked.pod is None:
            listed = await self._pods.all(since)
            pod = listed.of_owner(tracked.uid)
            return pod, pod is None and not listed.skipped
        pod = await self._pods.one(tracked.pod.metadata.name, since)
        same = pod is not None and pod.metadata.uid == tracked.pod.metadata.uid
        return (pod, False) if same else (None, True)

    def _as_of(self, tracked: Tracked) -> float:
        return min(self._client.now(), max(self._caches.pods.heard_at, tracked.seen_until))

    def _evaluate(self, tracked: Tracked) -> None:
        probe = self._probes.get(tracked.target)
        if probe is None or tracked.recorded:
            return
        as_of = self._as_of(tracked)
        run, unseen_end = self._run(tracked, as_of)
        judgement = self._maintenance.excuse(run, judge(run, probe, as_of))
        if unseen_end and judgement.bad:
            self._look_again(tracked, self._client.now() + _POD_CATCHES_UP_SECONDS)
            return
        if self._witness.investigate(run, judgement):
            self._queue.add("run", tracked.uid, after_seconds=PATIENCE_SECONDS)
            return
        if judgement.bad and not self._doubts.believes(tracked.uid, judgement, run.node):
            return
        speaker = self._speaker(tracked, run, probe, judgement)
        if speaker is Speaker.LATER and judgement.ended:
            self._queue.add("run", tracked.uid, after_seconds=FOLLOW_UP_SECONDS)
            return
        own, taken_over = judgement, speaker is not Speaker.ITSELF
        if taken_over:
            tracked.on_time_counted = speaker is Speaker.FOLLOW_UP
            judgement = replace(judgement, verdict=Verdict.PENDING, on_time=None)
        judgement = self._volumes.weigh(judgement, run)
        self._tally.count(tracked, probe, judgement, as_of)
        runs = 2 if tracked.follows else 1
        self._tally.note(tracked.target, judgement, tracked.due, run.node, runs=runs)
        self._tally.show(tracked, run, own if taken_over else judgement, decides=not taken_over)
        if judgement.ended:
            self._tally.record(tracked, run, judgement)
            self._ended(tracked, judgement)
            if tracked.job_deleted_at is not None:
                self._forget(tracked.uid)
            return
        if judgement.replace and tracked.pod is not None and not tracked.pod_gone:
            self._queue.add("pod", tracked.uid)
        blocks = judgement.bad or taken_over or judgement.verdict is Verdict.SUPPRESSED
        due = next_due(tracked.target, probe.period_seconds, as_of, probe.minute_seconds) if blocks else None
        catch_up_at = self._client.now() + _POD_CATCHES_UP_SECONDS if unseen_end else None
        decided_at = self._client.now() + FOLLOW_UP_SECONDS if speaker is Speaker.LATER else None
        self._look_again(tracked, judgement.check_at, due, catch_up_at, decided_at)

    def _run(self, tracked: Tracked, as_of: float) -> tuple[Run, bool]:
        """Return what is known of a run by now, and whether its Job is over, and the pod not seen to be."""
        deleted = tracked.job_deleted_at is not None
        job_over_at = tracked.job_finished_at or tracked.job_deleted_at
        caught_up = job_over_at is not None and as_of > job_over_at + _POD_CATCHES_UP_SECONDS
        if tracked.pod is None and caught_up:
            tracked.pod_gone = True  # The watch reaches beyond the run's end, and shows no pod.
        pod_ended = tracked.pod is not None and pod_over(tracked.pod)
        over = job_over_at is not None and (pod_ended or tracked.pod_gone)
        # The pod of a deleted Job may outlive it: while its I/O hangs, or on a node that is dead.
        unseen_end = job_over_at is not None and not over and not (deleted and caught_up)
        run = self._witness.testify(
            Run(
                tracked.target,
                tracked.uid,
                tracked.due,
                tracked.created,
                tracked.pod,
                self._claim(tracked),
                job_finished=over,
                job_ended_seconds=tracked.job_finished_at,
                job_deleted_seconds=tracked.job_deleted_at,
                pod_known_until=tracked.pod_known_until if deleted else None,
            )
        )
        return run, unseen_end

    def _ended(self, tracked: Tracked, judgement: Judgement) -> None:
        """Do what follows from the end of a run."""
        if tracked.follows:
            self._follow_ups.ended(tracked.target, tracked.follows, judgement)
            self._look_at(self._tracking.unread(tracked.target))
        self._retries.ended(tracked.target, on_schedule=not tracked.retry)

    def _look_again(self, tracked: Tracked, *moments: float | None) -> None:
        """Have a run that goes on judged again at the first of some moments."""
        at = tracked.check_at = min((at for at in moments if at is not None), default=None)
        if at is not None:
            self._queue.add("run", tracked.uid, after_seconds=max(0.01, at - self._client.now()))

    def _wants_retry(self, target: Target) -> bool:
        """Tell whether a target is bad, does not hang, and has no run under way."""
        state = self.states.get(target)
        if state is None or state.verdict not in BAD or state.verdict is Verdict.HUNG:
            return False
        return not self._busy(target)

    def _busy(self, target: Target) -> bool:
        return any(self._tracking.unread(target))

    def _speaker(self, tracked: Tracked, run: Run, probe: Probe, judgement: Judgement) -> Speaker:
        """Return who speaks for a run: a bad provision run of the schedule is followed by one elsewhere."""
        target = tracked.target
        if not judgement.bad or target.kind is not Kind.PROVISION or tracked.cause != "schedule":
            return Speaker.ITSELF
        follow_up = self._tracking.follow_up(target)
        return self._follow_ups.speaker(
            run,
            probe,
            judgement,
            due=self._tally.open_due(tracked, probe, ended=judgement.ended),
            under_way=follow_up.due if follow_up is not None else None,
        )

    def _claim(self, tracked: Tracked) -> Claim | None:
        if tracked.target.kind is Kind.MOUNT:
            return next(iter(self._caches.claims_of.get(tracked.target, {}).values()), None)
        return self._caches.claim_of_pod.get(tracked.pod.metadata.uid) if tracked.pod is not None else None
