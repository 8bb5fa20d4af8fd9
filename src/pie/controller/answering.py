"""What the API server answers about a run: its pod, its attachment, the Lease of its node, its Events."""

from pie.controller.attachmentstate import AttachmentReader
from pie.controller.nodelease import NodeLeases
from pie.controller.warnings import WarningEvents
from pie.core.model import Target
from pie.core.run import first_pod
from pie.core.target.effects import Question
from pie.core.target.facts import Answers, AttachmentAnswer, LeaseAnswer, PodAnswer
from pie.core.target.state import RunState
from pie.core.timeline import Run
from pie.core.wire import Pod
from pie.kube.client import Client
from pie.kube.resources import PODS
from pie.kube.sharedlist import SharedList


class Answering:
    """Asks the API server. `pods` is a label selector for the pods of all runs, in a namespace or in all."""

    def __init__(self, client: Client, namespace: str, warnings: WarningEvents, *, pods: str) -> None:
        self._client = client
        self._warnings = warnings
        self._attachments = AttachmentReader(client)
        self._leases = NodeLeases(client)
        self._pods = SharedList(client, PODS, namespace, decode=Pod, label_selector=pods)

    def may_attach(self, driver: str | None) -> bool:
        """Tell whether a driver may attach volumes; None: the driver is not known."""
        return driver is not None and self._attachments.may_attach(driver)

    def attaches(self, driver: str | None) -> bool:
        """Tell whether a driver is known to attach volumes."""
        return driver is not None and self._attachments.attaches(driver)

    async def answer(
        self, what: Question, target: Target, run: RunState, driver: str | None, *, since: float
    ) -> Answers:
        """Return the answer to a question about a run, as things are at `since` or later."""
        match what:
            case Question.POD:
                return Answers(pods={run.id: await self._pod(target, run, since)})
            case Question.ATTACHMENT:
                found = await self._attachment(target, run, driver)
                return Answers(attachments={run.id: found}) if found is not None else Answers()
            case Question.LEASE:
                return Answers(leases={run.id: await self._lease(target, run, since)})
            case Question.EVENTS:
                await self._recall_events(target, run)
        return Answers()

    async def _pod(self, target: Target, run: RunState, since: float) -> PodAnswer:
        """Read a run's pod: by name, or in one list with others that are needed."""
        if run.pod is None:
            listed = await self._pods.all(since)
            return PodAnswer(since, first_pod(listed.of_owner(run.id), target), certain=not listed.skipped)
        pod = await self._pods.one(run.pod.metadata.name, since, namespace=target.namespace)
        same = pod is not None and pod.metadata.uid == run.pod.metadata.uid
        return PodAnswer(since, pod if same else None)

    async def _attachment(self, target: Target, run: RunState, driver: str | None) -> AttachmentAnswer | None:
        if driver is None or run.pod is None:
            return None
        looked_at = self._client.now()
        found = await self._attachments.look(_seen(target, run), driver, run.attachment_asked_at or None)
        return AttachmentAnswer(looked_at, found.added_to(run.seen) if found is not None else None)

    async def _lease(self, target: Target, run: RunState, after: float) -> LeaseAnswer:
        node = node_of(target, run)
        if not node:
            return LeaseAnswer(self._client.now(), None)
        beat = await self._leases.look(node, after=after)
        return LeaseAnswer(self._client.now(), beat)

    async def _recall_events(self, target: Target, run: RunState) -> None:
        """Read the Events about a run, its pod and its PVC that are older than the watch."""
        about = run.pod.metadata.uid if run.pod is not None else run.id
        if await self._warnings.recall(target.namespace, about) and run.claim is not None:
            await self._warnings.recall(target.namespace, run.claim.metadata.uid)


def node_of(target: Target, run: RunState) -> str:
    """Return the node that a run is bound to, or that its volume is to be created for; empty: none yet."""
    return _seen(target, run).node


def _seen(target: Target, run: RunState) -> Run:
    return Run(target, run.due, run.created, run.pod, run.claim, seen=run.seen)
