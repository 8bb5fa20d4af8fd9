"""Asks the API server about bad runs; the answers become facts of their targets."""

from typing import Final, NamedTuple

from pie.controller.answering import Answering, node_of
from pie.controller.caches import Caches
from pie.controller.queue import Lane, WorkQueue
from pie.controller.runners import Runner
from pie.controller.warnings import WarningEvents
from pie.core.model import Target
from pie.core.naming import LABEL_PROBE
from pie.core.snapshots import SnapshotAnswer
from pie.core.target.changes import answers_matter
from pie.core.target.effects import Ask, Question
from pie.core.target.facts import Answers
from pie.core.target.state import RunState
from pie.kube.client import Client
from pie.kube.resources import NODES
from pie.kube.watchstream import Marked

_CROWD: Final = 20
"""If more questions wait, the watch of nodes is confirmed as a whole."""


class _About(NamedTuple):
    """A question about a run of a target."""

    what: Question
    target: Target
    run: str


class _Asked(NamedTuple):
    """The run at the last question; the answer must show the state at `since` or later."""

    run: RunState
    since: float


class Questions:
    """Asks, and keeps the answers as long as their run exists."""

    def __init__(
        self, client: Client, caches: Caches, queue: WorkQueue, *, runner: Runner, warnings: WarningEvents
    ) -> None:
        self._client = client
        self._caches = caches
        self._queue = queue
        self._runner = runner
        self._answering = Answering(client, caches.namespace, warnings, pods=LABEL_PROBE)
        self._asked: dict[_About, _Asked] = {}
        self._answers: dict[Target, Answers] = {}
        queue.handle("ask", self._ask, Lane.READS)

    def ask(self, target: Target, question: Ask, run: RunState | None) -> None:
        """Ask the API server about a target, or about one of its runs."""
        if question.what is Question.NODES:
            self._caches.nodes.confirm()
        elif question.what is Question.RUNS:
            self._runner.confirm()
        elif run is not None:
            about = _About(question.what, target, run.id)
            self._asked[about] = _Asked(run, question.since)
            self._queue.add("ask", about)

    def answers(self, target: Target) -> Answers:
        """Return the answers about the runs of a target."""
        return self._answers.get(target, _NOTHING)

    def forget_other_runs(self, target: Target, runs: set[str]) -> None:
        """Forget the answers about runs of a target that do not exist any more."""
        known = self._answers.get(target)
        if known is None:
            return
        kept = Answers(
            {run: answer for run, answer in known.pods.items() if run in runs},
            {run: answer for run, answer in known.attachments.items() if run in runs},
            {run: answer for run, answer in known.leases.items() if run in runs},
            {run: as_of for run, as_of in known.nodes.items() if run in runs},
            {run: why for run, why in known.refusals.items() if run in runs},
            {run: answer for run, answer in known.snapshots.items() if run in runs},
        )
        if kept == _NOTHING:
            del self._answers[target]
        else:
            self._answers[target] = kept

    def note_refusal(self, target: Target, run: str, why: str) -> None:
        """Note why the API server refused to change the PVC of a run."""
        self._note(target, Answers(refusals={run: why}))

    def note_snapshot(self, target: Target, run: str, answer: SnapshotAnswer) -> None:
        """Note how the snapshot of the volume of a run is."""
        self._note(target, Answers(snapshots={run: answer}))

    def _note(self, target: Target, answers: Answers) -> None:
        self._answers[target] = self.answers(target).joined(answers)
        self._queue.add("target", target)

    def may_attach(self, target: Target) -> bool:
        """Tell whether the volumes of a target may be attached."""
        return self._answering.may_attach(self._driver(target.storage_class))

    def attaches(self, storage_class: str) -> bool:
        """Tell whether the driver of a StorageClass is known to attach volumes."""
        return self._answering.attaches(self._driver(storage_class))

    def _driver(self, name: str) -> str | None:
        storage_class = self._caches.storage_class(name)
        return storage_class.driver if storage_class is not None else None

    async def _ask(self, about: _About) -> None:
        if (asked := self._asked.get(about)) is None:
            return
        answers = await self._answered(about, asked)
        self._answers[about.target] = self.answers(about.target).joined(answers)
        if self._asked.get(about) == asked:
            del self._asked[about]
        if answers != _NOTHING and answers_matter(asked.run, answers):
            # A target without an answer asks again at its next turn, not at once.
            self._queue.add("target", about.target)

    async def _answered(self, about: _About, asked: _Asked) -> Answers:
        run, target = asked.run, about.target
        if about.what is Question.NODE:
            as_of = await self._node_shown(node_of(target, run))
            return Answers(nodes={run.id: as_of}) if as_of is not None else _NOTHING
        return await self._answering.answer(
            about.what, target, run, self._driver(target.storage_class), since=asked.since
        )

    async def _node_shown(self, node: str) -> float | None:
        """Return up to when the watch shows the node as it is; None: not known, so the watch must confirm."""
        asked_at = self._client.now()
        if len(self._asked) <= _CROWD:
            seen = self._caches.nodes.store.get(("", node))
            found = await self._client.get_or_none(NODES, node, decode=Marked)
            versions = [each.metadata.resource_version if each is not None else "" for each in (seen, found)]
            if versions[0] == versions[1]:
                return asked_at
        # For many nodes, one list is better.
        self._caches.nodes.confirm()
        return None


_NOTHING = Answers()
