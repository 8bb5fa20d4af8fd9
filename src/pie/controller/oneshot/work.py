"""Checks one target: creates PVC and pod, waits for the verdict, and deletes both."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from pie.controller.oneshot.cleanup import Cleanup
from pie.controller.oneshot.follow import Follower
from pie.controller.oneshot.patience import patiently
from pie.controller.oneshot.survey import CannotCheck
from pie.controller.snapshots import take_snapshot
from pie.core.integrity import VolumeMemory, judge_records
from pie.core.judge import Judgement, with_records
from pie.core.kinds import kind_of
from pie.core.manifests import Manifest, ephemeral_claim
from pie.core.model import FIRST, AtStep, Probe, Stage, Target, Verdict
from pie.core.oneshot import Checked, Maker, checked, runs_of
from pie.core.reasons import Reason
from pie.core.snapshots import judged
from pie.core.timeline import Run, timeline
from pie.core.wire import Claim, Pod, epoch_seconds
from pie.kube.client import Client
from pie.kube.errors import AlreadyExists
from pie.kube.resources import PODS, PVCS, Resource
from pie.kube.watchstream import T

_LOOK_AGAIN_SECONDS: Final = 0.5

OnStage = Callable[[Target, Stage], None]
"""Receives the stage of a target."""


@dataclass(slots=True)
class _Item:
    """A target that is being checked. `name` is that of its PVC; the names of its pods begin with it."""

    target: Target
    probe: Probe
    name: str
    memory: VolumeMemory = field(default_factory=VolumeMemory)
    stages: dict[Stage, float] = field(default_factory=dict)
    node: str = ""

    @property
    def pods(self) -> list[str]:
        """The names of its pods, one after the other."""
        return [f"{self.name}-{number}" for number in range(1, runs_of(self.target) + 1)]

    @property
    def claims(self) -> list[str]:
        """The names of its PVCs."""
        return [self.name] if kind_of(self.target).pvc else [ephemeral_claim(pod) for pod in self.pods]


class Worker:
    """Checks targets, one in each call; several calls may run at once."""

    def __init__(
        self,
        client: Client,
        maker: Maker,
        follower: Follower,
        cleanup: Cleanup,
        *,
        keep_on_failure: bool,
        on_stage: OnStage,
    ) -> None:
        self._client = client
        self._maker = maker
        self._follower = follower
        self._cleanup = cleanup
        self._keep_on_failure = keep_on_failure
        self._on_stage = on_stage

    async def check(self, target: Target, probe: Probe, number: int) -> Checked:
        """Return the result of a target; `number` makes the names of its objects unique."""
        began = self._client.clock.monotonic()
        item = _Item(target, probe, f"{self._maker.check}-{target.kind}-{number}", node=target.node)
        judgement = await self._runs(item)
        if judgement.verdict is Verdict.OK:
            judgement = await self._tear_down(item, judgement)
        elif judgement.needs_cause and self._keep_on_failure:
            self._cleanup.kept |= {*item.pods, *item.claims}
        else:
            await self._let_go(item)
        seconds = self._client.clock.monotonic() - began
        return checked(target, item.node, judgement, seconds=seconds, stages=item.stages)

    async def _runs(self, item: _Item) -> Judgement:
        target = item.target
        self._on_stage(target, Stage.QUEUE)
        if kind_of(target).pvc:
            await self._create(PVCS, self._maker.claim(item.probe, target, item.name), Claim)
        *before, last = item.pods
        if kind_of(target).steps[-1].beside:
            return await self._run_together(item, before[0], last)
        step = FIRST
        for name in before:
            judgement, pod = await self._run(item, name, step)
            if judgement.verdict is not Verdict.OK:
                return judgement
            if not kind_of(target).pvc:
                step = AtStep(step.number + 1, before[0], item.node)
                judgement = await self._snapshot(item, pod, judgement, step)
                if judgement.verdict is not Verdict.OK:
                    return judgement
                continue
            self._on_stage(target, Stage.TEARDOWN)
            await patiently(partial(self._cleanup.delete_pod, pod.metadata))
            if not await self._until(partial(self._pod_gone, name), item.probe.deadline_seconds):
                waited = f"{item.probe.deadline_seconds:g} s"
                message = f"the first run's pod still exists {waited} after it was deleted: no second mount"
                return _left_behind(judgement, Reason.TEARDOWN_STUCK, message)
        judgement, _ = await self._run(item, last, step)
        return judgement

    async def _snapshot(self, item: _Item, pod: Pod, good: Judgement, step: AtStep) -> Judgement:
        """Take the snapshot that the next step needs, if it needs one, and wait until it is ready."""
        target, probe, clock = item.target, item.probe, self._client.clock.monotonic
        if not kind_of(target).steps[step.number].snapshot:
            return good
        self._on_stage(target, Stage.PROVISION)
        wanted = probe.canaries.get(target.kind)
        began = clock()
        while True:
            answer = await patiently(
                partial(
                    take_snapshot,
                    self._client,
                    target,
                    pod.metadata,
                    driver=self._follower.driver,
                    snapshot_class=wanted.snapshot_class if wanted is not None else "",
                )
            )
            if answer.ready:
                return good
            waited = clock() - began
            if (
                bad := judged(good, answer, waited if waited >= probe.deadline_seconds else None)
            ) is not None:
                return bad
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _run_together(self, item: _Item, first: str, second: str) -> Judgement:
        """Run two pods at once, the second one when the first one works; the first bad one decides."""
        begun = asyncio.Event()

        def on_stage(stage: Stage) -> None:
            self._on_stage(item.target, stage)
            if stage is Stage.IO:
                begun.set()

        beginning = asyncio.create_task(begun.wait())
        running = {asyncio.create_task(self._run(item, first, FIRST, on_stage))}
        judgement: Judgement | None = None
        try:
            await asyncio.wait({*running, beginning}, return_when=asyncio.FIRST_COMPLETED)
            pod = self._follower.pods.store.get((self._maker.namespace, first))
            if begun.is_set() and pod is not None:
                step = AtStep(1, first, apart=(pod.spec.node_name,))
                running.add(asyncio.create_task(self._run(item, second, step)))
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    judgement = each.result()[0]
                    if judgement.verdict is not Verdict.OK:
                        return judgement
        finally:
            for task in (*running, beginning):
                task.cancel()
            await asyncio.gather(*running, beginning, return_exceptions=True)
        if judgement is None:
            raise AssertionError("a run has a pod")
        return judgement

    async def _run(
        self, item: _Item, name: str, step: AtStep, on_stage: Callable[[Stage], None] | None = None
    ) -> tuple[Judgement, Pod]:
        target = item.target
        manifest = self._maker.pod(item.probe, target, name, item.name, step)
        pod = await self._create(PODS, manifest, Pod)
        self._cleanup.pod_created(pod.metadata)
        beside = kind_of(target).steps[step.number].beside
        claim = item.name if kind_of(target).pvc else ephemeral_claim(step.after if beside else name)
        judgement, run = await self._follower.follow(
            target, item.probe, pod, claim, on_stage or partial(self._on_stage, target), shares=beside
        )
        item.node = run.node or item.node
        item.stages |= timeline(run).seconds
        return _with_integrity(item, run, judgement), pod

    async def _create(self, resource: Resource, manifest: Manifest, kind: type[T]) -> T:
        name = manifest["metadata"]["name"]

        async def create() -> T:
            try:
                return await self._client.create(resource, manifest, self._maker.namespace, decode=kind)
            except AlreadyExists:
                found = await self._client.get(resource, name, self._maker.namespace, decode=kind)
            if self._cleanup.owns(found.metadata):  # created by a request without an answer
                return found
            what = resource.describe(self._maker.namespace, name)
            raise CannotCheck(f"{what} exists already, and this check has not created it")

        return await patiently(create)

    # The end of it.

    async def _let_go(self, item: _Item) -> None:
        """Delete the objects of a target."""
        for name in item.claims:
            await patiently(partial(self._cleanup.delete_claim, name))
        for name in item.pods:
            pod = self._follower.pods.store.get((self._maker.namespace, name))
            if pod is not None:
                await patiently(partial(self._cleanup.delete_pod, pod.metadata))

    async def _tear_down(self, item: _Item, judgement: Judgement) -> Judgement:
        """Delete the objects of a good target, and judge whether they are gone in time."""
        self._on_stage(item.target, Stage.TEARDOWN)
        began = self._client.clock.monotonic()
        await self._let_go(item)
        limit_seconds = item.probe.deadline_seconds
        if not await self._until(lambda: self._objects_gone(item), limit_seconds):
            message = f"pod and PVC still exist after {limit_seconds:g} s"
            return _left_behind(judgement, Reason.TEARDOWN_STUCK, message)
        if not await self._until(lambda: self._volumes_gone(item), limit_seconds):
            message = f"the PVC was deleted, but its volume still exists after {limit_seconds:g} s"
            return _left_behind(judgement, Reason.VOLUME_LEAKED, message)
        item.stages[Stage.TEARDOWN] = self._client.clock.monotonic() - began
        return judgement

    async def _pod_gone(self, name: str) -> bool:
        return (self._maker.namespace, name) not in self._follower.pods.store

    async def _objects_gone(self, item: _Item) -> bool:
        namespace, pods, claims = (
            self._maker.namespace,
            self._follower.pods.store,
            self._follower.claims.store,
        )
        there = [name for name in item.pods if (namespace, name) in pods]
        return not there and not any((namespace, name) in claims for name in item.claims)

    async def _volumes_gone(self, item: _Item) -> bool:
        for claim in item.claims:
            volume = self._follower.volumes.get(claim)
            if volume is not None and not await patiently(partial(self._cleanup.volume_gone, volume)):
                return False
            self._follower.volumes.pop(claim, None)
        return True

    async def _until(self, condition: Callable[[], Awaitable[bool]], seconds: float) -> bool:
        """Return whether a condition comes true in time."""
        clock = self._client.clock.monotonic
        give_up_at = clock() + seconds
        while not (holds := await condition()) and clock() < give_up_at:  # noqa: ASYNC110  asks the API server
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return holds


def _with_integrity(item: _Item, run: Run, judgement: Judgement) -> Judgement:
    """Compare what a run found on its volume with what the run before wrote there."""
    result = judgement.result
    if not kind_of(run.target).pvc or result is None or result.records is None:
        return judgement
    terminated = timeline(run).terminated
    ended_seconds = epoch_seconds(terminated.finished_at) if terminated is not None else 0.0
    reason, message, item.memory = judge_records(item.memory, result.records, ended_seconds)
    return with_records(judgement, reason, message)


def _left_behind(judgement: Judgement, reason: Reason, message: str) -> Judgement:
    return replace(judgement, verdict=Verdict.FAILED, reason=reason, message=message, stage=Stage.TEARDOWN)
