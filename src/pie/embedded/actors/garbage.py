"""The garbage collector: deletes dependents of deleted owners, and the contents of deleted namespaces.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from pie.embedded.admission import NAMESPACE_CONTENTS
from pie.embedded.kinds import EVENTS, KINDS, NAMESPACES, is_leaving, owners
from pie.embedded.registry import Registry


def collect_garbage(registry: Registry) -> None:
    """Delete objects whose owners are all deleted, and objects in a namespace that is being deleted."""
    # Of Events there are many; they own nothing, and are not owned.
    everything = [item for kind in KINDS if kind is not EVENTS for item in registry.store.all(kind)]
    living = {item["metadata"]["uid"] for item in everything}
    for item in everything:
        if owners(item) and living.isdisjoint(owner["uid"] for owner in owners(item)):
            registry.remove(item)
    for namespace in filter(is_leaving, registry.store.all(NAMESPACES)):
        registry.set_status(namespace, phase="Terminating")
        name = namespace["metadata"]["name"]
        inside = [item for kind in KINDS if kind.namespaced for item in registry.store.all(kind, name)]
        for item in inside:
            registry.remove(item)
        if not inside:
            registry.drop_finalizer(namespace, NAMESPACE_CONTENTS)
