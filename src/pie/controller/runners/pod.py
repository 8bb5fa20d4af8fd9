"""Runs that pie starts itself: a pod per run, which the PieProbe owns; no CronJob and no Job.

The step of a target decides when a run is due (`pie.core.target.starting`). This runner creates its pod once,
whatever the API server answers or does not answer, and deletes it when it is counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import structlog

from pie.controller.caches import Caches
from pie.controller.ownership import Ownership
from pie.controller.queue import WorkQueue
from pie.core.apitypes import RunCause
from pie.core.kinds import kind_of
from pie.core.model import Image, Probe, RunnerKind, Target
from pie.core.naming import (
    ANNOTATION_FOLLOWS,
    ANNOTATION_SUPPRESSED_SINCE,
    LABEL_KIND,
    LABEL_NODE,
    LABEL_PROBE,
    LABEL_STORAGE_CLASS,
    labels,
    target_of,
)
from pie.core.pace.parts import PacePart
from pie.core.pods.calendar import slowed
from pie.core.pods.manifests import is_outdated, run_pod
from pie.core.pods.naming import TRIES, RunOfPod, pod_name, run_of_pod
from pie.core.probestep import PAUSED_SINCE
from pie.core.run import RunFact
from pie.core.target.effects import StartRun
from pie.core.target.facts import Calendar, ScheduleFact
from pie.core.text import evidence
from pie.core.timeline import WarningEvent, pod_ending, pod_over
from pie.core.wire import Claim, Pod, parse_seconds
from pie.kube.client import Client
from pie.kube.errors import AlreadyExists, ApiError, KubeError, ServerError, TooManyRequests, WriteRefused
from pie.kube.resources import PODS, PVCS

_log = structlog.get_logger()

_POD: Final = "pod"
_FORGET: Final = "forget"
_CATCH_UP_SECONDS: Final = 2.0
"""A watch that is known to be complete so long after a pod was created has shown it."""

_PLACE: Final = (LABEL_PROBE, LABEL_STORAGE_CLASS, LABEL_NODE, LABEL_KIND)
_Place = tuple[str, ...]
"""The labels of a target."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A run of pie's own, as it is in the cluster now."""

    of: RunOfPod
    fact: RunFact


class _Created(NamedTuple):
    """A pod that pie created, and that the watch does not show yet: why it was started, and when."""

    why: RunCause
    at: float


