"""The loop of a target: gather facts, decide by a pure step, act on its effects."""

from collections.abc import Iterable

from pie.controller.caches import Caches
from pie.controller.facts import Facts
from pie.controller.perform import Perform
from pie.controller.probes import Probes
from pie.controller.questions import Questions
from pie.controller.queue import Lane, WorkQueue
from pie.controller.recorder import Recorder
from pie.controller.runners import Runner
from pie.controller.warnings import WarningEvents
from pie.core.kinds import kind_of
from pie.core.model import ProbeId, Target
from pie.core.naming import GO_PIE_FINALIZER, target_of
from pie.core.target.changes import pod_matters
from pie.core.target.state import TargetState
from pie.core.target.step import step
from pie.core.wire import Claim, InvolvedObject, Pod
from pie.kube.client import Client
from pie.kube.resources import PODS, PVCS
from pie.kube.store import Key, key_of


class Targets:
    """The table of target states. Whatever shows or reports targets reads this table."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        queue: WorkQueue,
        *,
        runner: Runner,
        probes: Probes,
        facts: Facts,
        questions: Questions,
        warnings: WarningEvents,
        perform: Perform,
        recorder: Recorder | None = None,
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._runner = runner
        self._probes = probes
        self._facts = facts
        self._questions = questions
        self._warnings = warnings
        self._perform = perform
        self._recorder = recorder
        self._live = 0
        self._states: dict[ProbeId, dict[Target, TargetState]] = {}
        queue.handle("target", self._turn, Lane.JUDGES)
        queue.handle("targets", self._wake_all, Lane.JUDGES)
        queue.handle("warning", self._warned, Lane.JUDGES)
        queue.handle("finalizer", self._remove_finalizer)

    def start(self) -> None:
        """Begin to lead. A target begins when its PieProbe is read."""
        self._facts.led_since = self._client.now()
        for pod in self._caches.pods.store.values():
            self._pod_changed(None, pod)
        self._caches.listen(PODS, self._pod_changed)
        self._caches.listen(PVCS, self._claim_changed)

    def of(self, probe: ProbeId) -> Iterable[TargetState]:
        """Return the states of a PieProbe's live targets; not those of a deleted one of the same name."""
        return [state for state in self._states.get(probe, {}).values() if self._counts(state)]

    def get(self, target: Target) -> TargetState | None:
        """Return the state of a live target."""
        state = self._states.get(target.probe_id, {}).get(target)
        return state if state is not None and self._counts(state) else None

    def _counts(self, state: TargetState) -> bool:
        stored = self._caches.probe(state.target.probe_id)
        return (
            state.live
            and state.probe is not None
            and stored is not None
            and state.probe.uid == stored.metadata.uid
        )

    # What wakes a target.

    async def _wake_all(self, probe: ProbeId) -> None:
        """Have all targets looked at that a PieProbe has, had, or left objects of."""
        with_objects = self._runner.targets() | self._caches.claims_of.keys()
        left = {target for target in with_objects if target.probe_id == probe}
        wanted = set(self._probes.targets(probe))
        self._runner.expect(probe, self._probes.spec(probe), len(wanted))
        for target in left | self._states.get(probe, {}).keys() | wanted:
            self._queue.add("target", target)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None and GO_PIE_FINALIZER in new.metadata.finalizers:
            self._queue.add("finalizer", key_of(new))
        pod = new or old
        if pod is None or (target := self._runner.target_of_pod(pod)) is None:
            return
        state = self._states.get(target.probe_id, {}).get(target)
        if state is None or pod_matters(state, old, new):
            self._queue.add("target", target)

    def _claim_changed(self, old: Claim | None, new: Claim | None) -> None:
        claim = new or old
        if claim is None:
            return
        self._volume_changed(claim)
        if (target := target_of(claim.metadata)) is None:
            return
        # A new one that has an owner is pie's own, or a pod's.
        appeared = old is None and claim.metadata.controller_owner is None
        changed = old is not None and (
            new is None or old.metadata.owner_references != new.metadata.owner_references
        )
        if appeared or changed:
            self._queue.add("target", target)

    def _volume_changed(self, claim: Claim) -> None:
        """Have the target of a run looked at whose volume may have been expanded."""
        owner = claim.metadata.controller_owner
        pod = self._caches.pods.store.get((claim.metadata.namespace, owner.name)) if owner else None
        target = self._runner.target_of_pod(pod) if pod is not None else None
        if target is not None and kind_of(target).grows:
            self._queue.add("target", target)

    async def _warned(self, about: InvolvedObject) -> None:
        """Have the target looked at that a new Warning Event is about."""
        if (target := self._target_of(about)) is not None:
            self._queue.add("target", target)

    def _target_of(self, about: InvolvedObject) -> Target | None:
        name = about.name
        if about.kind == "PersistentVolumeClaim":
            claim = self._caches.claims.store.get((about.namespace, name))
            owner = claim.metadata.controller_owner if claim is not None else None
            if owner is None or owner.kind != "Pod":
                return None  # A mount target's: its run is judged again by itself.
            name = owner.name
        elif about.kind != "Pod":
            return self._runner.target_of_event(about.kind, about.uid)
        pod = self._caches.pods.store.get((about.namespace, name))
        return self._runner.target_of_pod(pod) if pod is not None else None

    # Gather, decide, act.

    async def _turn(self, target: Target) -> None:
        states = self._states.setdefault(target.probe_id, {})
        before = states.get(target) or TargetState(target)
        facts = self._facts.gather(target, before)
        now = self._client.now()
        done = step(before, facts, now)
        states[target] = done.state
        if self._recorder is not None:
            self._recorder.note(now, before, facts, done)
        if done.state.live is not before.live:
            self._live += 1 if done.state.live else -1
            self._warnings.make_room(self._live)
        self._perform.carry_out(done.state, done.effects)
        self._questions.forget_other_runs(target, set(done.state.runs))
        if done.wake_at is not None:
            self._queue.add("target", target, after_seconds=max(0.01, done.wake_at - self._client.now()))
        if not done.state.live and not done.state.runs and not facts.objects:
            del states[target]
            if not states:
                del self._states[target.probe_id]

    async def _remove_finalizer(self, pod_of: Key) -> None:
        """Remove the finalizer of Go pie from a pod: otherwise the pod would stay for ever."""
        pod = self._caches.pods.store.get(pod_of)
        if pod is None or GO_PIE_FINALIZER not in pod.metadata.finalizers:
            return
        kept = [finalizer for finalizer in pod.metadata.finalizers if finalizer != GO_PIE_FINALIZER]
        metadata = {"resourceVersion": pod.metadata.resource_version, "finalizers": kept}
        await self._client.merge_patch(
            PODS, pod.metadata.name, {"metadata": metadata}, pod.metadata.namespace, decode=Pod
        )
