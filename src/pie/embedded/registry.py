"""The verbs: create, change and delete, with the rules that Kubernetes has for every object.

uids and timestamps, generations, preconditions, finalizers, grace periods of pods, and what a deletion does
to dependents. HTTP comes in through `apiserver`; the actors call this directly.
"""

import random
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pie.embedded import admission
from pie.embedded.errors import already_exists, conflict, invalid, modified, not_found
from pie.embedded.kinds import EVENTS, JOBS, NAMESPACES, NODES, PODS, Kind, find
from pie.embedded.patch import copied
from pie.embedded.store import Store

Json = dict[str, Any]
Edit = Callable[[Json], Any]

TERMINAL: Final = frozenset({"Succeeded", "Failed"})
ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"
_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
_MOST_EVENTS: Final = 2000
"""A real API server keeps Events for an hour; where minutes are short, that could be too many."""


def timestamp(seconds: float) -> str:
    """Return epoch seconds as Kubernetes writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(stamp: str | None) -> float:
    """Return the epoch seconds of a Kubernetes time; 0 where there is none."""
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0


class Registry:
    """All objects, and how they may be changed."""

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self.store = store
        self.now = now
        self._events: dict[tuple[str, str, str], tuple[str, str]] = {}
        self._random = random.Random()  # noqa: S311  suffixes of names guard nothing

    def stamp(self) -> str:
        """Return the present time as Kubernetes writes it."""
        return timestamp(self.now())

    def suffix(self) -> str:
        """Return five characters that make a generated name unique."""
        return "".join(self._random.choices(_SUFFIX, k=5))

    def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """Return an object; None where there is none."""
        return self.store.get(kind, namespace, name)

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """Return an object; raises Refused (404)."""
        found = self.store.get(kind, namespace, name)
        if found is None:
            raise not_found(kind, name)
        return found

    def create(self, kind: Kind, body: Json, namespace: str = "", *, dry_run: bool = False) -> Json:
        """Create an object; raises Refused."""
        item = copied(body)
        metadata = item.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + self.suffix()
        if kind.namespaced:
            metadata["namespace"] = namespace
            home = self.store.get(NAMESPACES, "", namespace)
            if home is None and namespace:
                raise not_found(NAMESPACES, namespace)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": self.stamp()}
        for key in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            metadata.pop(key, None)
        if kind.versioned:
            metadata["generation"] = 1
        if kind.status and kind is not NODES:  # a kubelet registers its node with its status
            item.pop("status", None)
        item = {"apiVersion": kind.api_version, "kind": kind.kind, **item}
        admission.complete(kind, item)
        admission.validate(kind, item, None)
        name = metadata["name"]
        if self.store.get(kind, metadata.get("namespace", ""), name) is not None:
            raise already_exists(kind, name)
        return item if dry_run else self.store.write(kind, item)

    def change(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        edit: Edit,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Json:
        """Change an object: `edit` changes a copy in place, or returns another. Nothing new is no change.

        Through `status` only the status changes, and otherwise all but the status. A resourceVersion that
        differs from the stored one is a precondition that failed. Raises Refused.
        """
        old = self.get(kind, namespace, name)
        item: Json = copied(old)
        item = edit(item) or item
        metadata, stored = item["metadata"], old["metadata"]
        if (metadata.get("uid") or stored["uid"]) != stored["uid"]:
            raise invalid(
                kind, name, [f'metadata.uid: Invalid value: "{metadata["uid"]}": field is immutable']
            )
        if (metadata.get("resourceVersion") or stored["resourceVersion"]) != stored["resourceVersion"]:
            raise modified(kind, name)
        _keep(metadata, stored)
        if kind.status:
            item = _through_its_door(item, old, subresource)
        admission.complete(kind, item)
        admission.validate(kind, item, old)
        if kind.versioned and item.get("spec") != old.get("spec"):
            item["metadata"]["generation"] = stored.get("generation", 1) + 1
        if item == old:
            return old
        if dry_run:
            return item
        if _may_go(item):
            return self.store.remove(kind, item)
        return self.store.write(kind, item)

    def set_status(self, kind: Kind, item: Json, **fields: Any) -> Json:
        """Set fields of an object's status; None removes one."""

        def edit(copy: Json) -> None:
            status = copy.setdefault("status", {})
            for key, value in fields.items():
                if value is None:
                    status.pop(key, None)
                else:
                    status[key] = value

        metadata = item["metadata"]
        return self.change(kind, metadata.get("namespace", ""), metadata["name"], edit, subresource="status")

    def edit(self, kind: Kind, item: Json, edit: Edit) -> Json:
        """Change all but the status of an object."""
        return self.change(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"], edit)

    def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        options: Mapping[str, Any] | None = None,
        dry_run: bool = False,
    ) -> Json:
        """Delete an object by DeleteOptions; return its last state, or that in which it lives on for now."""
        options = options or {}
        old = self.get(kind, namespace, name)
        _check_preconditions(kind, old, options.get("preconditions") or {})
        if dry_run:
            return old
        item = copied(old)
        metadata = item["metadata"]
        finalizers = [each for each in metadata.get("finalizers", []) if each not in {ORPHAN, FOREGROUND}]
        propagation = options.get("propagationPolicy") or ("Orphan" if kind is JOBS else "Background")
        if propagation == "Orphan":
            finalizers.append(ORPHAN)
        elif propagation == "Foreground":
            finalizers.append(FOREGROUND)
        if finalizers:
            metadata["finalizers"] = finalizers
        else:
            metadata.pop("finalizers", None)
        grace = _grace_seconds(kind, item, options.get("gracePeriodSeconds"))
        shortened = grace < metadata.get("deletionGracePeriodSeconds", grace + 1)
        if "deletionTimestamp" not in metadata or shortened:
            metadata["deletionTimestamp"] = timestamp(self.now() + grace)
            metadata["deletionGracePeriodSeconds"] = grace
        if kind.versioned:
            metadata["generation"] = metadata.get("generation", 1) + (
                "deletionTimestamp" not in old["metadata"]
            )
        if _may_go(item):
            return self.store.remove(kind, item)
        return old if item == old else self.store.write(kind, item)

    def remove(self, kind: Kind, item: Json) -> None:
        """Delete an object, in the background and without grace, if it is still there."""
        metadata = item["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        found = self.store.get(kind, namespace, name)
        if found is not None and found["metadata"]["uid"] == metadata["uid"]:
            options = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}
            self.delete(kind, namespace, name, options=options)

    def drop_finalizer(self, kind: Kind, item: Json, finalizer: str) -> None:
        """Take a finalizer off an object that may be gone meanwhile."""
        metadata = item["metadata"]
        found = self.store.get(kind, metadata.get("namespace", ""), metadata["name"])
        if found is None or finalizer not in found["metadata"].get("finalizers", []):
            return

        def edit(copy: Json) -> None:
            kept = [each for each in copy["metadata"]["finalizers"] if each != finalizer]
            copy["metadata"]["finalizers"] = kept

        self.edit(kind, found, edit)

    def event(
        self,
        about: Kind,
        item: Json,
        reason: str,
        message: str,
        *,
        source: str,
        warning: bool = False,
        host: str = "",
    ) -> None:
        """Record an Event about an object; one that repeats is counted, as client-go's recorder does."""
        metadata = item["metadata"]
        namespace = metadata.get("namespace") or "default"
        involved = {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "name": metadata["name"],
            "uid": metadata["uid"],
            **({"namespace": metadata["namespace"]} if metadata.get("namespace") else {}),
        }
        now = self.stamp()
        same = (metadata["uid"], reason, message)
        known = self.find(EVENTS, *self._events[same]) if same in self._events else None
        if known is not None:
            newer = {"count": known["count"] + 1, "lastTimestamp": now}
            self.edit(EVENTS, known, lambda copy: {**copy, **newer})
            return
        body = {
            "metadata": {"name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}"},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "source": {"component": source, **({"host": host} if host else {})},
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "eventTime": None,
            "reportingComponent": source,
            "reportingInstance": host,
        }
        name = self.create(EVENTS, body, namespace)["metadata"]["name"]
        self._events[same] = (namespace, name)
        while len(self._events) > _MOST_EVENTS:
            oldest = self.find(EVENTS, *self._events.pop(next(iter(self._events))))
            if oldest is not None:
                self.remove(EVENTS, oldest)