class PodRunner:
    """The runner of `runner: Pod`."""

    def __init__(self, client: Client, caches: Caches, image: Image) -> None:
        self._client = client
        self._caches = caches
        self._image = image
        self._queue: WorkQueue | None = None
        self._pods = Ownership(client, PODS, Pod)
        self._known: dict[str, _Known] = {}
        self._runs_of: dict[Target, set[str]] = {}
        self._places: dict[_Place, set[str]] = {}
        self._unseen: dict[Target, dict[str, _Created]] = {}
        self._last_started: dict[Target, float] = {}
        self._refused: dict[Target, WarningEvent] = {}
        self._unanswered: dict[tuple[Target, RunCause], str] = {}
        caches.listen(PODS, self._pod_changed)
        caches.listen(PVCS, self._claim_changed)

    def start(self, queue: WorkQueue) -> None:
        """Begin to lead: from now on put targets whose runs change on the queue."""
        self._queue = queue

    # What the watch brings.

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._note_place(old, there=False)
            self._note(old, gone=True)
        if new is not None:
            self._note_place(new, there=True)
            self._note(new, gone=False)

    def _claim_changed(self, old: Claim | None, new: Claim | None) -> None:
        """Look at a target when its PVC appears or goes: it has runs while it has one."""
        claim = new if old is None else old if new is None else None
        target = target_of(claim.metadata) if claim is not None else None
        probe = self._caches.probe(target.probe_id) if target is not None else None
        if target is None or probe is None:
            return
        if kind_of(target).resident or probe.spec.get("runner") == RunnerKind.POD:
            self._wake(target)

    def _note_place(self, pod: Pod, *, there: bool) -> None:
        """Note whether a pod is there, of whichever runner, so that a target never has one too many."""
        found = pod.metadata
        place = _place(found.namespace, found.labels)
        if there and found.controller_owner is not None:
            self._places.setdefault(place, set()).add(found.uid)
        elif (uids := self._places.get(place)) is not None:
            uids.discard(found.uid)
            if not uids:
                del self._places[place]

    def _note(self, pod: Pod, *, gone: bool) -> None:
        found, at = pod.metadata, self._caches.pods.heard_at
        known = self._known.get(found.uid)
        of = known.of if known is not None else run_of_pod(found)
        if of is None or (known is None and gone):
            return
        follows = found.annotations.get(ANNOTATION_FOLLOWS, "")
        before = known.fact if known is not None else RunFact(found.uid, of.due, found.created_seconds)
        over_at = before.over_at or (at if gone or pod_over(pod) else None)
        fact = replace(
            before,
            cause=of.cause,
            follows=follows,
            step=of.step,
            pod=pod,
            pod_gone=gone,
            pod_known_until=at if gone else 0.0,
            over_at=over_at,
            discardable=_FORGET if gone else "" if found.being_deleted or pod_ending(pod) else _POD,
            by_pie=True,
        )
        self._known[found.uid] = _Known(of, fact)
        self._unseen.get(of.target, {}).pop(found.uid, None)
        self._runs_of.setdefault(of.target, set()).add(found.uid)
        if gone or known is None:
            self._wake(of.target)

    def _wake(self, target: Target) -> None:
        if self._queue is not None:
            self._queue.add("target", target)

    # What is asked.

    def targets(self) -> set[Target]:
        """Return the targets that have runs."""
        return set(self._runs_of)

    def calendar(self, probe: Probe, target: Target, paces: Sequence[PacePart]) -> Calendar:
        """Return the due times of a target."""
        return slowed(target, probe, paces)

    def schedule(self, probe: Probe, target: Target) -> ScheduleFact | None:
        """Return since when pie starts a target's runs: since it has its PVC, if it keeps one."""
        since = self._since(probe, target)
        if since is None:
            return None
        refused, paused_since = self._refused.get(target), self.paused_since(target)
        return ScheduleFact(
            since=since,
            last_started=self._last_started.get(target, 0.0),
            paused=paused_since is not None,
            paused_since=paused_since,
            busy=not self._has_room(target, "schedule"),
            by_pie=True,
            warnings=(refused,) if refused is not None else (),
        )

    def _since(self, probe: Probe, target: Target) -> float | None:
        if kind_of(target).pvc:
            claim = self._claim(target)
            owner = claim.metadata.controller_owner if claim is not None else None
            if claim is None or owner is None or owner.uid != probe.uid or claim.metadata.being_deleted:
                return None
            return claim.metadata.created_seconds
        stored = self._caches.probe(probe.id)
        return stored.metadata.created_seconds if stored is not None else None

    def _claim(self, target: Target) -> Claim | None:
        return next(iter(self._caches.claims_of.get(target, {}).values()), None)

    def _has_room(self, target: Target, why: str, step: int = 0) -> bool:
        """Tell whether a target may have one more pod: one, and a follow-up run if it keeps no PVC.

        The pods of earlier steps stay beside a later one.
        """
        place, unseen = _place(target.namespace, labels(target)), self._not_seen_yet(target)
        there = self._places.get(place, set())
        there = {uid for uid in there if uid not in self._known or self._known[uid].of.step >= step}
        if kind_of(target).pvc:
            return not there and not unseen
        follow_ups = {uid for uid in there if uid in self._known and self._known[uid].of.cause == "followup"}
        of_schedule = there - follow_ups
        for uid, created in unseen.items():
            (follow_ups if created.why == "followup" else of_schedule).add(uid)
        return not (follow_ups if why == "followup" else of_schedule)

    def _not_seen_yet(self, target: Target) -> Mapping[str, _Created]:
        """Return the pods that pie created and the watch does not show; not those that went unseen."""
        unseen, as_of = self._unseen.get(target, {}), self._caches.pods.heard_at
        for uid in [uid for uid, created in unseen.items() if as_of > created.at + _CATCH_UP_SECONDS]:
            del unseen[uid]
        if not unseen:
            self._unseen.pop(target, None)
        return unseen

    def runs(self, probe: Probe | None, target: Target) -> tuple[RunFact, ...]:
        """Return a target's pods as runs: of this PieProbe; without one, all."""
        known = (self._known[uid] for uid in self._runs_of.get(target, ()))
        found = tuple(each.fact for each in known if probe is None or each.of.probe_uid == probe.uid)
        if probe is None or not kind_of(target).resident:
            return found
        return tuple(replace(each, outdated=self._is_outdated(each.pod, probe, target)) for each in found)

    def _is_outdated(self, pod: Pod | None, probe: Probe, target: Target) -> bool:
        claim = self._claim(target)
        if pod is None or claim is None:
            return False
        return is_outdated(pod.metadata, probe, target, claim=claim.metadata.name, image=self._image)

    def target_of_pod(self, pod: Pod) -> Target | None:
        """Return the target of a run's pod."""
        known = self._known.get(pod.metadata.uid)
        return known.of.target if known is not None else None

    def paused_since(self, target: Target) -> float | None:
        """Return since when a target is paused, as its PVC says, or the status where it keeps none."""
        if not kind_of(target).pvc:
            stored = self._caches.probe(target.probe_id)
            said = (
                stored.status_of_class(target.storage_class).get(PAUSED_SINCE) if stored is not None else None
            )
            return parse_seconds(said) if isinstance(said, str) else None
        claim = self._claim(target)
        marks: Mapping[str, str] = claim.metadata.annotations if claim is not None else {}
        return parse_seconds(marks.get(ANNOTATION_SUPPRESSED_SINCE, ""))

    def as_of(self) -> float:
        """Return up to when the pods are known."""
        return self._caches.pods.heard_at

    def confirm(self) -> None:
        """Have the watch of pods confirm soon that it is complete."""
        self._caches.pods.confirm()

    # What is done.

    def forget(self, target: Target) -> None:
        """Forget which run of a target that ended was started last."""
        self._last_started.pop(target, None)

    async def run(self, probe: Probe, target: Target, order: StartRun, claim: str) -> bool:
        """Create the pod of a run; False: not yet, since another pod of the target is still there."""
        step = order.step.number
        first = pod_name(target, order.why, order.due, step=step)
        if (started := await self._resolve(probe, target, order.why)) is not None:
            return started.startswith(first)
        if not self._has_room(target, order.why, step):
            return False
        for number in range(1, TRIES + 1):
            name = pod_name(target, order.why, order.due, number, step)
            if await self._create(probe, target, order, name, claim):
                self._refused.pop(target, None)
                if order.why == "schedule":
                    self._last_started[target] = order.due
                return True
        return False

    async def _resolve(self, probe: Probe, target: Target, why: RunCause) -> str | None:
        """Find out whether a pod was created by a request that was not answered; return the pod's name."""
        name = self._unanswered.get((target, why))
        found = name is not None and await self._is_mine(probe, target, why, name)
        self._unanswered.pop((target, why), None)
        return name if found else None

    async def _create(self, probe: Probe, target: Target, order: StartRun, name: str, claim: str) -> bool:
        """Create a pod; False: something else has its name.

        A request that was not answered may have been carried out: the pod is read by its name before anything
        else is done for the target.
        """
        manifest = run_pod(
            probe,
            target,
            name=name,
            claim=claim,
            image=self._image,
            without=order.without,
            follows=order.follows,
            step=order.step,
        )
        try:
            created = await self._client.create(PODS, manifest, target.namespace, decode=Pod, last=True)
        except AlreadyExists:
            return await self._is_mine(probe, target, order.why, name)
        except KubeError as error:
            if not isinstance(error, ApiError | WriteRefused) or isinstance(error, ServerError):
                self._unanswered[target, order.why] = name
            if not isinstance(error, TooManyRequests | WriteRefused):
                text = evidence(f"Error creating: {error}")
                self._refused[target] = WarningEvent("FailedCreate", text, self._client.now())
            raise
        _log.debug("started a run", target=str(target), namespace=target.namespace, pod=name)
        self._note_created(target, order.why, created)
        return True

    def _note_created(self, target: Target, why: RunCause, pod: Pod) -> None:
        uid = pod.metadata.uid
        if uid not in self._known:
            self._unseen.setdefault(target, {})[uid] = _Created(why, self._client.now())

    async def _is_mine(self, probe: Probe, target: Target, why: RunCause, name: str) -> bool:
        """Tell whether the pod of this name is a run of the PieProbe."""
        found = await self._client.get_or_none(PODS, name, target.namespace, decode=Pod)
        of = run_of_pod(found.metadata) if found is not None else None
        mine = of is not None and of.probe_uid == probe.uid
        if found is not None and mine:
            self._note_created(target, why, found)
        return mine

    async def discard(self, run: str) -> None:
        """Delete the pod of a run that is counted; forget a run whose pod is gone."""
        if (known := self._known.get(run)) is None:
            return
        pod, target = known.fact.pod, known.of.target
        if known.fact.pod_gone:
            del self._known[run]
            self._runs_of[target].discard(run)
            if not self._runs_of[target]:
                del self._runs_of[target]
            self._wake(target)
        elif pod is not None:
            # The kubelet still writes to a pod whose other containers run on.
            await self._pods.delete(pod.metadata, versioned=False)


def _place(namespace: str, found: Mapping[str, str]) -> _Place:
    return (namespace, *(found.get(label, "") for label in _PLACE))
