"""The garbage collector: dependents follow their owners, and namespaces take their contents along.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from collections import defaultdict

from pie.embedded.admission import NAMESPACE_CONTENTS
from pie.embedded.kinds import EVENTS, KIND_OF, KINDS, NAMESPACES, Json, is_leaving, key_of, owners
from pie.embedded.registry import PROPAGATION, Registry


def collect_garbage(registry: Registry) -> None:
    """Delete what has lost all its owners; do what the deletion of an owner or namespace asked for."""
    # Of Events there are many; they own nothing, and are not owned.
    everything = [item for kind in KINDS if kind is not EVENTS for item in registry.store.all(kind)]
    living = {item["metadata"]["uid"] for item in everything}
    below: dict[str, list[Json]] = defaultdict(list)
    for item in everything:
        for owner in owners(item):
            below[owner["uid"]].append(item)
        if owners(item) and living.isdisjoint(owner["uid"] for owner in owners(item)):
            _delete(registry, item, "Background")
    for item in filter(is_leaving, everything):
        _release(registry, item, below[item["metadata"]["uid"]])
    for namespace in filter(is_leaving, registry.store.all(NAMESPACES)):
        registry.set_status(namespace, phase="Terminating")
        name = namespace["metadata"]["name"]
        inside = [item for kind in KINDS if kind.namespaced for item in registry.store.all(kind, name)]
        for item in inside:
            _delete(registry, item, "Background")
        if not inside:
            registry.drop_finalizer(namespace, NAMESPACE_CONTENTS)


def _delete(registry: Registry, item: Json, propagation: str) -> None:
    found = registry.current(item)
    if found is not None and not is_leaving(found):
        registry.delete(KIND_OF[item["kind"]], *key_of(item), {"propagationPolicy": propagation})


def _release(registry: Registry, owner: Json, below: list[Json]) -> None:
    """Orphan what an owner that is being deleted has below it, or delete that first, as was asked for."""
    uid, finalizers = owner["metadata"]["uid"], owner["metadata"].get("finalizers") or []
    blocking = False

    def disown(copy: Json) -> None:
        copy["metadata"]["ownerReferences"] = [each for each in owners(copy) if each["uid"] != uid]

    for item in below:
        if PROPAGATION["Orphan"] in finalizers:
            registry.edit(item, disown)
        elif PROPAGATION["Foreground"] in finalizers:
            _delete(registry, item, "Foreground")
            blocking |= any(each["uid"] == uid and each.get("blockOwnerDeletion") for each in owners(item))
    for finalizer in PROPAGATION.values() if not blocking else ():
        registry.drop_finalizer(owner, finalizer)
