"""Carries out effects: the last of the three steps gather, decide, act.

Counts and series are updated at once. An effect that needs the API server waits on the queue. The queue keeps
the newest order for each thing, and repeats it until it is done.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple, get_args

import structlog

from pie.controller.caches import Caches
from pie.controller.events import EventWriter
from pie.controller.expanding import expand
from pie.controller.nodes import Nodes
from pie.controller.objects import Objects
from pie.controller.ownership import Ownership
from pie.controller.questions import Questions
from pie.controller.queue import SETTLE_SECONDS, Lane, WorkQueue
from pie.controller.runners import Runner
from pie.controller.screens import Screens
from pie.controller.snapshots import take_snapshot
from pie.core.apitypes import RunCause
from pie.core.model import Probe, Target, Verdict
from pie.core.target.effects import (
    Ask,
    CountCutShort,
    CountInconclusive,
    CountLost,
    CountOnTime,
    CountSucceeded,
    CountSuppressed,
    DiscardRun,
    Effect,
    EndRun,
    ExpandVolume,
    Follow,
    Forget,
    KeepObjects,
    Mark,
    NoteSilence,
    Observe,
    ProveNode,
    Record,
    Remember,
    ReportChange,
    ReportNode,
    SetVerdict,
    StartRun,
    TakeSnapshot,
)
from pie.core.target.state import TargetState
from pie.core.wire import Claim, Pod
from pie.kube.client import Client
from pie.kube.resources import PODS, PVCS
from pie.kube.store import Key, key_of

_log = structlog.get_logger()


_CAUSES: Final = get_args(RunCause)
_START_AGAIN_SECONDS: Final = 1.0
"""While another run is in the place of the one to be started."""


class _Start(NamedTuple):
    target: Target
    why: RunCause


class _Expansion(NamedTuple):
    target: Target
    claim: Key
    order: ExpandVolume


class _Snapshot(NamedTuple):
    target: Target
    pod: Key
    order: TakeSnapshot


class Perform:
    """The one `match`, and the writes that it orders."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        runner: Runner,
        nodes: Nodes,
        objects: Objects,
        questions: Questions,
        events: EventWriter,
        screens: Screens,
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._runner = runner
        self._nodes = nodes
        self._objects = objects
        self._questions = questions
        self._events = events
        self._screens = screens
        self._starts: dict[_Start, tuple[Probe, StartRun]] = {}
        self._annotations: dict[Target, Remember] = {}
        self._pods = Ownership(client, PODS, Pod)
        queue.handle("start", self._start_run, Lane.STARTS)
        queue.handle("remember", self._remember)
        queue.handle("end", self._end_run)
        queue.handle("expand", self._expand_volume)
        queue.handle("snapshot", self._take_snapshot)
        queue.handle("discard", runner.discard)

    def carry_out(self, state: TargetState, effects: Iterable[Effect]) -> None:
        """Carry out the effects of a step, in order; `state` is the new one."""
        ordered = list(effects)
        wanted = {each.why for each in ordered if isinstance(each, StartRun)}
        for key in [_Start(state.target, why) for why in _CAUSES if why not in wanted]:
            self._starts.pop(key, None)
        for effect in ordered:
            self._carry_out(state, effect)

    def _carry_out(self, state: TargetState, effect: Effect) -> None:  # noqa: C901, PLR0912, PLR0915  one case for each effect
        target, show = state.target, self._screens
        match effect:
            case Follow(period_seconds):
                show.series.add(target)
                show.history.follow(target, period_seconds)
            case Forget():
                show.series.remove(target)
                show.history.forget(target)
            case CountOnTime(due, on_time):
                _log_counted("counted", target, due, on_time=on_time)
                show.series.count_on_time(target, on_time=on_time)
            case CountSucceeded(_, succeeded):
                show.series.count_succeeded(target, succeeded=succeeded)
            case CountSuppressed(due, reason):
                _log_counted("counted as suppressed", target, due, reason=reason.value)
                show.untested.suppressed.count(target, reason)
            case CountCutShort(_, reason):
                show.untested.suppressed.count(target, reason, io_only=True)
            case CountInconclusive(due, reason, io_only):
                if not io_only:
                    _log_counted("counted as inconclusive", target, due, reason=reason.value)
                show.untested.inconclusive.count(target, reason, io_only=io_only)
            case CountLost():
                _log.warning(
                    "a run's objects were deleted before it was read",
                    target=str(target),
                    namespace=target.namespace,
                )
                show.runs.lost(target.probe_id, "Pruned")
                self._wake(target)
            case SetVerdict():
                self._set_verdict(target, effect)
            case ReportChange():
                self._wake(target)
            case Mark(due, verdict):
                show.history.mark(target, due, verdict)
            case Record(run):
                show.history.record(target, run)
            case Observe(due, seconds, io, startup_seconds):
                show.runs.stages(target, seconds)
                if startup_seconds is not None:
                    show.runs.started(target, startup_seconds)
                if io is not None:
                    show.series.set_latency(target, io)
                    show.runs.io(target, io)
                    show.history.measure(target, due, io)
            case StartRun():
                key = _Start(target, effect.why)
                if state.probe is not None and self._starts.get(key) != (state.probe, effect):
                    self._starts[key] = (state.probe, effect)
                    self._queue.add("start", key)
            case ExpandVolume(run):
                if (claim := state.runs[run].claim) is not None:
                    self._queue.add("expand", _Expansion(target, key_of(claim), effect))
            case TakeSnapshot(run):
                if (pod := state.runs[run].pod) is not None:
                    self._queue.add("snapshot", _Snapshot(target, key_of(pod), effect))
            case EndRun(run):
                if (pod := state.runs[run].pod) is not None:
                    self._queue.add("end", (key_of(pod), pod.metadata.uid))
            case DiscardRun(run):
                self._queue.add("discard", run)
            case KeepObjects():
                self._objects.order(state, effect)
            case Remember():
                self._annotations[target] = _joined(self._annotations.get(target), effect)
                self._queue.add("remember", target)
            case Ask():
                self._questions.ask(target, effect, state.runs.get(effect.run))
            case ProveNode(node, began):
                self._nodes.prove(target.probed, node, began)
            case NoteSilence(node, why, until):
                self._nodes.note_silence(node, why, until)
            case ReportNode(node, said):
                self._events.report_node(target.probe_id, node, said)

    def _set_verdict(self, target: Target, said: SetVerdict) -> None:
        ok = said.verdict is Verdict.OK
        if said.verdict is not Verdict.INCONCLUSIVE:  # Then the last verdict on the storage stays.
            healthy = None if said.verdict is Verdict.UNKNOWN else ok
            self._screens.series.set_health(
                target, healthy=healthy, at_seconds=said.last_ok, hung_since=said.hung_since
            )
        if not said.changed:
            return
        log = _log.info if ok else _log.warning
        log(
            "verdict",
            target=str(target),
            namespace=target.namespace,
            verdict=said.verdict.value,
            reason=said.reason.value,
            message=said.message,
        )
        self._wake(target)

    def _wake(self, target: Target) -> None:
        """Look at the PieProbe of a target."""
        self._queue.add("probe", target.probe_id, after_seconds=SETTLE_SECONDS)

    async def _start_run(self, thing: _Start) -> None:
        if (ordered := self._starts.get(thing)) is None:
            return
        (probe, order), target = ordered, thing.target
        if self._client.now() > order.until:
            return
        if not await self._runner.run(probe, target, order, self._claim_name(target)):
            self._queue.add("start", thing, after_seconds=_START_AGAIN_SECONDS)
        # The order stays until pie sees the run, so that a repeated order does not start it twice.

    def _claim_name(self, target: Target) -> str:
        return next((each.metadata.name for each in self._caches.claims_of.get(target, {}).values()), "")

    async def _remember(self, target: Target) -> None:
        """Write annotations on a target's PVC."""
        if (order := self._annotations.get(target)) is None:
            return
        claims = self._caches.claims_of.get(target, {}).values()
        claim = next((each for each in claims if each.metadata.uid == order.claim_uid), None)
        if claim is not None:
            body = {"metadata": {"uid": order.claim_uid, "annotations": dict(order.annotations)}}
            await self._client.merge_patch(
                PVCS, claim.metadata.name, body, claim.metadata.namespace, decode=Claim
            )
        if self._annotations.get(target) == order:
            del self._annotations[target]

    async def _expand_volume(self, thing: _Expansion) -> None:
        target, (namespace, claim), order = thing
        _log.info("expanding the volume of a run", namespace=namespace, claim=claim, size=order.size)
        why = await expand(self._client, namespace, claim, order)
        if why:
            self._questions.note_refusal(target, order.run, why)

    async def _take_snapshot(self, thing: _Snapshot) -> None:
        """Take the snapshot of the volume of a run, and note how it is."""
        target, key, order = thing
        pod = self._caches.pods.store.get(key)
        storage_class = self._caches.storage_class(target.storage_class)
        if pod is None or pod.metadata.uid != order.run or storage_class is None:
            return
        answer = await take_snapshot(
            self._client,
            target,
            pod.metadata,
            driver=storage_class.driver,
            snapshot_class=order.snapshot_class,
        )
        self._questions.note_snapshot(target, order.run, answer)

    async def _end_run(self, named: tuple[Key, str]) -> None:
        """Delete the pod (by name and uid) of a run that cannot recover, so that the next run can start."""
        key, uid = named
        pod = self._caches.pods.store.get(key)
        if pod is not None and pod.metadata.uid == uid and not pod.metadata.being_deleted:
            _log.info("deleting the pod of a run that cannot recover", namespace=key[0], pod=key[1])
            await self._pods.delete(pod.metadata)


def _log_counted(how: str, target: Target, due: float, **more: object) -> None:
    _log.debug(how, target=str(target), namespace=target.namespace, due=due, **more)


def _joined(before: Remember | None, new: Remember) -> Remember:
    """Return what is to be written with what was to be written on the same PVC before, and is not yet."""
    if before is None or before.claim_uid != new.claim_uid:
        return new
    return Remember(new.claim_uid, {**before.annotations, **new.annotations})
