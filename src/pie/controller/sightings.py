"""Remembers what pods and PVCs showed, because objects show only their present state.

Each watch event is noted at once, by its pod: the cache shows only the newest state.
"""

from collections import deque
from dataclasses import replace
from typing import Final

from pie.controller.caches import Caches, Uid, uid_of
from pie.controller.imagepulls import ImagePulls
from pie.core.timeline import Sightings, sight
from pie.core.wire import Claim, Pod
from pie.kube.client import Client
from pie.kube.resources import PODS, PVCS

_MOST_DELETED: Final = 4096
"""The sightings of this many deleted pods are kept, because their runs may still be judged."""


class SightingsOfPods:
    """The table of sightings, by pod; those of the last deleted pods are kept for a while."""

    def __init__(self, client: Client, caches: Caches, pulls: ImagePulls) -> None:
        self._client = client
        self._pulls = pulls
        self._seen: dict[Uid, Sightings] = {}
        self._deleted: deque[Uid] = deque()
        caches.listen(PODS, self._pod_changed)
        caches.listen(PVCS, self._claim_changed)

    def of(self, pod: Pod, claim: Claim | None) -> Sightings:
        """Return what was seen of a pod and its PVC."""
        seen = sight(self._seen.get(uid_of(pod.metadata), Sightings()), pod, claim, self._client.now())
        return replace(seen, image_present=self._pulls.none_for(pod))

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None:
            self._note(uid_of(new.metadata), new, None)
        elif old is not None and uid_of(old.metadata) in self._seen:
            self._deleted.append(uid_of(old.metadata))
            while len(self._deleted) > _MOST_DELETED:
                self._seen.pop(self._deleted.popleft(), None)

    def _claim_changed(self, _old: Claim | None, new: Claim | None) -> None:
        owner = new.metadata.controller_owner if new is not None else None
        if new is None or owner is None or owner.kind != "Pod" or new.metadata.being_deleted:
            return
        self._note((new.metadata.namespace, owner.uid), None, new)

    def _note(self, uid: Uid, pod: Pod | None, claim: Claim | None) -> None:
        self._seen[uid] = sight(self._seen.get(uid, Sightings()), pod, claim, self._client.now())
