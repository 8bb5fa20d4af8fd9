"""The runner that each PieProbe chooses (`spec.runner`), and the way from one to the other.

A due time belongs to the runner that was in force when it was due. A CronJob stays in force until it is
suspended; it is deleted when none of its runs is left, since its Jobs would be deleted with it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pie.controller.caches import Caches
from pie.controller.queue import WorkQueue
from pie.controller.runners.cronjob import CronJobRunner
from pie.controller.runners.pod import PodRunner
from pie.core.model import Image, Probe, ProbeId, RunnerKind, Target
from pie.core.pace.parts import ALWAYS, PacePart
from pie.core.plan import Action, Plan
from pie.core.run import RunFact
from pie.core.schedule import MINUTE_SECONDS
from pie.core.target.effects import KeepObjects, StartRun
from pie.core.target.facts import Calendar, ScheduleFact
from pie.core.wire import OwnerReference, Pod
from pie.kube.client import Client

_DELETE = KeepObjects(live=False, keep_claim=True)


class ChosenRunner:
    """Both runners; each target has the one that is in force."""

    def __init__(self, client: Client, caches: Caches, image: Image) -> None:
        self._client = client
        self._cronjobs = CronJobRunner(client, caches, image)
        self._pods = PodRunner(client, caches, image)

    def start(self, queue: WorkQueue) -> None:
        """Begin to lead: from now on put targets whose objects change on the queue."""
        self._cronjobs.start(queue)
        self._pods.start(queue)

    def expect(self, of: ProbeId, probe: Probe | None, targets: int) -> None:
        """Note how many targets a PieProbe has; it is None when there is none any more."""
        own = probe is not None and probe.runner is RunnerKind.CRON_JOB
        self._cronjobs.expect(of, targets if own else 0)

    # What is asked.

    def targets(self) -> set[Target]:
        """Return the targets that have objects or runs of either runner."""
        return self._cronjobs.targets() | self._pods.targets()

    def in_force(self, probe: Probe, target: Target) -> RunnerKind:
        """Return which runner starts the runs of a target now."""
        if probe.runner is RunnerKind.CRON_JOB:
            return RunnerKind.CRON_JOB
        found = self._cronjobs.schedule(target)
        return RunnerKind.CRON_JOB if found is not None and not found.paused else RunnerKind.POD

    def calendar(
        self, probe: Probe, target: Target, kind: RunnerKind, paces: Sequence[PacePart] = ALWAYS
    ) -> Calendar:
        """Return the due times of a target with a runner."""
        if kind is RunnerKind.POD:
            return self._pods.calendar(probe, target, paces)
        return self._cronjobs.calendar(_in_minutes(probe), target)

    def schedule(self, probe: Probe, target: Target) -> ScheduleFact | None:
        """Return what starts a target's runs; None: nothing does."""
        if self.in_force(probe, target) is RunnerKind.CRON_JOB:
            return self._cronjobs.schedule(target)
        found = self._pods.schedule(probe, target)
        # A Job that goes on may still get its pod.
        jobs = self._cronjobs.runs(probe, target)
        goes_on = any(each.over_at is None and each.deleted_at is None for each in jobs)
        return replace(found, busy=found.busy or goes_on) if found is not None else None

    def schedule_uids(self, target: Target) -> tuple[str, ...]:
        """Return the uids of the objects that Warning Events about a missing run are about."""
        return self._cronjobs.schedule_uids(target)

    def runs(self, probe: Probe | None, target: Target) -> tuple[RunFact, ...]:
        """Return a target's runs, whichever runner started them."""
        return (*self._cronjobs.runs(probe, target), *self._pods.runs(probe, target))

    def target_of_pod(self, pod: Pod) -> Target | None:
        """Return the target of a run's pod; None where it is of no run."""
        return self._cronjobs.target_of_pod(pod) or self._pods.target_of_pod(pod)

    def target_of_event(self, kind: str, uid: str) -> Target | None:
        """Return the target that an Event about one of the runners' objects is about."""
        return self._cronjobs.target_of_event(kind, uid)

    def objects(self, probe: Probe, target: Target) -> tuple[object, ...]:
        """Return what identifies a target's objects as they are now."""
        found = self._cronjobs.objects(target)
        if not found or probe.runner is RunnerKind.CRON_JOB:
            return found
        return (*found, bool(self._cronjobs.runs(probe, target)))

    def paused_since(self, target: Target) -> float | None:
        """Return since when a target is paused, as its objects say, epoch seconds; None: it is not."""
        found = (self._cronjobs.paused_since(target), self._pods.paused_since(target))
        return min((since for since in found if since is not None), default=None)

    def as_of(self, probe: Probe, target: Target) -> float:
        """Return up to when a target's runs are known."""
        pods, jobs = self._pods.as_of(), self._cronjobs.as_of()
        if probe.runner is RunnerKind.CRON_JOB:
            return jobs
        return min(pods, jobs) if self._cronjobs.objects(target) else pods

    def confirm(self) -> None:
        """Have the watches confirm soon that they are complete."""
        self._cronjobs.confirm()
        self._pods.confirm()

    # What is done.

    async def plan(
        self, probe: Probe | None, target: Target, wanted: KeepObjects, owner: OwnerReference, claim: str
    ) -> Plan:
        """Return what to do with a target's objects; `claim` is the name of its PVC."""
        if not wanted.live:
            self._pods.forget(target)
        if probe is None or not wanted.live or probe.runner is RunnerKind.CRON_JOB:
            return await self._cronjobs.plan(probe, target, wanted, owner, claim)
        if not self._cronjobs.objects(target):
            return Plan()
        if not self._cronjobs.runs(probe, target):
            return await self._cronjobs.plan(None, target, _DELETE, owner, "")
        since = wanted.paused_since or self._client.now()
        paused = replace(wanted, create=False, paused_since=since)
        return await self._cronjobs.plan(_in_minutes(probe), target, paused, owner, claim)

    async def carry_out(self, target: Target, actions: Iterable[Action]) -> None:
        """Create, change or delete a target's CronJob."""
        await self._cronjobs.carry_out(target, actions)

    async def run(self, probe: Probe, target: Target, order: StartRun, claim: str) -> bool:
        """Start a run; False: not yet, since another run of the target is in its place."""
        by_pod = self.in_force(probe, target) is RunnerKind.POD
        runner = self._pods if by_pod else self._cronjobs
        return await runner.run(probe, target, order, claim)

    async def discard(self, run: str) -> None:
        """Delete the objects of a run that is counted."""
        await self._cronjobs.discard(run)
        await self._pods.discard(run)


def _in_minutes(probe: Probe) -> Probe:
    """Return the spec with a period that a CronJob can have: that of pods may be less than a minute."""
    seconds = max(1, probe.period_seconds // MINUTE_SECONDS) * MINUTE_SECONDS
    return probe if seconds == probe.period_seconds else replace(probe, period_seconds=seconds)
