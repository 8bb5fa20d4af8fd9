"""Gathers what is known of a target from outside: the first of the three steps gather, decide, act."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from pie.controller.caches import Caches
from pie.controller.nodes import Nodes
from pie.controller.paces import Paces
from pie.controller.probes import Probes
from pie.controller.questions import Questions
from pie.controller.runners import Runner
from pie.controller.sharing import Sharing
from pie.controller.sightings import SightingsOfPods
from pie.controller.warnings import WarningEvents
from pie.core.driver import with_tolerations
from pie.core.incidents.stored import from_status
from pie.core.kinds import kind_of, spec_for, targets_of
from pie.core.model import Probe, RunnerKind, Stage, Target
from pie.core.naming import claim_names
from pie.core.pace.parts import ALWAYS, PacePart
from pie.core.run import RunFact
from pie.core.schedule import spread_seconds
from pie.core.target.facts import NodesFact, TargetFacts
from pie.core.target.state import TargetState
from pie.core.volumehealth import backend_of
from pie.core.wire import Claim
from pie.kube.leader import Reign

_TAKES_OVER_SECONDS: Final = 30.0
"""All PieProbes that are there are read so soon after the controller began."""
_NOWHERE: Final[frozenset[str]] = frozenset()


class Facts:
    """Reads caches and answers; changes nothing."""

    def __init__(
        self,
        caches: Caches,
        *,
        runner: Runner,
        probes: Probes,
        nodes: Nodes,
        warnings: WarningEvents,
        questions: Questions,
        sightings: SightingsOfPods,
        now: Callable[[], float],
        paces: Paces,
        sharing: Sharing,
        reign: Reign | None = None,
    ) -> None:
        self._caches = caches
        self._runner = runner
        self._probes = probes
        self._nodes = nodes
        self._warnings = warnings
        self._questions = questions
        self._sightings = sightings
        self._now = now
        self._paces = paces
        self._sharing = sharing
        self._reign = reign
        self.led_since = 0.0

    def gather(self, target: Target, state: TargetState) -> TargetFacts:
        """Return what is known of a target now."""
        if not self._probes.known(target.probe_id):
            return TargetFacts()
        entry = self._probes.get(target.probe_id)
        if entry is None:
            # There is no PieProbe any more: the garbage collector deletes its objects, not pie.
            return TargetFacts(known=True, untouchable=True, runs=self._runner.runs(None, target))
        probe, pause = entry.spec_of(target), entry.pause(target)
        if probe is None:
            return TargetFacts(known=True, untouchable=True)
        probe = self._sharing.spec_for(spec_for(probe, target), target)
        kind = self._runner.in_force(probe, target)
        led_since, unled_since = self.led_since, None
        if kind is RunnerKind.POD and self._reign is not None:
            led_since, unled_since = self._reign.since, self._reign.unled_since
        live = self._probes.live(target)
        keep = pause is not None and not pause.keep and pause.resumes_by_itself and self._probes.has(target)
        claim = self._claim(target, probe)
        pace = self._paces.of(probe.id)
        # Canaries are rare enough not to be slowed down.
        parts = ALWAYS if kind_of(target).optional else self._paces.parts(probe)
        if kind_of(target).resident:
            parts = (PacePart(every=pace.starts_every),)
        schedule = self._runner.schedule(probe, target)
        if schedule is not None:
            warnings = self._warnings.about(target.namespace, *self._runner.schedule_uids(target))
            schedule = replace(schedule, warnings=(*schedule.warnings, *warnings)) if warnings else schedule
        runs = self._runner.runs(probe, target)
        return TargetFacts(
            known=True,
            probe=with_tolerations(probe, self._nodes.startup_taints(target)) if live else None,
            paused_by=pause,
            node_gone=bool(target.node) and ("", target.node) not in self._caches.nodes.store,
            keep_claim=keep,
            led_since=led_since,
            unled_since=unled_since,
            taking_over=self._now() < self.led_since + _TAKES_OVER_SECONDS,
            runner=kind,
            calendar=self._runner.calendar(probe, target, kind, parts),
            other_calendar=self._runner.calendar(probe, target, _other(kind), parts),
            every=parts[-1].every,
            paced_since=parts[-1].since,
            early=pace.early,
            spread=spread_seconds(target, 1.0),
            schedule=schedule,
            claim=claim,
            objects=(*self._runner.objects(probe, target), *self._claims(target, probe)),
            runs=tuple(self._seen(target.namespace, run, claim) for run in runs) if live else runs,
            **(self._while_live(target, probe, state) if live else {}),
        )

    def _while_live(self, target: Target, probe: Probe, state: TargetState) -> dict[str, Any]:
        """Return the facts that only a live target needs."""
        return {
            "runs_as_of": self._runner.as_of(probe, target),
            "pods_as_of": self._caches.pods.heard_at,
            "nodes": self._nodes_of(target, probe),
            "may_attach": self._questions.may_attach(target),
            "lacks": self._lacks(target),
            "io_bad_before": state.volume is None and self._was_io_bad(target),
            "answers": self._questions.answers(target),
        }

    def _lacks(self, target: Target) -> str:
        storage_class = self._caches.storage_class(target.storage_class)
        return kind_of(target).lacks(storage_class) if storage_class is not None else ""

    def _claim(self, target: Target, probe: Probe) -> Claim | None:
        found = self._caches.claims_of.get(target, {}).values()
        return next((claim for claim in found if _owned(claim, probe)), None)

    def _claims(self, target: Target, probe: Probe) -> tuple[object, ...]:
        """Return what identifies a target's PVCs, and another PVC with the name of its own."""
        names = claim_names(target) if kind_of(target).pvc else ()
        held = (self._caches.claims.store.get((probe.namespace, name)) for name in names)
        return tuple(
            (each.metadata.uid, each.metadata.deletion_timestamp, each.metadata.owner_references)
            for each in (*self._caches.claims_of.get(target, {}).values(), *held)
            if each is not None
        )

    def _seen(self, namespace: str, run: RunFact, claim: Claim | None) -> RunFact:
        """Return a run with its PVC, its sightings, and the Warning Events about it."""
        if run.pod is None:
            return replace(run, warnings=self._warnings.about(namespace, run.id))
        uid = run.pod.metadata.uid
        claim = claim or self._caches.claim_of_pod.get((namespace, uid))
        uids = (uid, claim.metadata.uid) if claim is not None else (uid,)
        seen, warnings = self._sightings.of(run.pod, claim), self._warnings.about(namespace, *uids)
        backend = self._backend(run.pod.spec.node_name, claim)
        return replace(run, claim=claim, seen=seen, warnings=warnings, backend=backend)

    def _backend(self, node: str, claim: Claim | None) -> str:
        """Return what the driver of a PVC's class says is wrong with its storage on a node."""
        storage_class = self._caches.storage_class(claim.spec.storage_class_name if claim is not None else "")
        csi_node = self._caches.csi_nodes.store.get(("", node))
        return backend_of(csi_node, storage_class.driver) if storage_class is not None else ""

    def _nodes_of(self, target: Target, probe: Probe) -> NodesFact:
        nodes, anywhere = self._nodes, not target.node
        noted = [self._runner.paused_since(each) for each in (target, *targets_of(probe))]
        return NodesFact(
            suppression=nodes.suppression(target),
            suppressed_since=nodes.suppressed_since(target, noted),
            judged_since=nodes.judged_since(target),
            histories=nodes.histories(target),
            matching=frozenset(nodes.matching(target.probed)) if anywhere else _NOWHERE,
            usable=frozenset(nodes.usable(target.probed)) if anywhere else _NOWHERE,
            as_of=self._caches.nodes.heard_at,
            driver=nodes.driver(target.probed),
        )

    def _was_io_bad(self, target: Target) -> bool:
        """Tell whether an open incident of an earlier controller says that I/O is bad on the target."""
        stored = self._caches.probe(target.probe_id)
        incidents = from_status(stored.status) if stored is not None else []
        return any(
            each.closed_at is None and each.stage is Stage.IO and each.concerns(target) for each in incidents
        )


def _other(kind: RunnerKind) -> RunnerKind:
    return RunnerKind.CRON_JOB if kind is RunnerKind.POD else RunnerKind.POD


def _owned(claim: Claim, probe: Probe) -> bool:
    owner = claim.metadata.controller_owner
    return owner is not None and owner.uid == probe.uid
