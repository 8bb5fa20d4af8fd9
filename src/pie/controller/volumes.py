"""What is known of each mount target's volume, and whether a run found it so."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from pie.controller.caches import Caches
from pie.controller.queue import WorkQueue
from pie.core import integrity
from pie.core.incidents.stored import from_status
from pie.core.integrity import VolumeMemory
from pie.core.judge import Judgement
from pie.core.latency import LatencyHistory, judge_latency, recall_latency, typical_seconds
from pie.core.model import Kind, Stage, Target, Verdict
from pie.core.reasons import Reason
from pie.core.result import IoStats, RecordStats
from pie.core.timeline import Run
from pie.core.wire import Claim
from pie.kube.client import Client
from pie.kube.resources import PVCS


@dataclass(slots=True)
class _Known:
    """The memory of one volume; another claim of the same name is another volume."""

    claim_uid: str
    memory: VolumeMemory = field(default_factory=VolumeMemory)
    latency: LatencyHistory | None = None


class Volumes:
    """The memory of volumes: here, and in annotations on their claims, where it outlives the controller."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._known: dict[Target, _Known] = {}
        queue.handle("claim", self._annotate)

    def forget(self, target: Target) -> None:
        """Forget the volume of a target that ended."""
        self._known.pop(target, None)

    def weigh(self, judgement: Judgement, run: Run) -> Judgement:
        """Return the judgement of a run, worse where the data or the latency is not as it should be."""
        judgement = self._with_latency(self._with_integrity(judgement, run), run)
        claim = self._claim(run.target)
        if claim is not None and self._untold(run.target, claim):
            self._queue.add("claim", run.target)
        return judgement

    def _with_integrity(self, judgement: Judgement, run: Run) -> Judgement:
        """Judge what the probe found on its volume, where the probe itself found nothing wrong."""
        result = judgement.result
        if result is None or result.records is None or run.target.kind is not Kind.MOUNT:
            return judgement
        reason, message = self._hold(run, result.records)
        if reason is None or not result.ok:
            return judgement
        wrong = replace(judgement, verdict=Verdict.FAILED, reason=reason, message=message)
        return replace(wrong, stage=Stage.IO, succeeded=False)

    def _with_latency(self, judgement: Judgement, run: Run) -> Judgement:
        """Call a good run late if its I/O was slow for its target; what it counts as stays."""
        if judgement.verdict is not Verdict.OK or judgement.result is None:
            return judgement
        slow = self._slow(run, judgement.result.io)
        if not slow:
            return judgement
        return replace(judgement, verdict=Verdict.LATE, reason=Reason.IO_SLOW, stage=Stage.IO, message=slow)

    def _hold(self, run: Run, found: RecordStats) -> tuple[Reason | None, str]:
        """Hold what a run found on its volume against what should be there; None: nothing is wrong."""
        found_on = self._volume(run)
        if found_on is None:
            return None, ""
        claim, known = found_on
        before = integrity.recall(claim.metadata.annotations, known.memory)
        reason, message, known.memory = integrity.judge_records(before, found, run.due_seconds)
        return reason, message

    def _slow(self, run: Run, measured: IoStats | None) -> str:
        """Hold a good run's I/O against the target's history; say how slow it was, empty: not slow."""
        seconds = typical_seconds(measured) if measured is not None else None
        measured_on = self._volume(run)
        if seconds is None or measured_on is None:
            return ""
        claim, known = measured_on
        history = known.latency or self._recall_latency(run.target, claim)
        message, known.latency = judge_latency(history, seconds)
        return message

    def _recall_latency(self, target: Target, claim: Claim) -> LatencyHistory:
        """Return what an earlier controller knew: from the claim, and from the incidents in the status."""
        probe = self._caches.probe(target.probe)
        incidents = from_status(probe.status) if probe is not None else []
        slow = any(
            each.closed_at is None and each.stage is Stage.IO and each.concerns(target) for each in incidents
        )
        return recall_latency(claim.metadata.annotations, slow=slow)

    def _volume(self, run: Run) -> tuple[Claim, _Known] | None:
        """Return the claim of a mount run, and what is known of its volume; None: it is gone."""
        claim = self._claim(run.target)
        if claim is None or run.pod is None:
            return None
        if claim.metadata.created_seconds > run.pod.metadata.created_seconds:
            return None  # The volume of this run is gone; a new one has nothing to do with it.
        known = self._known.get(run.target)
        if known is None or known.claim_uid != claim.metadata.uid:
            known = self._known[run.target] = _Known(claim.metadata.uid)
        return claim, known

    def _claim(self, target: Target) -> Claim | None:
        return next(iter(self._caches.claims_of.get(target, {}).values()), None)

    async def _annotate(self, thing: Hashable) -> None:
        if not isinstance(thing, Target):
            raise TypeError(f"not a target: {thing!r}")
        claim = self._claim(thing)
        if claim is not None and (untold := self._untold(thing, claim)):
            body = {"metadata": {"uid": claim.metadata.uid, "annotations": untold}}
            await self._client.merge_patch(
                PVCS, claim.metadata.name, body, claim.metadata.namespace, decode=Claim
            )

    def _untold(self, target: Target, claim: Claim) -> dict[str, str]:
        """Return what is known of a target's volume that its claim does not say."""
        told, known = claim.metadata.annotations, self._known.get(target)
        if known is None or known.claim_uid != claim.metadata.uid:
            return {}
        wanted = known.memory.annotations()
        if known.latency is not None:
            wanted |= known.latency.annotations(told)
        return {key: value for key, value in wanted.items() if told.get(key) != value}
