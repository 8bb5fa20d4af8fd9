"""The verbs: create, change and delete, with the rules that Kubernetes has for every object.

uids and timestamps, generations, preconditions, finalizers, grace periods of pods, and what a deletion does
to dependents. HTTP comes in through `apiserver`; the actors call this directly.
"""

import random
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from msgspec import to_builtins

from pie.core.wire import rfc3339
from pie.embedded import admission
from pie.embedded.errors import Refused, about, bad_request, conflict, invalid, not_found
from pie.embedded.kinds import (
    EVENTS,
    KIND_OF,
    NAMESPACES,
    NODES,
    PODS,
    Json,
    Kind,
    condition,
    find,
    is_leaving,
    is_over,
    key_of,
    reference,
)
from pie.embedded.store import Store

Edit = Callable[[Json], Any]

_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
_EVENT_SECONDS: Final = 2
_MOST_EVENTS: Final = 2000
"""A real API server keeps Events for an hour; where minutes are short, that could be too many."""
_STAMPS: Final = ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_SERVERS: Final = (*_STAMPS, "uid", "generation", "resourceVersion")
_FIXED: Final = (*_SERVERS, "name", "namespace")
_MODIFIED: Final = "the object has been modified; please apply your changes to the latest version"
_CONTAINERS: Final[Json] = {"f:status": {"f:containerStatuses": {}}}


def seconds_of(stamp: str) -> float:
    """Return the epoch seconds of a Kubernetes time."""
    return datetime.fromisoformat(stamp).timestamp()


