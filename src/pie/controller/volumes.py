"""What is known of each mount target's volume, and whether a run found it so."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from pie.controller.observe import Caches
from pie.controller.queue import WorkQueue
from pie.core import integrity
from pie.core.integrity import VolumeMemory
from pie.core.judge import Judgement
from pie.core.latency import LatencyHistory, judge_latency, typical_seconds
from pie.core.model import Kind, Stage, Target, Verdict
from pie.core.objects import Claim, epoch_seconds
from pie.core.reasons import Reason
from pie.core.result import IoStats, RecordStats
from pie.core.timeline import Run, timeline
from pie.kube.client import Client
from pie.kube.resources import PVCS


@dataclass(slots=True)
class _Known:
    """The memory of one volume; another claim of the same name is another volume."""

    claim_uid: str
    memory: VolumeMemory = field(default_factory=VolumeMemory)


class Volumes:
    """The memory of volumes: here, and in annotations on their claims, where it outlives the controller."""

    def __init__(self, client: Client, caches: Caches, queue: WorkQueue) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._known: dict[Target, _Known] = {}
        self._latency: dict[Target, LatencyHistory] = {}
        queue.handle("claim", self._annotate)

    def forget(self, target: Target) -> None:
        """Forget the volume of a target that ended."""
        self._known.pop(target, None)
        self._latency.pop(target, None)

    def weigh(self, judgement: Judgement, run: Run) -> Judgement:
        """Return the judgement of a run, worse where the data or the latency is not as it should be."""
        return self._with_latency(self._with_integrity(judgement, run), run)

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
        slow = self._slow(run.target, judgement.result.io)
        if not slow:
            return judgement
        return replace(judgement, verdict=Verdict.LATE, reason=Reason.IO_SLOW, stage=Stage.IO, message=slow)

    def _hold(self, run: Run, found: RecordStats) -> tuple[Reason | None, str]:
        """Hold what a run found on its volume against what should be there; None: nothing is wrong."""
        claim = self._claim(run.target)
        if claim is None or run.pod is None:
            return None, ""
        if claim.metadata.created_seconds > run.pod.metadata.created_seconds:
            return None, ""  # The volume of this run is gone; a new one has nothing to do with it.
        known = self._known.get(run.target)
        if known is None or known.claim_uid != claim.metadata.uid:
            known = self._known[run.target] = _Known(claim.metadata.uid)
        before = integrity.recall(claim.metadata.annotations, known.memory)
        terminated = timeline(run).terminated
        ended_seconds = epoch_seconds(terminated.finished_at) if terminated else 0.0
        reason, message, known.memory = integrity.judge_records(before, found, ended_seconds)
        if not _says(claim, known.memory):
            self._queue.add("claim", run.target)
        return reason, message

    def _slow(self, target: Target, measured: IoStats | None) -> str:
        """Hold a good run's I/O against the target's history; say how slow it was, empty: not slow."""
        seconds = typical_seconds(measured) if measured is not None else None
        if seconds is None:
            return ""
        message, history = judge_latency(self._latency.get(target, LatencyHistory()), seconds)
        self._latency[target] = history
        return message

    def _claim(self, target: Target) -> Claim | None:
        return next(iter(self._caches.claims_of.get(target, {}).values()), None)

    async def _annotate(self, thing: Hashable) -> None:
        if not isinstance(thing, Target):
            raise TypeError(f"not a target: {thing!r}")
        claim, known = self._claim(thing), self._known.get(thing)
        if claim is None or known is None or claim.metadata.uid != known.claim_uid:
            return
        if not _says(claim, known.memory):
            body = {"metadata": {"uid": known.claim_uid, "annotations": known.memory.annotations()}}
            await self._client.merge_patch(
                PVCS, claim.metadata.name, body, claim.metadata.namespace, decode=Claim
            )


def _says(claim: Claim, memory: VolumeMemory) -> bool:
    return memory.annotations().items() <= claim.metadata.annotations.items()
