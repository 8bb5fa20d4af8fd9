"""What the API server is asked about bad runs; its answers become facts of their targets."""

from collections.abc import Hashable
from typing import Final, NamedTuple

from pie.controller.attachmentstate import AttachmentReader
from pie.controller.caches import Caches
from pie.controller.nodelease import NodeLeases
from pie.controller.queue import Lane, WorkQueue
from pie.controller.runners import Runner
from pie.controller.warnings import WarningEvents
from pie.core.model import Target
from pie.core.naming import LABEL_PROBE
from pie.core.target.effects import Ask, Question
from pie.core.target.facts import Answers, AttachmentAnswer, LeaseAnswer, PodAnswer
from pie.core.target.state import RunState
from pie.core.timeline import Run
from pie.core.wire import Pod
from pie.kube.client import Client
from pie.kube.resources import NODES, PODS
from pie.kube.sharedlist import SharedList
from pie.kube.watchstream import Marked

_CROWD: Final = 20
"""If more questions wait, the watch of nodes is confirmed as a whole."""


class _About(NamedTuple):
    """A question about a run of a target."""

    what: Question
    target: Target
    run: str


class _Asked(NamedTuple):
    """The run as it was when it was asked about last; the answer shows how things are at `since` or later."""

    run: RunState
    since: float


class Questions:
    """Asks, and keeps the answers while their run is there."""

    def __init__(
        self, client: Client, caches: Caches, queue: WorkQueue, *, runner: Runner, warnings: WarningEvents
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._runner = runner
        self._warnings = warnings
        self._attachments = AttachmentReader(client)
        self._leases = NodeLeases(client)
        self._pods = SharedList(client, PODS, caches.namespace, decode=Pod, label_selector=LABEL_PROBE)
        self._asked: dict[_About, _Asked] = {}
        self._answers: dict[Target, Answers] = {}
        queue.handle("ask", self._ask, Lane.READS)

    def ask(self, target: Target, question: Ask, run: RunState | None) -> None:
        """Have the API server asked about a target, or a run of it."""
        if question.what is Question.NODES:
            self._caches.nodes.confirm()
        elif question.what is Question.RUNS:
            self._runner.confirm()
        elif run is not None:
            about = _About(question.what, target, run.id)
            self._asked[about] = _Asked(run, question.since)
            self._queue.add("ask", about)

    def answers(self, target: Target) -> Answers:
        """Return what was answered about runs of a target."""
        return self._answers.get(target, _NOTHING)

    def forget_other_runs(self, target: Target, runs: set[str]) -> None:
        """Forget the answers about runs of a target that are not there any more."""
        known = self._answers.get(target)
        if known is None:
            return
        kept = Answers(
            {run: answer for run, answer in known.pods.items() if run in runs},
            {run: answer for run, answer in known.attachments.items() if run in runs},
            {run: answer for run, answer in known.leases.items() if run in runs},
            {run: as_of for run, as_of in known.nodes.items() if run in runs},
        )
        if kept == _NOTHING:
            del self._answers[target]
        else:
            self._answers[target] = kept

    def may_attach(self, target: Target) -> bool:
        """Tell whether the volumes of a target may be attached, as far as is known of its driver."""
        driver = self._driver(target)
        return driver is not None and self._attachments.may_attach(driver)

    def _driver(self, target: Target) -> str | None:
        storage_class = self._caches.storage_classes.store.get(("", target.storage_class))
        return storage_class.provisioner if storage_class is not None else None

    async def _ask(self, thing: Hashable) -> None:
        if not isinstance(thing, _About):
            raise TypeError(f"not a question: {thing!r}")
        if (asked := self._asked.get(thing)) is None:
            return
        answers = await self._answered(thing, asked)
        self._answers[thing.target] = _joined(self.answers(thing.target), answers)
        if self._asked.get(thing) == asked:
            del self._asked[thing]
        self._queue.add("target", thing.target)

    async def _answered(self, about: _About, asked: _Asked) -> Answers:
        run = asked.run
        match about.what:
            case Question.POD:
                return Answers(pods={run.id: await self._pod(run, asked.since)})
            case Question.ATTACHMENT:
                found = await self._attachment(about.target, run)
                return Answers(attachments={run.id: found}) if found is not None else _NOTHING
            case Question.LEASE:
                return Answers(leases={run.id: await self._lease(about.target, run, asked.since)})
            case Question.NODE:
                as_of = await self._node_shown(_seen(about.target, run).node)
                return Answers(nodes={run.id: as_of}) if as_of is not None else _NOTHING
            case Question.EVENTS:
                await self._recall_events(run)
        return _NOTHING

    async def _pod(self, run: RunState, since: float) -> PodAnswer:
        """Read a run's pod: by name, or with all others that are wanted."""
        if run.pod is None:
            listed = await self._pods.all(since)
            return PodAnswer(since, listed.of_owner(run.id), certain=not listed.skipped)
        pod = await self._pods.one(run.pod.metadata.name, since)
        same = pod is not None and pod.metadata.uid == run.pod.metadata.uid
        return PodAnswer(since, pod if same else None)

    async def _recall_events(self, run: RunState) -> None:
        """Recall what was said about a run, its pod and its PVC before pie listened."""
        about = run.pod.metadata.uid if run.pod is not None else run.id
        if await self._warnings.recall(about) and run.claim is not None:
            await self._warnings.recall(run.claim.metadata.uid)

    async def _attachment(self, target: Target, run: RunState) -> AttachmentAnswer | None:
        driver = self._driver(target)
        if driver is None or run.pod is None:
            return None
        looked_at = self._client.now()
        found = await self._attachments.look(_seen(target, run), driver)
        return AttachmentAnswer(looked_at, found.added_to(run.seen) if found is not None else None)

    async def _lease(self, target: Target, run: RunState, after: float) -> LeaseAnswer:
        node = _seen(target, run).node
        if not node:
            return LeaseAnswer(self._client.now(), None)
        beat = await self._leases.look(node, after=after)
        return LeaseAnswer(self._client.now(), beat)

    async def _node_shown(self, node: str) -> float | None:
        """Return up to when the watch shows a node as it is; None: it does not, and is asked to confirm."""
        asked_at = self._client.now()
        if len(self._asked) <= _CROWD:
            seen = self._caches.nodes.store.get(("", node))
            found = await self._client.get_or_none(NODES, node, decode=Marked)
            versions = [each.metadata.resource_version if each is not None else "" for each in (seen, found)]
            if versions[0] == versions[1]:
                return asked_at
        # Of many nodes, one list says it all.
        self._caches.nodes.confirm()
        return None


def _seen(target: Target, run: RunState) -> Run:
    return Run(target, run.id, run.due, run.created, run.pod, run.claim)


def _joined(known: Answers, new: Answers) -> Answers:
    return Answers(
        {**known.pods, **new.pods},
        {**known.attachments, **new.attachments},
        {**known.leases, **new.leases},
        {**known.nodes, **new.nodes},
    )


_NOTHING = Answers()
