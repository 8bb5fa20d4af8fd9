"""Gathers what is known of a PieProbe: the first of the three steps gather, decide, act."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from pie.controller.caches import Caches
from pie.controller.nodes import Nodes
from pie.controller.objects import Objects
from pie.controller.paces import Paces
from pie.controller.probes import ClassState, Probes
from pie.controller.questions import Questions
from pie.controller.runners import Runner
from pie.controller.servedschema import ServedSchema
from pie.controller.sharing import Sharing
from pie.controller.targets import Targets
from pie.controller.teardown import Teardown
from pie.core.deletedruns import losing
from pie.core.kinds import kind_of, targets_of
from pie.core.model import Probe, Target
from pie.core.pace.budget import Pace
from pie.core.probestep import ProbeFacts, TargetNow
from pie.core.renewal import KeptClaim, class_hash, kept
from pie.core.target.state import TargetState
from pie.core.wire import PieProbe
from pie.kube.client import Client


class FactsOfProbes:
    """Reads the tables of the other parts; changes nothing."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        *,
        runner: Runner,
        probes: Probes,
        nodes: Nodes,
        objects: Objects,
        targets: Targets,
        teardown: Teardown,
        questions: Questions,
        schema: ServedSchema,
        paces: Paces,
        sharing: Sharing,
    ) -> None:
        self._client = client
        self._caches = caches
        self._runner = runner
        self._probes = probes
        self._nodes = nodes
        self._objects = objects
        self._targets = targets
        self._teardown = teardown
        self._questions = questions
        self._schema = schema
        self._paces = paces
        self._sharing = sharing

    def gather(self, stored: PieProbe) -> list[ProbeFacts] | None:
        """Return what is known of a PieProbe now, for each of its classes; None: it was not read yet.

        Without a class, what is known of the PieProbe itself.
        """
        name = stored.id
        entry = self._probes.get(name)
        if entry is None or entry.uid != stored.metadata.uid:
            return None
        whole = ProbeFacts(
            stored=stored,
            # A PieProbe whose spec is valid may select no class.
            known=entry.spec is not None,
            problem=entry.problem,
            not_permitted=tuple(
                each
                for each in self._client.refusals.current()
                if each.namespace == name.namespace or not self._caches.is_of_others(each.namespace)
            ),
            crd_lacks=self._schema.missing,
            pace=self._paces.of(name),
            throttle=self._paces.throttle,
        )
        targets = defaultdict[str, list[Target]](list)
        for target in self._probes.live_targets(name):
            targets[target.storage_class].append(target)
        found = [self._of_class(whole, each, targets[of]) for of, each in entry.classes.items()]
        return found or [whole]

    def _of_class(self, whole: ProbeFacts, of: ClassState, targets: Iterable[Target]) -> ProbeFacts:
        probe, probed = of.probe, of.probe.probed
        left, settled = self._teardown.left_behind(probed)
        now = tuple(map(self.target, targets))
        overdue, next_in = self._nodes.overdue(probed, self._paused_since(probe))
        return replace(
            whole,
            known=self._nodes.follows(probed),
            probe=probe,
            refused=self._objects.refused(probed),
            paused=of.paused,
            warnings=of.warnings,
            sharing=self._sharing.nodes(probe.storage_class) if probe.resident else 0,
            targets=now,
            left=left,
            settled=settled,
            matching=len(set(self._nodes.matching(probed))),
            left_out=dict(self._nodes.left_out(probed)),
            overdue=tuple(overdue),
            next_overdue_at=self._client.now() + next_in if next_in is not None else None,
            attaches=self._questions.attaches(probe.storage_class),
            losing=_losing(probe, now, whole.pace),
            gone_since=of.gone_since,
            class_hash=class_hash(self._caches.storage_class(probe.storage_class)),
        )

    def target(self, target: Target) -> TargetNow:
        """Return how a target is now."""
        return TargetNow(
            target,
            self._targets.get(target) or TargetState(target),
            self._nodes.suppression(target),
            self._nodes.judged_since(target),
            self._caches.zone(target.node),
            self._nodes.suppressed_since(target, [self._runner.paused_since(target)])
            if not target.node
            else None,
            self._kept(target),
        )

    def _kept(self, target: Target) -> KeptClaim | None:
        """Return the PVC that a target keeps, with what is known of its volume."""
        found = next(iter(self._caches.claims_of.get(target, {}).values()), None)
        state = self._targets.get(target)
        if found is None or not kind_of(target).pvc:
            return None
        suppressed = self._nodes.suppression(target) is not None
        return kept(found, state.standing.last_ok if state is not None else 0.0, suppressed=suppressed)

    def _paused_since(self, probe: Probe) -> dict[str, list[float | None]]:
        """Return since when the suppressed nodes are paused, and the whole class, as their objects say."""
        whole = [self._runner.paused_since(each) for each in targets_of(probe)]
        return {
            node: [*map(self._runner.paused_since, targets_of(probe, node)), *whole]
            for node in self._nodes.suppressed_nodes(probe.probed)
        }


def _losing(probe: Probe, targets: Iterable[TargetNow], pace: Pace) -> dict[Target, float]:
    lost = {each.target: each.state.lost for each in targets}
    return losing(lost, probe.real_period_seconds * pace.every)
