"""The garbage collector: dependents follow their owners, and namespaces take their contents along.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from collections import defaultdict
from typing import Any

from pie.embedded.admission import NAMESPACE_CONTENTS
from pie.embedded.kinds import EVENTS, KINDS, NAMESPACES, Kind
from pie.embedded.registry import FOREGROUND, ORPHAN, Registry

Json = dict[str, Any]


class GarbageCollector:
    """Deletes what has owners, none of which is left; does what the deletion of an owner asked for."""

    kinds = frozenset(KINDS) - {EVENTS}  # which are many, own nothing, and are not owned

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def reconcile(self) -> None:
        """Look at every object once."""
        everything = [(kind, item) for kind in self.kinds for item in self._registry.store.all(kind)]
        living = {item["metadata"]["uid"] for _, item in everything}
        dependents: dict[str, list[tuple[Kind, Json]]] = defaultdict(list)
        for kind, item in everything:
            owners = item["metadata"].get("ownerReferences") or []
            for owner in owners:
                dependents[owner["uid"]].append((kind, item))
            if owners and not any(owner["uid"] in living for owner in owners):
                self._collect(kind, item)
        for kind, item in everything:
            finalizers = item["metadata"].get("finalizers") or []
            if "deletionTimestamp" not in item["metadata"]:
                continue
            if ORPHAN in finalizers:
                self._orphan(kind, item, dependents[item["metadata"]["uid"]])
            elif FOREGROUND in finalizers:
                self._foreground(kind, item, dependents[item["metadata"]["uid"]])
        self._empty_namespaces(everything)

    def _collect(self, kind: Kind, item: Json) -> None:
        metadata = item["metadata"]
        if "deletionTimestamp" not in metadata:
            options = {"propagationPolicy": "Background", "preconditions": {"uid": metadata["uid"]}}
            self._registry.delete(kind, metadata.get("namespace", ""), metadata["name"], options=options)

    def _orphan(self, kind: Kind, item: Json, dependents: list[tuple[Kind, Json]]) -> None:
        uid = item["metadata"]["uid"]

        def disown(copy: Json) -> None:
            owners = copy["metadata"].get("ownerReferences") or []
            copy["metadata"]["ownerReferences"] = [owner for owner in owners if owner["uid"] != uid]

        for below, dependent in dependents:
            self._registry.edit(below, dependent, disown)
        self._registry.drop_finalizer(kind, item, ORPHAN)

    def _foreground(self, kind: Kind, item: Json, dependents: list[tuple[Kind, Json]]) -> None:
        uid = item["metadata"]["uid"]
        blocking = False
        for below, dependent in dependents:
            metadata = dependent["metadata"]
            owners = metadata.get("ownerReferences") or []
            blocking |= any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners)
            if "deletionTimestamp" not in metadata:
                options = {"propagationPolicy": "Foreground"}
                self._registry.delete(below, metadata.get("namespace", ""), metadata["name"], options=options)
        if not blocking:
            self._registry.drop_finalizer(kind, item, FOREGROUND)

    def _empty_namespaces(self, everything: list[tuple[Kind, Json]]) -> None:
        for namespace in self._registry.store.all(NAMESPACES):
            if "deletionTimestamp" not in namespace["metadata"]:
                continue
            name = namespace["metadata"]["name"]
            self._registry.set_status(NAMESPACES, namespace, phase="Terminating")
            for event in self._registry.store.all(EVENTS, name):
                self._registry.remove(EVENTS, event)
            inside = [(kind, item) for kind, item in everything if item["metadata"].get("namespace") == name]
            for kind, item in inside:
                if self._registry.find(kind, name, item["metadata"]["name"]) is not None:
                    self._collect(kind, item)
            if not inside:
                self._registry.drop_finalizer(NAMESPACES, namespace, NAMESPACE_CONTENTS)
