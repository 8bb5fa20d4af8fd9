"""Gathers what is known of a PieProbe: the first of the three steps gather, decide, act."""

from collections.abc import Iterable

from pie.controller.caches import Caches
from pie.controller.nodes import Nodes
from pie.controller.objects import Objects
from pie.controller.paces import Paces
from pie.controller.probes import Probes
from pie.controller.questions import Questions
from pie.controller.runners import Runner
from pie.controller.servedschema import ServedSchema
from pie.controller.targets import Targets
from pie.controller.teardown import Teardown
from pie.core.deletedruns import losing
from pie.core.kinds import targets_of
from pie.core.model import Probe, Target
from pie.core.probestep import ProbeFacts, TargetNow
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

    def gather(self, stored: PieProbe) -> ProbeFacts | None:
        """Return what is known of a PieProbe now; None: its spec was not read yet."""
        name = stored.metadata.name
        entry = self._probes.get(name)
        if entry is None or entry.uid != stored.metadata.uid:
            return None
        left, settled = self._teardown.left_behind(name)
        targets = tuple(map(self.target, self._probes.live_targets(name)))
        overdue, next_in = self._nodes.overdue(name, self._paused_since(entry.probe))
        return ProbeFacts(
            stored=stored,
            known=self._nodes.follows(name),
            probe=entry.probe,
            problem=entry.problem,
            refused=self._objects.refused(name),
            paused=entry.paused,
            warnings=entry.warnings,
            targets=targets,
            left=left,
            settled=settled,
            matching=len(set(self._nodes.matching(name))),
            left_out=dict(self._nodes.left_out(name)),
            overdue=tuple(overdue),
            next_overdue_at=self._client.now() + next_in if next_in is not None else None,
            not_permitted=self._client.refusals.current(),
            attaches=entry.probe is not None and self._questions.attaches(entry.probe.storage_class),
            losing=_losing(entry.probe, targets),
            crd_lacks=self._schema.missing,
            pace=self._paces.of(name),
            throttle=self._paces.throttle,
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
        )

    def _paused_since(self, probe: Probe | None) -> dict[str, list[float | None]]:
        """Return since when the suppressed nodes are paused, and the whole class, as their objects say."""
        if probe is None:
            return {}
        whole = [self._runner.paused_since(each) for each in targets_of(probe)]
        return {
            node: [*map(self._runner.paused_since, targets_of(probe, node)), *whole]
            for node in self._nodes.suppressed_nodes(probe.name)
        }


def _losing(probe: Probe | None, targets: Iterable[TargetNow]) -> dict[Target, float]:
    lost = {each.target: each.state.lost for each in targets}
    return losing(lost, probe.real_period_seconds) if probe is not None else {}
