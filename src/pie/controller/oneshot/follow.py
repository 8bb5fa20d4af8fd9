"""Follows the runs of a check: gathers facts, judges them by `pie.core.target`, and asks what is missing.

It watches the pods and PVCs of the check, and Warning Events.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from pie.controller.answering import Answering, node_of
from pie.controller.expanding import expand
from pie.controller.oneshot.nodes import CheckedNodes
from pie.controller.oneshot.patience import patiently
from pie.controller.warnings import WarningEvents
from pie.core.judge import Judgement
from pie.core.kinds import kind_of
from pie.core.maintenance.excuse import excusable
from pie.core.model import Probe, Stage, Target, Verdict
from pie.core.oneshot import LABEL_CHECK, stage_of
from pie.core.reasons import Reason
from pie.core.run import RunFact
from pie.core.target.effects import Ask, Effect, ExpandVolume, NoteSilence, Question
from pie.core.target.facts import Answers, TargetFacts
from pie.core.target.state import Life, RunState, TargetState
from pie.core.target.step import look
from pie.core.target.turn import Case
from pie.core.timeline import Run, Sightings, sight
from pie.core.wire import Claim, InvolvedObject, Node, Pod, StorageClass
from pie.kube.client import Client
from pie.kube.reflector import Reflector
from pie.kube.resources import PODS, PVCS

OnStage = Callable[[Stage], None]


@dataclass(slots=True)
class _Followed:
    """A run: its pod and PVC as pie saw them last, what pie saw of them before, and answers."""

    target: Target
    probe: Probe
    pod: Pod
    claim: Claim | None = None
    gone_at: float | None = None
    seen: Sightings = field(default_factory=Sightings)
    answers: Answers = field(default_factory=Answers)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Follower:
    """Follows runs until they have a verdict. `nodes` are those checked."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        check: str,
        *,
        storage_class: StorageClass,
        nodes: Iterable[Node] = (),
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._storage_class = storage_class
        self.driver = storage_class.driver
        self._runs: dict[str, _Followed] = {}
        self._of_claim: dict[str, _Followed] = {}
        self._nodes = CheckedNodes(client, nodes)
        self._warnings = WarningEvents(client, namespace, self._warned)
        mine = f"{LABEL_CHECK}={check}"
        self._answering = Answering(client, namespace, self._warnings, pods=mine)
        self.pods = Reflector(
            client, PODS, Pod, namespace=namespace, label_selector=mine, on_change=self._pod_changed
        )
        self.claims = Reflector(
            client, PVCS, Claim, namespace=namespace, label_selector=mine, on_change=self._claim_changed
        )
        self.volumes: dict[str, str] = {}
        """The volume of each PVC that had one, by the name of the PVC."""

    async def run(self) -> None:
        """Watch until cancelled."""
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
        followed.pod = pod
        if new is None:
            followed.gone_at = followed.gone_at or self._client.now()
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
        self, target: Target, probe: Probe, pod: Pod, claim: str, on_stage: OnStage, *, shares: bool = False
    ) -> tuple[Judgement, Run]:
        """Return the judgement of a run as soon as it is over or bad, with the run as it is then.

        `shares`: the PVC is that of another pod, and the volume exists already.
        """
        uid, known = pod.metadata.uid, self.claims.store.get((self._namespace, claim))
        pod = self.pods.store.get((self._namespace, pod.metadata.name)) or pod
        seen = sight(Sightings(), pod, known, self._client.now())
        followed = self._runs[uid] = _Followed(target, probe, pod, known, seen=seen)
        if not shares:
            self._of_claim[claim] = followed
        try:
            return await self._until_decided(followed, on_stage)
        finally:
            del self._runs[uid]
            if not shares:
                del self._of_claim[claim]

    async def _until_decided(self, followed: _Followed, on_stage: OnStage) -> tuple[Judgement, Run]:
        state, stage = TargetState(followed.target, Life.LIVE, followed.probe), Stage.QUEUE
        while True:
            followed.changed.clear()
            found = look(state, self._facts(followed), self._client.now())
            state, (case,) = found.state, found.cases
            await self._expand(followed, found.effects)
            questions = [*self._carry_out(found.effects), *_about_its_node(followed, case)]
            if _decided(case):
                if not questions:
                    return case.judgement, case.run
            elif (now_in := stage_of(case.run)) is not stage:
                stage = now_in
                on_stage(stage)
            for each in questions:
                await patiently(partial(self._ask, followed, state.runs[case.id], each))
            if not questions:
                await self._changed(followed, found.wake_at)

    def _facts(self, followed: _Followed) -> TargetFacts:
        pod, claim, target = followed.pod, followed.claim, followed.target
        uids = [pod.metadata.uid, *([claim.metadata.uid] if claim is not None else [])]
        created = pod.metadata.created_seconds
        run = RunFact(
            pod.metadata.uid,
            due=created,
            created=created,
            pod=pod,
            claim=claim,
            pod_gone=followed.gone_at is not None,
            over_at=followed.gone_at,
            seen=followed.seen,
            warnings=self._warnings.about(self._namespace, *uids),
        )
        return TargetFacts(
            known=True,
            probe=followed.probe,
            runs=(run,),
            pods_as_of=self.pods.heard_at,
            claim=claim,
            nodes=self._nodes.fact(target),
            lacks=kind_of(target).lacks(self._storage_class),
            may_attach=self._answering.may_attach(self.driver),
            answers=followed.answers,
        )

    async def _expand(self, followed: _Followed, effects: Iterable[Effect]) -> None:
        """Expand the volume of a run, where that is ordered."""
        for order in effects:
            if isinstance(order, ExpandVolume) and followed.claim is not None:
                claim = followed.claim.metadata.name
                why = await patiently(partial(expand, self._client, self._namespace, claim, order))
                followed.answers = followed.answers.joined(Answers(refusals={order.run: why} if why else {}))
                if why:
                    followed.changed.set()

    def _carry_out(self, effects: Iterable[Effect]) -> list[Ask]:
        """Carry out effects, and return the questions. A check gives no grace, so it proves no node."""
        questions = []
        for effect in effects:
            match effect:
                case NoteSilence(node, why, until):
                    self._nodes.note_silence(node, why, until)
                case Ask():
                    questions.append(effect)
        return questions

    async def _ask(self, followed: _Followed, run: RunState, question: Ask) -> None:
        """Ask the API server about a run, and keep the answer."""
        match question.what:
            case Question.NODE:
                as_of = await self._nodes.read(node_of(followed.target, run), followed.probe)
                answers = Answers(nodes={run.id: as_of})
            case Question.NODES:
                await self._nodes.read_all(followed.probe)
                return
            case _:
                answers = await self._answering.answer(
                    question.what, followed.target, run, self.driver, since=question.since
                )
        pod = answers.pods.get(run.id)
        if pod is not None and pod.pod is None:
            followed.gone_at = followed.gone_at or pod.as_of
        followed.answers = followed.answers.joined(answers)

    async def _changed(self, followed: _Followed, wake_at: float | None) -> None:
        """Wait until something of a run changes, or it is time to look again."""
        wait_seconds = max(0.01, wake_at - self._client.now()) if wake_at is not None else None
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await followed.changed.wait()


def _decided(case: Case) -> bool:
    """Tell whether a run has its verdict."""
    judgement = case.judgement
    return not case.held and (
        judgement.ended or judgement.needs_cause or judgement.verdict is Verdict.SUPPRESSED
    )


def _about_its_node(followed: _Followed, case: Case) -> list[Ask]:
    """Return what to ask about the node of a run whose pod was deleted, since it may be under maintenance.

    A step of the controller asks later, because the controller watches nodes. A check does not.
    """
    node_is_known = not case.run.node or case.id in followed.answers.nodes
    deleted = case.judgement.reason is Reason.POD_DELETED and excusable(case.judgement)
    return [Ask(Question.NODE, case.id)] if deleted and not node_is_known else []
