"""The scheduler: binds each pod to a node that it may run on, after its volumes are bound.

Filters, no scores: node affinity, node selector, taints, cordons, and the topology of bound volumes. The
least loaded node wins. Resources and preemption are left out.
"""

from collections import Counter
from typing import Any, Final

from pie.core.model import HARD_EFFECTS
from pie.core.parse import SpecError, node_selector
from pie.core.selector import matches
from pie.core.tolerations import tolerated
from pie.core.wire import Taint
from pie.embedded.actors.volumes import claims_of, select_node, selected_node
from pie.embedded.kinds import NODES, PODS, PVCS, PVS, Json, find, is_leaving, is_over
from pie.embedded.registry import Registry

_AFFINITY: Final = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
_CORDON: Final = Taint("node.kubernetes.io/unschedulable", "NoSchedule")


def schedule(registry: Registry) -> None:
    """Look at every pod that waits for a node."""
    pods = [pod for pod in registry.store.all(PODS) if not is_over(pod)]
    load = Counter(find(pod, "spec.nodeName") for pod in pods)
    for pod in pods:
        waits = not find(pod, "spec.nodeName") and not is_leaving(pod)
        if waits and (problem := _place(registry, pod, load)):
            registry.set_condition(pod, "PodScheduled", "False", "Unschedulable", problem)
            registry.event(pod, "FailedScheduling", problem, "default-scheduler")


def _place(registry: Registry, pod: Json, load: Counter[Any]) -> str:
    """Bind a pod to a node, or first have its PVCs provisioned there; return what prevents it."""
    claims, volumes = [], []
    for name in claims_of(pod).values():
        claim = registry.find(PVCS, pod["metadata"]["namespace"], name)
        if claim is None or is_leaving(claim):
            return f'persistentvolumeclaim "{name}" {"not found" if claim is None else "is being deleted"}'
        claims.append(claim)
        if bound := find(claim, "spec.volumeName"):
            volume = registry.find(PVS, "", bound)
            if volume is None:
                return f'persistentvolume "{bound}" not found'
            volumes.append(volume)
    nodes = registry.store.all(NODES)
    reasons = {node["metadata"]["name"]: _why_not(node, pod["spec"], volumes) for node in nodes}
    fitting = [node for node, why in reasons.items() if not why]
    if not fitting:
        listed = ", ".join(f"{count} {why}" for why, count in sorted(Counter(reasons.values()).items()))
        return f"0/{len(nodes)} nodes are available: {listed or 'there are none'}."
    waiting = [claim for claim in claims if not find(claim, "spec.volumeName")]
    selected = {selected_node(claim) for claim in waiting}
    nearest = [node for node in fitting if node in selected] or fitting
    chosen = min(nearest, key=lambda name: (load[name], name))
    for claim in waiting:
        select_node(registry, claim, selected_node(claim) or chosen)
    if not waiting:
        load[chosen] += 1
        registry.edit(pod, lambda copy: copy["spec"].update(nodeName=chosen))
        registry.set_condition(pod, "PodScheduled", "True")
    return ""


def _why_not(node: Json, spec: Json, volumes: list[Json]) -> str:
    labels, tolerations = node["metadata"].get("labels") or {}, tuple(spec.get("tolerations") or ())
    asked = (spec.get("nodeSelector") or {}).items()
    if not asked <= labels.items() or not _selects(find(spec, _AFFINITY), node):
        return "node(s) didn't match Pod's node affinity/selector"
    if find(node, "spec.unschedulable") and not tolerated(_CORDON, tolerations):
        return "node(s) were unschedulable"
    for each in find(node, "spec.taints") or []:
        taint = Taint(each["key"], each["effect"], each.get("value", ""))
        if taint.effect in HARD_EFFECTS and not tolerated(taint, tolerations):
            return f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"
    if not all(_selects(find(volume, "spec.nodeAffinity.required"), node) for volume in volumes):
        return "node(s) had volume node affinity conflict"
    return ""


def _selects(selector: Json | None, node: Json) -> bool:
    name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
    try:
        return selector is None or matches(node_selector(selector, "nodeSelector"), name, labels)
    except SpecError:
        return False
