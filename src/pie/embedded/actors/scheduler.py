"""The scheduler: binds each pod to a node it may run on, after its volumes have theirs.

Filters, no scores: node affinity, node selector, taints, cordons, and the topology of bound volumes. The
least loaded node wins. Resources and preemption are left out.
"""

from collections import Counter
from typing import Any, Final

from pie.core.model import Term
from pie.core.parse import SpecError, node_selector
from pie.core.selector import matches
from pie.embedded.actors.claims import claims_of
from pie.embedded.kinds import NODES, PODS, PVCS, PVS, STORAGE_CLASSES, find
from pie.embedded.registry import TERMINAL, Registry

Json = dict[str, Any]

SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
_SOURCE: Final = "default-scheduler"


def tolerates(tolerations: list[Json], taint: Json) -> bool:
    """Tell whether one of the tolerations covers a taint."""
    return any(
        each.get("effect", "") in {"", taint["effect"]}
        and (each.get("key", "") == taint["key"] or not each.get("key"))
        and (each.get("operator") == "Exists" or each.get("value", "") == taint.get("value", ""))
        for each in tolerations
    )


class Scheduler:
    """One pass over the pods that have no node."""

    kinds = frozenset({PODS, NODES, PVCS, PVS, STORAGE_CLASSES})

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def reconcile(self) -> None:
        """Look at every pod that waits."""
        pods = self._registry.store.all(PODS)
        load = Counter(
            find(pod, "spec", "nodeName") for pod in pods if pod["status"].get("phase") not in TERMINAL
        )
        for pod in pods:
            waits = not find(pod, "spec", "nodeName") and "deletionTimestamp" not in pod["metadata"]
            if waits and pod["status"].get("phase") not in TERMINAL:
                self._schedule(pod, load)

    def _schedule(self, pod: Json, load: Counter[Any]) -> None:
        claims, problem = self._claims(pod)
        if problem:
            self._unschedulable(pod, problem)
            return
        nodes, reasons = self._filter(pod, claims)
        waiting = [claim for claim in claims if not find(claim, "spec", "volumeName")]
        chosen = {node for claim in waiting if (node := _selected(claim))}
        fitting = [node for node in nodes if not chosen or node in chosen]
        if not fitting and not (chosen and nodes):
            self._unschedulable(pod, _words(reasons))
            return
        if not fitting:
            return
        node = min(fitting, key=lambda name: (load[name], name))
        for claim in waiting:
            if _selected(claim) is None:
                self._select(claim, node)
        if not waiting:
            load[node] += 1
            self._bind(pod, node)

    def _claims(self, pod: Json) -> tuple[list[Json], str]:
        """Return the pod's claims, or in words why they are not ready to be looked at."""
        found: list[Json] = []
        namespace = pod["metadata"]["namespace"]
        ephemeral = {
            f"{pod['metadata']['name']}-{each['name']}" for each in find(pod, "spec", "volumes") or []
        }
        for name in claims_of(pod):
            claim = self._registry.find(PVCS, namespace, name)
            if claim is None and name in ephemeral:
                return (
                    [],
                    f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"',
                )
            if claim is None:
                return [], f'persistentvolumeclaim "{name}" not found'
            if "deletionTimestamp" in claim["metadata"]:
                return [], f'persistentvolumeclaim "{name}" is being deleted'
            if not find(claim, "spec", "volumeName") and not self._late(claim):
                return [], "pod has unbound immediate PersistentVolumeClaims"
            found.append(claim)
        return found, ""

    def _late(self, claim: Json) -> bool:
        known = self._registry.find(STORAGE_CLASSES, "", find(claim, "spec", "storageClassName") or "")
        return known is not None and known["volumeBindingMode"] == "WaitForFirstConsumer"

    def _filter(self, pod: Json, claims: list[Json]) -> tuple[list[str], Counter[str]]:
        """Return the names of the nodes that fit, and how many do not for which reason."""
        spec = pod["spec"]
        affinity = find(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        volumes = [
            volume
            for claim in claims
            if (name := find(claim, "spec", "volumeName"))
            and (volume := self._registry.find(PVS, "", name)) is not None
        ]
        fitting: list[str] = []
        reasons: Counter[str] = Counter()
        for node in self._registry.store.all(NODES):
            why = _why_not(node, spec, affinity, volumes)
            if why:
                reasons[why] += 1
            else:
                fitting.append(node["metadata"]["name"])
        return fitting, reasons

    def _select(self, claim: Json, node: str) -> None:
        def edit(copy: Json) -> None:
            copy["metadata"].setdefault("annotations", {})[SELECTED_NODE] = node

        self._registry.edit(PVCS, claim, edit)

    def _bind(self, pod: Json, node: str) -> None:
        self._registry.edit(PODS, pod, lambda copy: copy["spec"].update(nodeName=node))
        self._set_condition(pod, {"type": "PodScheduled", "status": "True"})
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self._registry.event(
            PODS, pod, "Scheduled", f"Successfully assigned {name} to {node}", source=_SOURCE
        )

    def _unschedulable(self, pod: Json, message: str) -> None:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        known = find(pod, "status", "conditions") or []
        if any(condition.items() <= each.items() for each in known):
            return
        self._set_condition(pod, condition)
        self._registry.event(PODS, pod, "FailedScheduling", message, source=_SOURCE, warning=True)

    def _set_condition(self, pod: Json, condition: Json) -> None:
        pod = self._registry.get(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        others = [
            each for each in find(pod, "status", "conditions") or [] if each["type"] != condition["type"]
        ]
        stamped = {**condition, "lastProbeTime": None, "lastTransitionTime": self._registry.stamp()}
        self._registry.set_status(PODS, pod, conditions=[*others, stamped])


def _selected(claim: Json) -> str | None:
    return (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE)


def _why_not(node: Json, spec: Json, affinity: Json | None, volumes: list[Json]) -> str:
    name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
    tolerations = spec.get("tolerations") or []
    if not (spec.get("nodeSelector") or {}).items() <= labels.items() or not _selects(affinity, name, labels):
        return "node(s) didn't match Pod's node affinity/selector"
    taints = list(find(node, "spec", "taints") or [])
    cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if find(node, "spec", "unschedulable") and not tolerates(tolerations, cordon):
        return "node(s) were unschedulable"
    for taint in taints:
        if taint["effect"] in {"NoSchedule", "NoExecute"} and not tolerates(tolerations, taint):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    for volume in volumes:
        if not _selects(find(volume, "spec", "nodeAffinity", "required"), name, labels):
            return "node(s) had volume node affinity conflict"
    return ""


def _selects(selector: Json | None, name: str, labels: dict[str, str]) -> bool:
    if selector is None:
        return True
    try:
        terms: tuple[Term, ...] = node_selector(selector, "nodeSelector")
    except SpecError:
        return False
    return matches(terms, name, labels)


def _words(reasons: Counter[str]) -> str:
    total = sum(reasons.values())
    if not total:
        return "no nodes available to schedule pods"
    listed = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items()))
    return (
        f"0/{total} nodes are available: {listed}. "
        f"preemption: 0/{total} nodes are available: {total} Preemption is not helpful for scheduling."
    )
