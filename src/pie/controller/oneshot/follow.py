"""Follows the runs of a check, and judges them as the controller judges its own.

Two watches, of the check's pods and claims by their label, and one of Warning Events.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pie.controller.attachmentstate import AttachmentReader
from pie.controller.nodelease import NodeLeases
from pie.controller.oneshot.patience import patiently
from pie.controller.warnings import WarningEvents
from pie.core.judge import Judgement, judge
from pie.core.maintenance.excuse import excusable
from pie.core.maintenance.heartbeat import Heartbeat, pulse, silence
from pie.core.maintenance.now import Facts, Suppression, suppression
from pie.core.model import Kind, Probe, Stage, Target, Verdict
from pie.core.naming import ANNOTATION_SELECTED_NODE
from pie.core.oneshot import LABEL_CHECK, stage_of
from pie.core.reasons import Reason
from pie.core.timeline import Run, Sightings, sight
from pie.core.wire import Claim, InvolvedObject, Node, Pod
from pie.kube.client import Client
from pie.kube.reflector import Reflector
from pie.kube.resources import NODES, PODS, PVCS

OnStage = Callable[[Stage], None]


@dataclass(slots=True)
class _Followed:
    """A run's pod and claim as last seen, and what was seen of them that the objects do not keep."""

    pod: Pod
    claim: Claim | None = None
    gone: bool = False
    seen: Sightings = field(default_factory=Sightings)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Follower:
    """Judges runs. `driver` is the StorageClass's provisioner."""

    def __init__(self, client: Client, namespace: str, check: str, *, driver: str) -> None:
        self._client = client
        self._namespace = namespace
        self._driver = driver
        self._runs: dict[str, _Followed] = {}
        self._of_claim: dict[str, _Followed] = {}
        self._attachments = AttachmentReader(client)
        self._leases = NodeLeases(client)
        self._warnings = WarningEvents(client, namespace, self._warned)
        mine = f"{LABEL_CHECK}={check}"
        self.pods = Reflector(
            client, PODS, Pod, namespace=namespace, label_selector=mine, on_change=self._pod_changed
        )
        self.claims = Reflector(
            client, PVCS, Claim, namespace=namespace, label_selector=mine, on_change=self._claim_changed
        )
        self.volumes: dict[str, str] = {}
        """The volume of each claim that had one, by the claim's name."""

    async def run(self) -> None:
        """Keep watching until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.pods.run())
            group.create_task(self.claims.run())
            group.create_task(self._warnings.run())

    # What the watches bring.

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        followed = self._runs.get(pod.metadata.uid) if pod is not None else None
        if pod is None or followed is None:
            return
        followed.pod, followed.gone = pod, new is None
        followed.seen = sight(followed.seen, pod, None, self._client.now())
        followed.changed.set()

    def _claim_changed(self, _old: Claim | None, new: Claim | None) -> None:
        if new is None:
            return
        if new.spec.volume_name:
            self.volumes[new.metadata.name] = new.spec.volume_name
        if (followed := self._of_claim.get(new.metadata.name)) is not None:
            followed.claim = new
            followed.seen = sight(followed.seen, None, new, self._client.now())
            followed.changed.set()

    def _warned(self, about: InvolvedObject) -> None:
        followed = self._runs.get(about.uid) or self._of_claim.get(about.name)
        if followed is not None:
            followed.changed.set()

    # Following a run.

    async def follow(
        self, target: Target, probe: Probe, pod: Pod, claim: str, on_stage: OnStage
    ) -> tuple[Judgement, Run]:
        """Return the judgement of a run as soon as it is over or bad, and the run as it was then."""
        uid, known = pod.metadata.uid, self.claims.store.get((self._namespace, claim))
        pod = self.pods.store.get((self._namespace, pod.metadata.name)) or pod
        seen = sight(Sightings(), pod, known, self._client.now())
        followed = self._runs[uid] = self._of_claim[claim] = _Followed(pod, known, seen=seen)
        try:
            judgement = await self._until_decided(target, probe, followed, on_stage)
            judgement = await self._explained(target, probe, followed, judgement)
            judgement = await self._excused(target, probe, followed, judgement)
            return judgement, self._run(target, followed)
        finally:
            del self._runs[uid], self._of_claim[claim]

    async def _until_decided(
        self, target: Target, probe: Probe, followed: _Followed, on_stage: OnStage
    ) -> Judgement:
        seen_until, stage = 0.0, Stage.QUEUE
        while True:
            followed.changed.clear()
            run = self._run(target, followed)
            as_of = min(self._client.now(), max(self.pods.heard_at, seen_until))
            judgement = judge(run, probe, as_of)
            if judgement.ended or judgement.bad:
                return judgement
            if (now_in := stage_of(run)) is not stage:
                stage = now_in
                on_stage(stage)
            check_at = judgement.check_at
            if check_at is not None and as_of < check_at <= self._client.now():
                seen_until = await self._ask(followed)
                continue
            wait_seconds = max(0.01, check_at - self._client.now()) if check_at is not None else None
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await followed.changed.wait()

    async def _ask(self, followed: _Followed) -> float:
        """Read the pod itself, where the watch does not prove that it is as it was; return as of when."""
        asked_at = self._client.now()
        metadata = followed.pod.metadata
        pod = await patiently(
            lambda: self._client.get_or_none(PODS, metadata.name, metadata.namespace, decode=Pod)
        )
        followed.gone = pod is None or pod.metadata.uid != metadata.uid
        if pod is not None and not followed.gone:
            followed.pod = pod
            followed.seen = sight(followed.seen, pod, None, self._client.now())
        return asked_at

    def _run(self, target: Target, followed: _Followed) -> Run:
        pod, claim = followed.pod, followed.claim
        uids = [pod.metadata.uid, *([claim.metadata.uid] if claim is not None else [])]
        created = pod.metadata.created_seconds
        return Run(
            target,
            pod.metadata.uid,
            due_seconds=created,
            created_seconds=created,
            pod=pod,
            claim=claim,
            job_finished=followed.gone,
            seen=followed.seen,
            warnings=self._warnings.about(*uids),
        )

    async def _explained(
        self, target: Target, probe: Probe, followed: _Followed, judgement: Judgement
    ) -> Judgement:
        """Return the judgement with what can still be asked for: the attachment, and Events not heard of."""
        run = self._run(target, followed)
        if self._attachments.possible(run, self._driver):
            attachment = await self._attachments.look(run, self._driver)
            followed.seen = attachment.added_to(followed.seen) if attachment is not None else followed.seen
        if judgement.bad and not run.warnings:
            await self._warnings.recall(followed.pod.metadata.uid)
            if followed.claim is not None:
                await self._warnings.recall(followed.claim.metadata.uid)
        again = judge(self._run(target, followed), probe, self._client.now())
        return again if again.ended or again.bad else judgement

    async def _excused(
        self, target: Target, probe: Probe, followed: _Followed, judgement: Judgement
    ) -> Judgement:
        """Return the judgement, suppressed if the node went into maintenance meanwhile, or died."""
        node = node_of(self._run(target, followed))
        if not node or not excusable(judgement):
            return judgement
        why = await self._suppression(node, probe)
        if why is None:
            return judgement
        return replace(
            judgement, verdict=Verdict.SUPPRESSED, reason=why.reason, message=why.message, stage=None
        )

    async def _suppression(self, name: str, probe: Probe) -> Suppression | None:
        before: Heartbeat | None = None
        looked_at = 0.0
        while True:
            node = await self._client.get_or_none(NODES, name, decode=Node)
            now = self._client.now()
            if node is None:
                return Suppression(Reason.NODE_DELETED, "the node was deleted", now)
            why = suppression(Facts(node, now), probe)
            if why is not None:
                return why
            beat = await self._leases.look(name, after=looked_at)
            looked_at = self._client.now()
            found = pulse(beat, before)
            if found.silent and beat is not None and found.quiet_since is not None:
                return silence(beat, found.quiet_since)
            if found.look_again_seconds is None:
                return None
            if before is None or beat is None or before.renewal != beat.renewal:
                before = beat
            await asyncio.sleep(found.look_again_seconds)


def node_of(run: Run) -> str:
    """Return the node that a run is bound to, or that its volume was to be made for; empty: none yet."""
    if run.pod is not None and run.pod.spec.node_name:
        return run.pod.spec.node_name
    if run.target.kind is Kind.MOUNT or run.target.node:
        return run.target.node
    return run.claim.metadata.annotations.get(ANNOTATION_SELECTED_NODE, "") if run.claim is not None else ""
