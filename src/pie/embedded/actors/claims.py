"""Claims of ephemeral volumes, and the protection of claims in use.

https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#generic-ephemeral-volumes
"""

from typing import Any, Final

from pie.embedded.actors.cronjobs import owner_reference
from pie.embedded.admission import CLAIM_PROTECTION
from pie.embedded.kinds import PODS, PVCS, find
from pie.embedded.registry import TERMINAL, Registry

Json = dict[str, Any]
_SOURCE: Final = "ephemeral_volume"


def claims_of(pod: Json) -> list[str]:
    """Return the names of the claims that a pod uses."""
    found: list[str] = []
    for volume in find(pod, "spec", "volumes") or []:
        if "persistentVolumeClaim" in volume:
            found.append(volume["persistentVolumeClaim"]["claimName"])
        elif "ephemeral" in volume:
            found.append(f"{pod['metadata']['name']}-{volume['name']}")
    return found


class EphemeralClaims:
    """Makes the claim of each generic ephemeral volume."""

    kinds = frozenset({PODS, PVCS})

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def reconcile(self) -> None:
        """Look at every pod."""
        for pod in self._registry.store.all(PODS):
            if "deletionTimestamp" in pod["metadata"] or pod["status"].get("phase") in TERMINAL:
                continue
            for volume in find(pod, "spec", "volumes") or []:
                template = find(volume, "ephemeral", "volumeClaimTemplate")
                if template is not None:
                    self._ensure(pod, f"{pod['metadata']['name']}-{volume['name']}", template)

    def _ensure(self, pod: Json, name: str, template: Json) -> None:
        namespace = pod["metadata"]["namespace"]
        if self._registry.find(PVCS, namespace, name) is not None:
            return
        marks = template.get("metadata") or {}
        metadata = {
            "name": name,
            "labels": marks.get("labels") or {},
            "annotations": marks.get("annotations") or {},
            "ownerReferences": [owner_reference(pod)],
        }
        self._registry.create(PVCS, {"metadata": metadata, "spec": template["spec"]}, namespace)


class ClaimProtection:
    """Lets a claim go that is being deleted, once no unfinished pod uses it."""

    kinds = frozenset({PODS, PVCS})

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def reconcile(self) -> None:
        """Look at every claim that is being deleted."""
        leaving = [item for item in self._registry.store.all(PVCS) if "deletionTimestamp" in item["metadata"]]
        if not leaving:
            return
        used = {
            (pod["metadata"]["namespace"], name)
            for pod in self._registry.store.all(PODS)
            if pod["status"].get("phase") not in TERMINAL
            for name in claims_of(pod)
        }
        for claim in leaving:
            if (claim["metadata"]["namespace"], claim["metadata"]["name"]) not in used:
                self._registry.drop_finalizer(PVCS, claim, CLAIM_PROTECTION)
