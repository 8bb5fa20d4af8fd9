"""Nodes: heartbeats of the machines, and what the control plane concludes from them.

https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller
"""

from typing import Any, Final

import pie
from pie.embedded.discovery import VERSION
from pie.embedded.kinds import CSI_NODES, LEASES, NODES, PODS, find
from pie.embedded.machines import DRIVER, TOPOLOGY_KEY, Machine, Machines
from pie.embedded.registry import Registry, seconds_of

Json = dict[str, Any]

_LEASES: Final = "kube-node-lease"
_NOT_READY: Final = "node.kubernetes.io/not-ready"
_UNREACHABLE: Final = "node.kubernetes.io/unreachable"
_UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"
_OURS: Final = {_NOT_READY, _UNREACHABLE, _UNSCHEDULABLE}


def join(registry: Registry, name: str, taints: list[Json]) -> None:
    """Make the Node of a new machine, with its CSINode."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node-role.kubernetes.io/worker": "",
        TOPOLOGY_KEY: name,
    }
    node = registry.create(NODES, {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}})
    uid = node["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    driver = {"name": DRIVER, "nodeID": name, "topologyKeys": [TOPOLOGY_KEY]}
    registry.create(
        CSI_NODES,
        {"metadata": {"name": name, "ownerReferences": [owner]}, "spec": {"drivers": [driver]}},
    )


class Heartbeats:
    """The kubelets' word on their nodes: a lease that is renewed, and the status of the Node."""

    kinds = frozenset({NODES})

    def __init__(self, registry: Registry, machines: Machines, interval_seconds: float = 10.0) -> None:
        self._registry = registry
        self._machines = machines
        self._interval_seconds = interval_seconds

    def reconcile(self) -> float:
        """Report every machine whose kubelet runs."""
        for machine in self._machines.by_name.values():
            node = self._registry.find(NODES, "", machine.name)
            if node is not None and machine.kubelet_up:
                self._renew(node)
                self._report(node, machine)
        return self._interval_seconds

    def _renew(self, node: Json) -> None:
        name = node["metadata"]["name"]
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": self._registry.stamp()}
        lease = self._registry.find(LEASES, _LEASES, name)
        if lease is None:
            self._registry.create(LEASES, {"metadata": {"name": name}, "spec": spec}, _LEASES)
        elif (
            seconds_of(spec["renewTime"]) - seconds_of(lease["spec"]["renewTime"])
            >= self._interval_seconds - 1
        ):
            self._registry.edit(LEASES, lease, lambda copy: copy.update(spec=spec))

    def _report(self, node: Json, machine: Machine) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is running"}
        if machine.shutting_down:
            ready |= {"status": "False", "reason": "KubeletNotReady", "message": "node is shutting down"}
        info = {
            "bootID": machine.boot_id,
            "machineID": machine.name,
            "kubeletVersion": f"{VERSION}+pie.{pie.__version__}",
            "osImage": "embedded",
            "operatingSystem": "linux",
        }
        known = find(node, "status", "conditions") or []
        same = any(ready.items() <= each.items() for each in known)
        if same and find(node, "status", "nodeInfo") == info:
            return
        now = self._registry.stamp()
        stamps = {"lastHeartbeatTime": now, "lastTransitionTime": now}
        self._registry.set_status(NODES, node, conditions=[{**ready, **stamps}], nodeInfo=info)


class NodeLifecycle:
    """The node controller: silent nodes, the taints that follow from conditions, pods of removed nodes."""

    kinds = frozenset({NODES, LEASES})

    def __init__(self, registry: Registry, grace_seconds: float = 40.0) -> None:
        self._registry = registry
        self._grace_seconds = grace_seconds

    def reconcile(self) -> float:
        """Look at every node, and at pods whose node is gone."""
        for node in self._registry.store.all(NODES):
            self._taint(self._judge(node))
        names = {node["metadata"]["name"] for node in self._registry.store.all(NODES)}
        for pod in self._registry.store.all(PODS):
            if find(pod, "spec", "nodeName") and pod["spec"]["nodeName"] not in names:
                self._registry.remove(PODS, pod)
        return 5.0

    def _judge(self, node: Json) -> Json:
        """Say Unknown of a node whose lease was not renewed in time."""
        lease = self._registry.find(LEASES, _LEASES, node["metadata"]["name"])
        ready = _ready(node)
        if lease is None or ready is None or ready["status"] == "Unknown":
            return node
        if self._registry.now() - seconds_of(lease["spec"]["renewTime"]) <= self._grace_seconds:
            return node
        unknown = {
            **ready,
            "status": "Unknown",
            "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.",
            "lastTransitionTime": self._registry.stamp(),
        }
        others = [each for each in node["status"]["conditions"] if each["type"] != "Ready"]
        return self._registry.set_status(NODES, node, conditions=[*others, unknown])

    def _taint(self, node: Json) -> None:
        ready = _ready(node)
        status = ready["status"] if ready else "False"
        wanted: list[Json] = []
        if find(node, "spec", "unschedulable"):
            wanted.append({"key": _UNSCHEDULABLE, "effect": "NoSchedule"})
        if status != "True":
            key = _UNREACHABLE if status == "Unknown" else _NOT_READY
            wanted += [{"key": key, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
        taints = find(node, "spec", "taints") or []
        bare = [{key: taint[key] for key in ("key", "effect")} for taint in taints if taint["key"] in _OURS]
        if bare != wanted:
            others = [taint for taint in taints if taint["key"] not in _OURS]
            self._registry.edit(NODES, node, lambda copy: copy["spec"].update(taints=[*others, *wanted]))


def _ready(node: Json) -> Json | None:
    conditions = find(node, "status", "conditions") or []
    return next((each for each in conditions if each["type"] == "Ready"), None)
