"""Keeps the objects of targets as they should be, and remembers why a target cannot have them.

A target without PVC or schedule has no runs, which could report it.
"""

from typing import Final

import structlog

from pie.controller.caches import Caches
from pie.controller.ownership import Ownership, seed
from pie.controller.probes import Probes
from pie.controller.problems import no_permission
from pie.controller.queue import SETTLE_SECONDS, WorkQueue
from pie.controller.runners import Runner
from pie.core import manifests, naming
from pie.core.kinds import kind_of
from pie.core.manifests import KIND
from pie.core.model import Probe, Probed, Target
from pie.core.plan import Plan, plan_objects, together
from pie.core.reasons import Reason
from pie.core.renewal import class_hash
from pie.core.target.effects import KeepObjects
from pie.core.target.state import TargetState
from pie.core.wire import Claim, OwnerReference
from pie.kube.client import Client
from pie.kube.errors import (
    ApiError,
    Conflict,
    ServerTimeout,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)
from pie.kube.resources import PVCS

_log = structlog.get_logger()

_NO_REFUSAL: Final = (Conflict, TooManyRequests, ServiceUnavailable, ServerTimeout, Unauthorized)
"""Answers that are no refusal of the object. A plain 500 is one: of a webhook that cannot be reached."""

_LOOK_AGAIN_SECONDS: Final = 60.0
"""While another object has the name. pie may not watch that object."""

_NOTHING: Final = KeepObjects(live=False, keep_claim=True)


class Objects:
    """Writes the objects of targets: the PVC itself, the others through the runner."""

    def __init__(
        self, client: Client, caches: Caches, queue: WorkQueue, *, probes: Probes, runner: Runner
    ) -> None:
        self._caches = caches
        self._queue = queue
        self._probes = probes
        self._runner = runner
        self._claims = Ownership(client, PVCS, Claim)
        self._names = naming.Names()
        self._orders: dict[Target, tuple[Probe | None, KeepObjects]] = {}
        self._refused: dict[Target, tuple[Reason, str]] = {}
        queue.handle("objects", self._keep)
        queue.handle("renew", self._renew)

    def start(self) -> None:
        """Begin to lead: note which names exist."""
        for claim in self._caches.claims.store.values():
            seed(self._names, claim.metadata, naming.claim_names)

    def order(self, state: TargetState, wanted: KeepObjects) -> None:
        """Order how a target's objects are kept; a newer order replaces an older one."""
        self._orders[state.target] = (state.probe if wanted.live else None, wanted)
        self._queue.add("objects", state.target)

    def renew(self, target: Target, uid: str) -> None:
        """Order that a target gets a new PVC in the place of the one with this uid."""
        self._queue.add("renew", (target, uid))

    async def _renew(self, order: tuple[Target, str]) -> None:
        target, uid = order
        for claim in list(self._caches.claims_of.get(target, {}).values()):
            if claim.metadata.uid == uid and not claim.metadata.being_deleted:
                _log.info("replacing a PVC of a former class", name=claim.metadata.name)
                await self._claims.delete(claim.metadata, versioned=False)

    def refused(self, probed: Probed) -> tuple[Reason, str] | None:
        """Return why targets of a PieProbe lack objects: a refusal, or another object that has the name."""
        refused = {target: why for target, why in self._refused.items() if target.probed == probed}
        if not refused:
            return None
        first = min(refused, key=str)
        reason, words = refused[first]
        others = f" ({len(refused) - 1} more targets lack an object too)" if len(refused) > 1 else ""
        return reason, f"{first} is not probed: {words}{others}"

    async def _keep(self, target: Target) -> None:
        if (order := self._orders.get(target)) is None:
            return
        probe, wanted = order
        taken = None
        if (state := self._probes.get(target.probe_id)) is not None:
            owner = OwnerReference(kind=KIND, name=target.probe, uid=state.uid, controller=True)
            taken = await self._kept(probe, target, wanted, owner)
        self._note(target, taken)
        if taken is not None:
            self._queue.add("objects", target, after_seconds=_LOOK_AGAIN_SECONDS)
        elif self._orders.get(target) is order:  # an equal one is a newer one
            del self._orders[target]

    async def _kept(
        self, probe: Probe | None, target: Target, wanted: KeepObjects, owner: OwnerReference
    ) -> tuple[Reason, str] | None:
        """Write a target's objects; return why that is not possible, if another object has the name."""
        name, claims = await self._plan_claim(probe, target, wanted, owner)
        runs = await self._runner.plan(probe, target, wanted, owner, name)
        stopped = Plan()
        if claims.taken or runs.taken:
            stopped = await self._runner.plan(None, target, _NOTHING, owner, "")
        claims, runs = together(claims, runs, stopped)
        reason = Reason.CLAIM_REFUSED
        try:
            for action in claims.actions:
                await self._claims.act(target, action)
            reason = Reason.POD_REFUSED
            await self._runner.carry_out(target, runs.actions)
        except ApiError as error:
            if wanted.live and not isinstance(error, _NO_REFUSAL):
                reason = Reason.PERMISSION_MISSING if no_permission(error) else reason
                self._note(target, (reason, str(error)))
            raise
        return (Reason.NAME_TAKEN, claims.taken) if claims.taken else None

    async def _plan_claim(
        self, probe: Probe | None, target: Target, wanted: KeepObjects, owner: OwnerReference
    ) -> tuple[str, Plan]:
        """Return the name of the PVC that a target keeps, and what to do with it."""
        owned, manifest, name = self._caches.claims_of.get(target, {}), None, ""
        if probe is not None and kind_of(target).pvc:
            name = self._names.claim(target, naming.claim_names(target))
            made_for = class_hash(self._caches.storage_class(probe.storage_class))
            manifest = manifests.claim(probe, target, name=name, made_for=made_for)
        known = self._caches.claims.store.get((target.namespace, name))
        found = await self._claims.with_holder(target, owned, known, name, ask=wanted.create)
        if manifest is None and not found:
            self._names.release(target)
        observed = [each.metadata for each in found]
        return name, plan_objects(manifest, observed, owner, create=wanted.create, keep=wanted.keep_claim)

    def _note(self, target: Target, refusal: tuple[Reason, str] | None) -> None:
        if refusal == self._refused.get(target):
            return
        self._refused.pop(target, None)
        if refusal is not None:
            self._refused[target] = refusal
        self._queue.add("probe", target.probe_id, after_seconds=SETTLE_SECONDS)
