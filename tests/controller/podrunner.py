"""A runner without Jobs: it creates the pods of a PieProbe itself, and keeps their schedules in memory."""

from dataclasses import replace
from typing import Any

from pie.controller.caches import Caches
from pie.controller.runners import Runner
from pie.core.batch.cron import Cron
from pie.core.manifests import metadata_of, pod_template
from pie.core.model import Image, Target
from pie.core.naming import target_of
from pie.core.plan import Apply, Plan
from pie.core.run import RunFact
from pie.core.schedule import phase_minutes
from pie.core.target.effects import StartRun
from pie.core.target.facts import ScheduleFact
from pie.core.timeline import pod_over
from pie.core.wire import Pod
from pie.kube.client import Client
from pie.kube.resources import PODS


class PodRunner(Runner):
    as_of = property(lambda self: self.pods.heard_at)

    def __init__(self, client: Client, caches: Caches, image: Image) -> None:
        self.client, self.pods, self.image = client, caches.pods, image
        self.schedules, self.known = {}, {}
        self.calendar = lambda probe, target: Cron(
            phase_minutes(target, probe.period_seconds), probe.period_seconds, probe.minute_seconds
        )
        self.runs = lambda _probe, target: tuple(self.known.get(target, {}).values())
        self.target_of_pod = lambda pod: target_of(pod.metadata)
        self.targets = lambda: self.schedules.keys() | self.known.keys()
        self.schedule_uids = lambda _target: ()
        self.objects = lambda target: (target in self.schedules,)
        self.paused_since = lambda target: self.schedules.get(target, {}).get("paused_since")

    def start(self, queue: Any) -> None:
        self.queue = queue
        queue.handle("due", self._start_due)
        self.pods.listen(self._pod_changed)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        pod, gone, at = new or old, new is None, self.pods.heard_at
        found, marks, target = pod.metadata, pod.metadata.annotations, self.target_of_pod(pod)
        run = RunFact(found.uid, float(marks["due"]), found.created_seconds, marks["why"], marks["follows"])
        ended, delete = at if gone or pod_over(pod) else None, "forget" if gone else "pod"
        run = replace(run, pod=pod, pod_gone=gone, over_at=ended, pod_known_until=at, discardable=delete)
        self.known.setdefault(target, {})[run.id] = run
        self.queue.add("target", target)
        self.queue.add("due", target)

    async def _start_due(self, target: Target) -> None:
        if (fact := self.schedule(target)) is None or fact.paused:
            return
        wanted, now = self.schedules[target], self.client.now()
        calendar, last = self.calendar(wanted["probe"], target), max(fact.since, fact.last_started)
        for due in [] if fact.busy else calendar.dues_between(last, now, limit=1):
            await self.run(wanted["probe"], target, StartRun("schedule", due, now), wanted["claim"])
            wanted["last"] = due
        self.queue.add("due", target, after_seconds=calendar.next_due(now) - now + 0.001)

    def schedule(self, target: Target) -> ScheduleFact | None:
        busy = any(run.over_at is None for run in self.runs(None, target))
        kept, paused = self.schedules.get(target), self.paused_since(target) is not None
        return ScheduleFact(kept["since"], kept["last"], paused=paused, busy=busy) if kept else None

    async def plan(self, probe: Any, target: Target, wanted: Any, _owner: Any, claim: str) -> Plan:
        if not wanted.live:
            return Plan()
        new = {"since": self.client.now(), "last": 0.0, **self.schedules.get(target, {})}
        return Plan((Apply({**new, "probe": probe, "claim": claim, "paused_since": wanted.paused_since}),))

    async def carry_out(self, target: Target, actions: Any) -> None:
        self.schedules.pop(target, None)
        self.schedules.update((target, each.manifest) for each in actions if isinstance(each, Apply))
        self.queue.add("target", target)
        self.queue.add("due", target)

    async def run(self, probe: Any, target: Target, order: StartRun, claim: str) -> None:
        pod = pod_template(probe, target, claim=claim, image=self.image, without=order.without)
        marks = metadata_of(probe, target, f"{target}-{order.why}-{int(order.due)}".replace("/", "-"))
        marks["annotations"] |= {"due": str(order.due), "why": order.why, "follows": order.follows}
        await self.client.create(PODS, {**pod, "metadata": marks}, probe.namespace, decode=Pod)

    async def discard(self, run: str) -> None:
        target, found = next((of, runs[run]) for of, runs in self.known.items() if run in runs)
        if found.pod_gone:
            del self.known[target][run]
            self.queue.add("target", target)
        else:
            await self.client.delete(PODS, found.pod.metadata.name, found.pod.metadata.namespace, uid=run)
