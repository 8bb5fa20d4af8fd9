"""Reads the objects that a target has, and whatever else has the names that it should have."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from pie.controller.caches import Caches
from pie.core.batch.wire import CronJob
from pie.core.manifests import KIND, Manifest
from pie.core.model import Target
from pie.core.naming import Names, target_of
from pie.core.plan import Desired, Observed
from pie.core.wire import Claim, Metadata, OwnerReference
from pie.kube.client import Client
from pie.kube.resources import CRONJOBS, PVCS, Resource

T = TypeVar("T", Claim, CronJob)


class TargetObjects:
    """The objects of targets, from the caches; before one is created, from the API server."""

    def __init__(self, client: Client, caches: Caches) -> None:
        self._client = client
        self._caches = caches

    async def observe(
        self, target: Target, desired: Desired, owner: OwnerReference | None, generations: Mapping[str, int]
    ) -> Observed:
        """Return what there is of a target. `generations` are those of CronJobs as pie wrote them, by uid."""
        if owner is None:
            return Observed(
                tuple(self._caches.cronjobs_of.get(target, {}).values()),
                tuple(self._caches.claims_of.get(target, {}).values()),
            )
        kept, known = self._caches.claims_of.get(target, {}), self._caches.claims.store
        claims = await self._with_holder(kept, known, desired, desired.claim, of=(PVCS, Claim))
        runs, scheduled = self._caches.cronjobs_of.get(target, {}), self._caches.cronjobs.store
        cronjobs = await self._with_holder(runs, scheduled, desired, desired.cronjob, of=(CRONJOBS, CronJob))
        drifted = any(
            each.metadata.generation > generations.get(each.metadata.uid, each.metadata.generation)
            for each in cronjobs
        )
        return Observed(cronjobs, claims, drifted, owner)

    async def _with_holder(
        self,
        owned: Mapping[str, T],
        known: Mapping[tuple[str, str], T],
        desired: Desired,
        wanted: Manifest | None,
        *,
        of: tuple[Resource, type[T]],
    ) -> tuple[T, ...]:
        """Return what the target has, and what has the name of the wanted object without being the target's.

        An object without pie's labels is in no cache, so the API server is asked before one is created.
        """
        found = list(owned.values())
        name = wanted["metadata"]["name"] if wanted is not None else ""
        if not name or name in owned:
            return tuple(found)
        holder = known.get((self._caches.namespace, name))
        if holder is None and desired.create:
            resource, kind = of
            holder = await self._client.get_or_none(resource, name, self._caches.namespace, decode=kind)
        if holder is not None:
            found.append(holder)
        return tuple(found)


def owner_reference(target: Target, uid: str) -> OwnerReference:
    """Return the reference by which a target's objects belong to its PieProbe of this uid."""
    return OwnerReference(kind=KIND, name=target.probe, uid=uid, controller=True)


def seed(names: Names, found: Metadata, candidates: Callable[[Target], tuple[str, str]]) -> None:
    """Note the name of an object that is a target's, or that a target may adopt."""
    owner, target = found.controller_owner, target_of(found)
    if target is None:
        return
    if (owner is None and found.name in candidates(target)) or (
        owner is not None and (owner.kind, owner.name) == (KIND, target.probe)
    ):
        names.seed(target, found.name)
