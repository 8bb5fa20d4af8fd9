"""Writes objects of one kind that PieProbes own, and finds other objects with their names."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic

import structlog

from pie.core.manifests import KIND, Manifest
from pie.core.model import Target
from pie.core.naming import LABEL_PROBE, Names, target_of
from pie.core.plan import Action, Adopt, Apply, Create, Delete, adoption
from pie.core.wire import Metadata
from pie.kube.client import Client
from pie.kube.errors import NotFound
from pie.kube.resources import Resource
from pie.kube.sharedlist import SharedList
from pie.kube.watchstream import Marked, T

_log = structlog.get_logger()

_RECENT_SECONDS: Final = 60.0
"""A list this old is used again, so that thousands of objects that are created at once cost few lists."""


class Ownership(Generic[T]):
    """The objects of one kind. `applied`: pie owns their fields, and changes them later."""

    def __init__(self, client: Client, resource: Resource, kind: type[T], *, applied: bool = False) -> None:
        self._client = client
        self._resource = resource
        self._kind = kind
        self._applied = applied
        self._all: dict[str, SharedList[T]] = {}

    async def with_holder(
        self, target: Target, owned: Mapping[str, T], known: T | None, name: str, *, ask: bool
    ) -> tuple[T, ...]:
        """Return the objects of a target, and another object that has the name of the wanted one.

        `known` is the object of this name in the cache, which has all objects with pie's labels. Objects
        without them are read in a list that all targets of a namespace share.
        """
        found = tuple(owned.values())
        if not name or any(each.metadata.name == name for each in found):
            return found
        holder = known
        if holder is None and ask:
            since = self._client.now() - _RECENT_SECONDS
            listed = await self._list_of(target.namespace).one(name, since)
            holder = listed if listed is not None and LABEL_PROBE not in _labels(listed) else None
        return (*found, holder) if holder is not None else found

    def _list_of(self, namespace: str) -> SharedList[T]:
        if (found := self._all.get(namespace)) is None:
            found = SharedList(self._client, self._resource, namespace, decode=self._kind)
            self._all[namespace] = found
        return found

    async def act(self, target: Target, action: Action) -> T | None:
        """Carry out an action; return the object if it was created or applied."""
        log = _log.bind(target=str(target), namespace=target.namespace, kind=self._resource.kind)
        match action:
            case Create(manifest):
                log.info("creating", name=manifest["metadata"]["name"])
                if self._applied:
                    return await self._apply(target, manifest, force=False)
                return await self._client.create(
                    self._resource, manifest, target.namespace, decode=self._kind
                )
            case Adopt(metadata, manifest):
                log.info("adopting what has no owner", name=metadata.name)
                await self._client.merge_patch(
                    self._resource,
                    metadata.name,
                    adoption(metadata, manifest),
                    metadata.namespace,
                    decode=Marked,
                )
            case Delete(metadata):
                log.info("deleting", name=metadata.name)
                await self.delete(metadata)
            case Apply(manifest):
                log.info("applying", name=manifest["metadata"]["name"])
                return await self._apply(target, manifest, force=True)
        return None

    async def _apply(self, target: Target, manifest: Manifest, *, force: bool) -> T:
        name = manifest["metadata"]["name"]
        return await self._client.apply(
            self._resource, name, manifest, target.namespace, decode=self._kind, force=force
        )

    async def delete(self, metadata: Metadata, *, versioned: bool = True) -> None:
        """Delete exactly this object (by uid); `versioned`: only if nobody changed it since."""
        version = metadata.resource_version if versioned else None
        try:
            await self._client.delete(
                self._resource,
                metadata.name,
                metadata.namespace,
                uid=metadata.uid,
                resource_version=version,
            )
        except NotFound:
            _log.debug("gone already", name=metadata.name)


def _labels(thing: Any) -> Mapping[str, str]:
    found: Metadata = thing.metadata
    return found.labels


def seed(names: Names, found: Metadata, candidates: Callable[[Target], tuple[str, str]]) -> None:
    """Note the name of an object that is a target's, or that a target may adopt."""
    owner, target = found.controller_owner, target_of(found)
    if target is None:
        return
    if (owner is None and found.name in candidates(target)) or (
        owner is not None and (owner.kind, owner.name) == (KIND, target.probe)
    ):
        names.seed(target, found.name)
