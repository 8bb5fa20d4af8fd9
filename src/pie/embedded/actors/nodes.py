"""Nodes: what kubelets report about their machines, and what the control plane does with it.

https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller
"""

from typing import Final

from pie.embedded.discovery import VERSION
from pie.embedded.kinds import CSI_NODES, NODES, PODS, Json, condition, find, reference
from pie.embedded.machines import DRIVER, TOPOLOGY_KEY, Machines
from pie.embedded.registry import Registry

_TAINT: Final = "node.kubernetes.io/"
_OURS: Final = {f"{_TAINT}{word}" for word in ("not-ready", "unreachable", "unschedulable")}


def join(registry: Registry, name: str, taints: list[Json]) -> None:
    """Create the Node of a new machine, and its CSINode."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", TOPOLOGY_KEY: name}
    node = registry.create(NODES, {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}})
    driver = {"name": DRIVER, "nodeID": name, "topologyKeys": [TOPOLOGY_KEY]}
    metadata = {"name": name, "ownerReferences": [reference(node)]}
    registry.create(CSI_NODES, {"metadata": metadata, "spec": {"drivers": [driver]}})


def watch_nodes(registry: Registry, machines: Machines, grace_seconds: float) -> float:
    """Report the state of each node, set its taints, and delete pods of removed nodes."""
    names = {node["metadata"]["name"] for node in registry.store.all(NODES)}
    for machine in machines.values():
        node = registry.find(NODES, "", machine.name)
        if node is not None and machine.runs("kubelet-gone"):
            machine.heard_at = registry.now()
            info = {"bootID": machine.boot_id, "machineID": machine.name, "kubeletVersion": VERSION}
            registry.set_status(node, nodeInfo={**info, "operatingSystem": "linux"})
            registry.set_condition(node, "Ready", "True", "KubeletReady", "kubelet is running")
        elif node is not None and registry.now() - machine.heard_at > grace_seconds:
            silent = ("NodeStatusUnknown", "Kubelet stopped posting node status.")
            registry.set_condition(node, "Ready", "Unknown", *silent)
    for node in registry.store.all(NODES):
        _taint(registry, node)
    for pod in registry.store.all(PODS):
        if find(pod, "spec.nodeName") and pod["spec"]["nodeName"] not in names:
            registry.remove(pod, gracePeriodSeconds=0)
    return grace_seconds / 8


def _taint(registry: Registry, node: Json) -> None:
    ready = condition(node, "Ready").get("status", "False")
    wanted: list[Json] = []
    if find(node, "spec.unschedulable"):
        wanted.append({"key": f"{_TAINT}unschedulable", "effect": "NoSchedule"})
    if ready != "True":
        key = f"{_TAINT}{'unreachable' if ready == 'Unknown' else 'not-ready'}"
        wanted += [{"key": key, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
    taints = find(node, "spec.taints") or []
    if [taint for taint in taints if taint["key"] in _OURS] != wanted:
        others = [taint for taint in taints if taint["key"] not in _OURS]
        registry.edit(node, lambda copy: copy["spec"].update(taints=[*others, *wanted]))