def _keep(metadata: Json, stored: Json) -> None:
    """Put back what no client may change."""
    for key in (
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ):
        if key in stored:
            metadata[key] = stored[key]
        else:
            metadata.pop(key, None)
    for key in ("labels", "annotations", "finalizers", "ownerReferences"):
        if key in metadata and not metadata[key]:
            del metadata[key]


def _through_its_door(item: Json, old: Json, subresource: str) -> Json:
    """Take the status alone from a change of the status, and everything else from any other."""
    if subresource != "status":
        rest = {key: value for key, value in item.items() if key != "status"}
        return {**rest, **({"status": old["status"]} if "status" in old else {})}
    metadata = {key: value for key, value in old["metadata"].items() if key != "managedFields"}
    if managed := item["metadata"].get("managedFields"):
        metadata["managedFields"] = managed
    return {**old, "metadata": metadata, "status": item.get("status", {})}


def _may_go(item: Json) -> bool:
    """Tell whether nothing keeps an object that is being deleted."""
    metadata = item["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds")


def _grace_seconds(kind: Kind, item: Json, asked: int | None) -> int:
    """Return how long the deletion waits: only pods that a kubelet must stop get time."""
    if kind is not PODS:
        return 0
    if not find(item, "spec", "nodeName") or find(item, "status", "phase") in TERMINAL:
        return 0
    period = find(item, "spec", "terminationGracePeriodSeconds")
    default = 30 if period is None else period
    return int(default if asked is None else asked)


def _check_preconditions(kind: Kind, item: Json, preconditions: Mapping[str, str | None]) -> None:
    for key, word in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted, found = preconditions.get(key), item["metadata"][key]
        if wanted and wanted != found:
            raise conflict(
                kind,
                item["metadata"]["name"],
                f"Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {found}",
            )