class Registry:
    """All objects, and how they may be changed."""

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self.store = store
        self.now = now
        self.find = store.get
        self._events: dict[tuple[str, str, str], Json] = {}

    def stamp(self) -> str:
        """Return the present time as Kubernetes writes it."""
        return rfc3339(self.now())

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """Return an object; raises Refused (404)."""
        found = self.store.get(kind, namespace, name)
        if found is None:
            raise not_found(kind, name)
        return found

    def current(self, item: Json) -> Json | None:
        """Return an object as it is now; None if it was deleted, also if another object has its name."""
        found = self.store.get(KIND_OF[item["kind"]], *key_of(item))
        return found if find(found, "metadata.uid") == item["metadata"]["uid"] else None

    def create(self, kind: Kind, body: Json, namespace: str = "", *, dry_run: bool = False) -> Json:
        """Create an object; raises Refused."""
        shut = kind.status and kind is not NODES  # a kubelet registers its node with its status
        item = admission.read(kind, {**body, "status": None} if shut else body)
        metadata = {key: value for key, value in item["metadata"].items() if value and key not in _SERVERS}
        if not metadata.get("name") and metadata.get("generateName"):
            suffix = "".join(random.choices(_SUFFIX, k=5))  # noqa: S311  suffixes of names guard nothing
            metadata["name"] = metadata["generateName"] + suffix
        if kind.namespaced:
            metadata["namespace"] = namespace
            self.get(NAMESPACES, "", namespace)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": self.stamp()}
        if added := admission.FINALIZERS.get(kind.kind):
            metadata["finalizers"] = sorted({*metadata.get("finalizers", []), *added})
        item["metadata"] = metadata | ({"generation": 1} if kind.versioned else {})
        if not metadata.get("name"):
            raise invalid(kind, "", ["metadata.name: Required value: name or generateName is required"])
        if self.store.get(kind, *key_of(item)) is not None:
            message = f'{kind.qualified} "{metadata["name"]}" already exists'
            raise Refused(409, "AlreadyExists", message, about(kind, metadata["name"]))
        return item if dry_run else self.store.write(kind, item)

    def change(
        self, kind: Kind, namespace: str, name: str, edit: Edit, *, door: str = "", dry_run: bool = False
    ) -> Json:
        """Change an object: `edit` changes a copy in place, or returns another. Nothing new is no change.

        Through the door `status` only the status changes, and otherwise all but the status. A resourceVersion
        that differs from the stored one is a precondition that failed. Raises Refused.
        """
        old = self.get(kind, namespace, name)
        copy = to_builtins(old)
        wanted = edit(copy) or copy
        if wanted == old:
            return old
        if kind.status:
            most, status = (old, wanted.get("status")) if door else (wanted, old.get("status"))
            wanted = {**most, "metadata": wanted.get("metadata"), "status": status}
        item = admission.read(kind, wanted, old)
        metadata, stored = item["metadata"], old["metadata"]
        if metadata.get("uid", stored["uid"]) != stored["uid"]:
            words = f'metadata.uid: Invalid value: "{metadata["uid"]}": field is immutable'
            raise invalid(kind, name, [words])
        if (metadata.get("resourceVersion") or stored["resourceVersion"]) != stored["resourceVersion"]:
            raise conflict(kind, name, _MODIFIED)
        if door:
            metadata = stored | {key: metadata[key] for key in metadata.keys() & {"managedFields"}}
        kept = {key: value for key, value in metadata.items() if key not in _FIXED and value}
        item["metadata"] = kept | {key: stored[key] for key in _FIXED if key in stored}
        if kind.versioned and item.get("spec") != old.get("spec"):
            item["metadata"]["generation"] += 1
        return item if item == old or dry_run else self.store.write(kind, item, remove=_may_go(item))

    def edit(self, item: Json, edit: Edit) -> Json:
        """Change all but the status of an object."""
        return self.change(KIND_OF[item["kind"]], *key_of(item), edit)

    def set_status(self, item: Json, **fields: Any) -> Json:
        """Set fields of an object's status; None removes one."""

        def edit(copy: Json) -> None:
            status = {**copy.get("status", {}), **fields}
            if fields.get("containerStatuses") and status != copy.get("status"):
                who = {"manager": "kubelet", "operation": "Update", "subresource": "status", "paths": []}
                copy["metadata"]["managedFields"] = [{**who, "time": self.stamp(), "fieldsV1": _CONTAINERS}]
            copy["status"] = {key: value for key, value in status.items() if value is not None}

        return self.change(KIND_OF[item["kind"]], *key_of(item), edit, door="status")

    def set_condition(self, item: Json, kind: str, status: str, reason: str = "", message: str = "") -> Json:
        """Set a condition in an object's status, stamped with the time when its status changed."""
        found = self.get(KIND_OF[item["kind"]], *key_of(item))
        old = condition(found, kind)
        since = (old.get("status") == status and old.get("lastTransitionTime")) or self.stamp()
        new = {"type": kind, "status": status, "reason": reason, "message": message}
        others = [each for each in find(found, "status.conditions") or [] if each is not old]
        return self.set_status(found, conditions=[*others, {**new, "lastTransitionTime": since}])

    def delete(
        self, kind: Kind, namespace: str, name: str, options: Json | None = None, *, dry_run: bool = False
    ) -> Json:
        """Delete an object by DeleteOptions; return its last state, or that in which it lives on for now."""
        options = options or {}
        if options.get("propagationPolicy", "Background") != "Background" or options.get("orphanDependents"):
            raise bad_request("this server deletes dependents in the background only")
        old = self.get(kind, namespace, name)
        for key, wanted in (options.get("preconditions") or {}).items():
            if wanted and wanted != old["metadata"].get(key):
                found = f"{key} in precondition: {wanted}, in object meta: {old['metadata'].get(key)}"
                raise conflict(kind, name, f"Precondition failed: {found}")
        item = to_builtins(old)
        metadata = item["metadata"]
        grace = 0
        if kind is PODS and find(item, "spec.nodeName") and not is_over(item):  # a kubelet has to stop it
            asked = options.get("gracePeriodSeconds")
            grace = int(item["spec"]["terminationGracePeriodSeconds"] if asked is None else asked)
        if grace < metadata.get("deletionGracePeriodSeconds", grace + 1):
            metadata["deletionTimestamp"] = rfc3339(self.now() + grace)
            metadata["deletionGracePeriodSeconds"] = grace
        return old if item == old or dry_run else self.store.write(kind, item, remove=_may_go(item))

    def remove(self, item: Json, **options: Any) -> None:
        """Delete an object by DeleteOptions, if it is still there."""
        if self.current(item) is not None:
            self.delete(KIND_OF[item["kind"]], *key_of(item), options)

    def drop_finalizer(self, item: Json, finalizer: str) -> None:
        """Remove a finalizer from an object that may have been deleted meanwhile."""
        found = self.current(item)
        if found is not None and finalizer in found["metadata"].get("finalizers", []):
            self.edit(found, lambda copy: copy["metadata"]["finalizers"].remove(finalizer))

    def event(self, item: Json, reason: str, message: str, source: str, kind: str = "Warning") -> bool:
        """Record an Event about an object; one that repeats is counted, at most every two seconds.

        Returns whether anything was recorded, so that what is tried again and again keeps to the same pace.
        """
        metadata, now = item["metadata"], self.stamp()
        same = (metadata["uid"], reason, message)
        last = self._events.get(same, {})  # what was recorded: a client may have changed what is there
        known = self.current(last) if last else None
        if known is not None:
            if self.now() - seconds_of(last["lastTimestamp"]) < _EVENT_SECONDS:
                return False
            more = {"count": last["count"] + 1, "lastTimestamp": now}
            self._events[same] = {**self.edit(known, lambda copy: {**copy, **more}), **more}
            return True
        namespace = metadata.get("namespace", "default")
        named = {"metadata": {"name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}"}}
        what = {"involvedObject": reference(item, namespace=namespace), "source": {"component": source}}
        why = {"reason": reason, "message": message, "type": kind}
        when = {"count": 1, "firstTimestamp": now, "lastTimestamp": now}
        self._events[same] = self.create(EVENTS, {**named, **what, **why, **when}, namespace)
        if len(self._events) > _MOST_EVENTS:
            self.remove(self._events.pop(next(iter(self._events))))
        return True


def _may_go(item: Json) -> bool:
    """Tell whether an object that is being deleted can be removed."""
    metadata = item["metadata"]
    return is_leaving(item) and not (metadata.get("finalizers") or metadata["deletionGracePeriodSeconds"])
