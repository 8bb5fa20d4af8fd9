"""The caches of the controller, and the indexes over them.

There are six watches: all nodes, CSINodes and StorageClasses; in one namespace, or in all, the PieProbes, and
the pods and PVCs with pie's label. The runner adds watches of its own kinds. Listeners are called after each
change, when the caches and indexes have it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from pie.core.leaks import NodesByLabel
from pie.core.manifests import KIND
from pie.core.model import ProbeId, Target
from pie.core.naming import LABEL_PROBE, target_of
from pie.core.wire import Claim, CSINode, Metadata, Node, PieProbe, Pod, StorageClass
from pie.kube.client import Client
from pie.kube.listeners import Listener
from pie.kube.reflector import Reflector
from pie.kube.resources import CSI_NODES, NODES, PIE_PROBES, PODS, PVCS, STORAGE_CLASSES, Resource
from pie.kube.watchstream import HasMetadata

_ZONE = "topology.kubernetes.io/zone"

Uid = tuple[str, str]
"""The namespace of an object, and its uid, or that of its owner.

An owner is in the namespace of what it owns: who may write in one namespace must not name an owner in
another one.
"""

K = TypeVar("K")
T = TypeVar("T", bound=HasMetadata)


class Caches:
    """Everything pie sees of the cluster. An empty `namespace` means all namespaces."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.namespace = namespace
        self._listen: dict[Resource, Callable[[Listener[Any]], None]] = {}
        self._client = client
        self._reflectors: list[Reflector[Any]] = []
        self.nodes = self._watch(NODES, Node)
        self.csi_nodes = self._watch(CSI_NODES, CSINode)
        self.storage_classes = self._watch(STORAGE_CLASSES, StorageClass)
        self.probes = self._watch(PIE_PROBES, PieProbe, namespace)
        self._probes_in = Counter[str]()
        self.listen(PIE_PROBES, self._probe_changed)
        self.nodes_by_label = NodesByLabel(self.nodes.store)
        self.listen(NODES, self._node_changed)
        self.pods = self.watch_own(PODS, Pod)
        self.claims = self.watch_own(PVCS, Claim)
        self.claims_of: dict[Target, dict[str, Claim]] = {}
        self.claim_of_pod: dict[Uid, Claim] = {}
        self.pods_of_owner: dict[Uid, dict[str, Pod]] = {}
        self.listen(PVCS, lambda old, new: _index(self.claims_of, _target, old, new))
        self.listen(PVCS, lambda old, new: _map(self.claim_of_pod, _pod_uid, old, new))
        self.listen(PODS, lambda old, new: _index(self.pods_of_owner, _owner_uid, old, new))

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if old is None or new is None or old.metadata.labels != new.metadata.labels:
            self.nodes_by_label.forget()

    def _probe_changed(self, old: PieProbe | None, new: PieProbe | None) -> None:
        if old is not None:
            self._probes_in[old.id.namespace] -= 1
        if new is not None:
            self._probes_in[new.id.namespace] += 1
        self._probes_in = +self._probes_in

    def has_probes(self, namespace: str) -> bool:
        """Tell whether there may be runs in a namespace: it is the one that pie serves, or has PieProbes."""
        return bool(self.namespace) or namespace in self._probes_in

    def is_of_others(self, namespace: str) -> bool:
        """Tell whether a namespace is one of several with PieProbes: it matters to its own only."""
        return not self.namespace and namespace in self._probes_in

    def watch_own(self, resource: Resource, kind: type[T]) -> Reflector[T]:
        """Watch the objects of a kind that carry pie's label, in the namespace or in all."""
        return self._watch(resource, kind, self.namespace, LABEL_PROBE)

    def _watch(
        self,
        resource: Resource,
        kind: type[T],
        namespace: str = "",
        label_selector: str | None = None,
    ) -> Reflector[T]:
        reflector = Reflector(
            self._client, resource, kind, namespace=namespace, label_selector=label_selector
        )
        self._listen[resource] = reflector.listen
        self._reflectors.append(reflector)
        return reflector

    def listen(self, resource: Resource, listener: Listener[Any]) -> None:
        """Call `listener(old, new)` after each change; None stands for an object that does not exist."""
        self._listen[resource](listener)

    def reflectors(self) -> tuple[Reflector[Any], ...]:
        """Return the watches, those of the runner included."""
        return tuple(self._reflectors)

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
        """Return which caches have not seen their whole list yet, and why; empty: all have."""
        return "; ".join(
            f"waiting for the first list of {each.resource.plural}: {each.last_error or 'no answer yet'}"
            for each in self._unsynced()
        )

    def unread(self) -> str:
        """Return the same without the words of the API server, which not everybody may read."""
        kinds = ", ".join(each.resource.plural for each in self._unsynced())
        return f"waiting for the first list of {kinds}" if kinds else ""

    def _unsynced(self) -> list[Reflector[Any]]:
        return [each for each in self._reflectors if not each.synced.is_set()]

    def zone(self, node: str) -> str:
        """Return the zone of a node; empty: the node does not exist, or has no zone."""
        found = self.nodes.store.get(("", node))
        return found.metadata.labels.get(_ZONE, "") if found is not None else ""

    def storage_class(self, name: str) -> StorageClass | None:
        """Return the StorageClass of this name."""
        return self.storage_classes.store.get(("", name))

    def probe(self, of: ProbeId) -> PieProbe | None:
        """Return a PieProbe."""
        return self.probes.store.get(of)


def uid_of(metadata: Metadata) -> Uid:
    """Return the namespace of an object, and its uid."""
    return metadata.namespace, metadata.uid


def _owner_uid(thing: Any) -> Uid | None:
    metadata: Metadata = thing.metadata
    owner = metadata.controller_owner
    return (metadata.namespace, owner.uid) if owner is not None else None


def _pod_uid(thing: Any) -> Uid | None:
    metadata: Metadata = thing.metadata
    owner = metadata.controller_owner
    return (metadata.namespace, owner.uid) if owner is not None and owner.kind == "Pod" else None


def _target(thing: Any) -> Target | None:
    """Return the target of an object that a PieProbe owns: other objects may have the labels, too."""
    metadata: Metadata = thing.metadata
    owner, target = metadata.controller_owner, target_of(metadata)
    owned = owner is not None and target is not None and (owner.kind, owner.name) == (KIND, target.probe)
    return target if owned else None


def _index(index: dict[K, dict[str, Any]], key: Callable[[Any], K | None], old: Any, new: Any) -> None:
    if old is not None and (target := key(old)) is not None:
        named = index.get(target, {})
        _remove(named, old.metadata.name, old)
        if not named:
            index.pop(target, None)
    if new is not None and (target := key(new)) is not None:
        index.setdefault(target, {})[new.metadata.name] = new


def _map(index: dict[K, Any], key: Callable[[Any], K | None], old: Any, new: Any) -> None:
    if old is not None and (uid := key(old)) is not None:
        _remove(index, uid, old)
    if new is not None and (uid := key(new)) is not None:
        index[uid] = new


def _remove(index: dict[K, Any], key: K, old: Any) -> None:
    """Remove the entry of an object; the entry of another object stays."""
    if (found := index.get(key)) is not None and found.metadata.uid == old.metadata.uid:
        del index[key]
