"""The caches the controller decides from, and the indexes over them.

Seven watches: nodes, storage classes and PieProbes whole; CronJobs, Jobs, pods and claims of one namespace
that carry pie's label. Listeners are told of each change after caches and indexes hold it.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from pie.core.batch.wire import CronJob, Job
from pie.core.manifests import KIND
from pie.core.model import Target
from pie.core.naming import LABEL_PROBE, target_of
from pie.core.wire import Claim, Metadata, Node, PieProbe, Pod, StorageClass
from pie.kube.client import Client
from pie.kube.listeners import Listener
from pie.kube.reflector import Reflector
from pie.kube.resources import CRONJOBS, JOBS, NODES, PIE_PROBES, PODS, PVCS, STORAGE_CLASSES, Resource
from pie.kube.watchstream import HasMetadata

_ZONE = "topology.kubernetes.io/zone"

T = TypeVar("T", bound=HasMetadata)


class Caches:
    """Everything pie sees of the cluster."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.namespace = namespace
        self._listen: dict[Resource, Callable[[Listener[Any]], None]] = {}
        self.nodes = self._watch(client, NODES, Node, None)
        self.storage_classes = self._watch(client, STORAGE_CLASSES, StorageClass, None)
        self.probes = self._watch(client, PIE_PROBES, PieProbe, namespace)
        self.cronjobs = self._watch(client, CRONJOBS, CronJob, namespace, LABEL_PROBE)
        self.jobs = self._watch(client, JOBS, Job, namespace, LABEL_PROBE)
        self.pods = self._watch(client, PODS, Pod, namespace, LABEL_PROBE)
        self.claims = self._watch(client, PVCS, Claim, namespace, LABEL_PROBE)
        self.cronjobs_of: dict[Target, dict[str, CronJob]] = {}
        self.claims_of: dict[Target, dict[str, Claim]] = {}
        self.claim_of_pod: dict[str, Claim] = {}
        self.jobs_by_uid: dict[str, Job] = {}
        self.pod_of_job: dict[str, Pod] = {}
        self.listen(CRONJOBS, lambda old, new: _index(self.cronjobs_of, _target, old, new))
        self.listen(PVCS, lambda old, new: _index(self.claims_of, _target, old, new))
        self.listen(PVCS, lambda old, new: _map(self.claim_of_pod, _owner_uid("Pod"), old, new))
        self.listen(JOBS, lambda old, new: _map(self.jobs_by_uid, _uid, old, new))
        self.listen(PODS, lambda old, new: _map(self.pod_of_job, _owner_uid("Job"), old, new))

    def _watch(
        self,
        client: Client,
        resource: Resource,
        kind: type[T],
        namespace: str | None,
        label_selector: str | None = None,
    ) -> Reflector[T]:
        reflector = Reflector(client, resource, kind, namespace=namespace, label_selector=label_selector)
        self._listen[resource] = reflector.listen
        return reflector

    def listen(self, resource: Resource, listener: Listener[Any]) -> None:
        """Have `listener(old, new)` called after each change; None stands for an object that is not there."""
        self._listen[resource](listener)

    @property
    def _reflectors(self) -> tuple[Reflector[Any], ...]:
        return (
            self.nodes,
            self.storage_classes,
            self.probes,
            self.cronjobs,
            self.jobs,
            self.pods,
            self.claims,
        )

    async def run(self) -> None:
        """Keep all caches up to date until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run())

    async def wait_synced(self) -> None:
        """Return when every cache has seen its whole list once."""
        for reflector in self._reflectors:
            await reflector.synced.wait()

    def missing(self) -> str:
        """Return in words which caches have not seen their whole list yet; empty when all have."""
        waiting = (reflector for reflector in self._reflectors if not reflector.synced.is_set())
        return "; ".join(f"waiting for the first list: {reflector.last_error}" for reflector in waiting)

    def zone(self, node: str) -> str:
        """Return the zone of a node; empty for one that is gone, or says none."""
        found = self.nodes.store.get(("", node))
        return found.metadata.labels.get(_ZONE, "") if found is not None else ""

    def probe(self, name: str) -> PieProbe | None:
        """Return the PieProbe of this name."""
        return self.probes.store.get((self.namespace, name))


def _uid(thing: Any) -> str:
    metadata: Metadata = thing.metadata
    return metadata.uid


def _owner_uid(kind: str) -> Callable[[Any], str | None]:
    def owner_uid(thing: Any) -> str | None:
        metadata: Metadata = thing.metadata
        owner = metadata.controller_owner
        return owner.uid if owner is not None and owner.kind == kind else None

    return owner_uid


def _target(thing: Any) -> Target | None:
    """Return the target of an object that a PieProbe owns: anything else may carry the labels, too."""
    metadata: Metadata = thing.metadata
    owner, target = metadata.controller_owner, target_of(metadata)
    owned = owner is not None and target is not None and (owner.kind, owner.name) == (KIND, target.probe)
    return target if owned else None


def _index(
    index: dict[Target, dict[str, Any]], key: Callable[[Any], Target | None], old: Any, new: Any
) -> None:
    if old is not None and (target := key(old)) is not None:
        named = index.get(target, {})
        _remove(named, old.metadata.name, old)
        if not named:
            index.pop(target, None)
    if new is not None and (target := key(new)) is not None:
        index.setdefault(target, {})[new.metadata.name] = new


def _map(index: dict[str, Any], key: Callable[[Any], str | None], old: Any, new: Any) -> None:
    if old is not None and (uid := key(old)) is not None:
        _remove(index, uid, old)
    if new is not None and (uid := key(new)) is not None:
        index[uid] = new


def _remove(index: dict[str, Any], key: str, old: Any) -> None:
    """Remove an entry with the object that it is of: another one may stand there by now."""
    if (found := index.get(key)) is not None and found.metadata.uid == old.metadata.uid:
        del index[key]
