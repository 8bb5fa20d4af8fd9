"""A simulated cluster: its objects, and what a test does to them. `actors.py` is what happens by itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from pie.core.model import Kind, ProbeId, Target
from pie.core.result import Outcome
from pie.embedded.schema import pieprobe_schema
from tests.controller.sidecars import Sidecar, rfc3339

T0: Final = 1_700_000_040.0
"""When the virtual time begins, epoch seconds: a due time."""


NODE: Final = "n1"
NAMESPACE: Final = "pie"
PROBE: Final = ProbeId(NAMESPACE, "p")
TARGET: Final = Target("p", Kind.MOUNT, "c", NODE, NAMESPACE)
PROVISION: Final = Target("p", Kind.PROVISION, "c", namespace=NAMESPACE)
PERIOD_SECONDS: Final = 60
BASE_SPEC: Final[dict[str, Any]] = {
    "monitoringStorageClass": "c",
    "nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]},
    "probePeriod": 1,
    "probeThreshold": "20s",
    "deadline": "40s",
    "suppression": {"newNodeGrace": "0s"},
}
"""Of a PieProbe that selects the node."""
CACHES: Final = {  # which cache holds what kind
    "nodes": "nodes",
    "csinodes": "csi_nodes",
    "pods": "pods",
    "jobs": "jobs",
    "cronjobs": "cronjobs",
    "persistentvolumeclaims": "claims",
    "pieprobes": "probes",
    "storageclasses": "storage_classes",
}


class Objects(dict[str, dict[str, Any]]):
    """The objects of a kind, by name. `revision` grows with each change."""

    revision = 0

    def __setitem__(self, name: str, item: dict[str, Any]) -> None:
        super().__setitem__(name, item)
        self.revision += 1

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.revision += 1

    def pop(self, name: str, default: Any = None) -> Any:
        self.revision += 1
        return super().pop(name, default)

    def clear(self) -> None:
        super().clear()
        self.revision += 1


def as_it_is(item: dict[str, Any]) -> dict[str, Any]:
    """Return an object as it is stored."""
    return item


@dataclass
class World:
    """The cluster: a node with its kubelet, a storage, and what of Kubernetes itself pie meets.

    Nodes beside the first one are always well, but for the storage, whose state holds on the nodes of
    `storage_fails_on` (None: everywhere), and the power, if there is `one_power_supply` for all.
    `outcomes`: how the probes of some kinds end, whatever the storage.
    `job_ttl_seconds`: what a policy sets as ttlSecondsAfterFinished of all Jobs. `deletes_jobs`: which Jobs a
    janitor deletes, each second. `collector_seconds`: how long the pods of deleted Jobs stay. `sidecars`:
    what a webhook adds to each new pod. `jobs_are_stamped`: the CronJob controller says which due time a
    Job is for. `node_clock_seconds`: how far the clocks of nodes are ahead, `node_clocks` those of some.
    `pods_are_refused`: why no pod can be created, if none can; `expansions_are_refused`: why no PVC may ask
    for more. `each_second`: what else happens each second.
    `kubelets`: what a kubelet does to a pod instead of what a clean one does; each says whether it did
    something. `waits`: the state of a container that cannot start, if it cannot. `written`: how the API
    server writes an object. `warnings`: all Warning Events. `lease_seconds`: how long a kubelet's Lease
    lasts; `leases_are_stamped`: the API server notes when it is renewed. `namespace`: of all its objects.
    """

    now: Callable[[], float]
    objects: dict[str, Objects] = field(
        default_factory=lambda: {kind: Objects() for kind in (*CACHES, "persistentvolumes")}
    )
    powered: bool = True
    one_power_supply: bool = False
    storage: str = "well"
    io_seconds: float | None = None
    storage_fails_on: frozenset[str] | None = None
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    status_schema: dict[str, Any] = field(default_factory=lambda: pieprobe_schema()["properties"]["status"])
    largest_object_bytes: int = 1_500_000
    sidecars: tuple[Sidecar, ...] = ()
    cronjobs_stand_still: bool = False
    job_ttl_seconds: int | None = None
    collector_seconds: int = 0
    jobs_are_stamped: bool = True
    node_clock_seconds: int = 0
    node_clocks: dict[str, int] = field(default_factory=dict)
    pods_are_refused: str = ""
    expansions_are_refused: str = ""
    each_second: "dict[str, Callable[[World], None]]" = field(default_factory=dict)
    kubelets: "dict[str, Callable[[World, dict[str, Any]], bool]]" = field(default_factory=dict)
    waits: "dict[str, Callable[[World, dict[str, Any]], dict[str, Any] | None]]" = field(default_factory=dict)
    written: Callable[[dict[str, Any]], dict[str, Any]] = as_it_is
    warnings: list[dict[str, Any]] = field(default_factory=list)
    lease_seconds: int = 40
    leases_are_stamped: bool = True
    node_controller_stands_still: bool = False
    deletes_jobs: Callable[[dict[str, Any]], bool] | None = None
    period_seconds: int = PERIOD_SECONDS
    since_power: float = 0.0
    boots: int = 1
    namespace: str = NAMESPACE
    _versions: int = 0
    injected: dict[str, tuple[Sidecar, ...]] = field(default_factory=dict)
    _ownerless: dict[str, float] = field(default_factory=dict)
    _unmade: dict[str, dict[str, Any]] = field(default_factory=dict)
    _snapshots: dict[str, tuple[int, Any, bytes]] = field(default_factory=dict)
    cronjobs_idle: tuple[Any, ...] = ()
    """The Jobs and CronJobs as the CronJob controller left them; until it has something to do again."""

    @property
    def uids(self) -> str:
        """How the uids of its objects begin: no other namespace has the same."""
        return "uid" if self.namespace == NAMESPACE else f"uid-{self.namespace}"

    def put(self, kind: str, item: dict[str, Any]) -> dict[str, Any]:
        """Store an object, new or changed."""
        self._versions += 1
        metadata = item["metadata"]
        metadata.setdefault("uid", f"{self.uids}-{self._versions}")
        metadata.setdefault("creationTimestamp", rfc3339(self.now()))
        metadata["resourceVersion"] = str(self._versions)
        self.objects[kind][metadata["name"]] = item
        return item

    def patch_metadata(self, kind: str, item: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
        """Add the annotations of a merge patch and set its owners, if it has any."""
        old = item["metadata"]
        metadata = old | {key: changed[key] for key in ("ownerReferences",) if key in changed}
        if "annotations" in changed:
            joined = {**old.get("annotations", {}), **changed["annotations"]}
            metadata["annotations"] = {key: value for key, value in joined.items() if value is not None}
        return self.put(kind, {**item, "metadata": metadata}) if metadata != old else item

    def snapshot(self, kind: str) -> bytes:
        """Return all objects of a kind, as they are now: the same bytes object while nothing changes."""
        objects, known = self.objects[kind], self._snapshots.get(kind)
        if known is None or known[0] != objects.revision or known[1] != self.written:
            encoded = msgspec.json.encode([self.written(each) for each in objects.values()])
            known = self._snapshots[kind] = objects.revision, self.written, encoded
        return known[2]

    @property
    def heartbeat(self) -> float:
        """When the kubelet renewed its lease last; it does so at once when it starts."""
        return self.now() if self.powered else self.since_power

    def ahead_seconds(self, node: str) -> int:
        """Return how far the clock of a node is ahead."""
        return self.node_clocks.get(node, self.node_clock_seconds)

    def node_time(self, node: str) -> str:
        """Return what a kubelet writes where it writes the time."""
        return rfc3339(self.now() + self.ahead_seconds(node))

    def lease(self, name: str) -> dict[str, Any]:
        """Return the Lease of a node."""
        renewed = self.heartbeat if self.feeds(name) else self.now()
        spec = {
            "renewTime": rfc3339(renewed + self.ahead_seconds(name)),
            "leaseDurationSeconds": self.lease_seconds,
        }
        entries = [
            # Who wrote something else, later, says nothing about the renewal.
            {"manager": "x", "time": rfc3339(self.now()), "fieldsV1": {"f:metadata": {"f:labels": {}}}},
            {"manager": "kubelet", "time": rfc3339(renewed), "fieldsV1": {"f:spec": {"f:renewTime": {}}}},
        ]
        return {
            "metadata": {
                "name": name,
                "namespace": "kube-node-lease",
                "managedFields": entries if self.leases_are_stamped else entries[:1],
            },
            "spec": spec,
        }

    def feeds(self, name: str) -> bool:
        """Tell whether the power that is cut is that of a node."""
        return name == NODE or self.one_power_supply

    # What a test does to the cluster.

    def begin(self, spec: dict[str, Any], *more_nodes: str) -> None:
        """Make the nodes, the class and the PieProbe."""
        for name in (NODE, *more_nodes):
            self.add_node(name)
        self.put("storageclasses", {"metadata": {"name": "c"}, "volumeBindingMode": "WaitForFirstConsumer"})
        metadata = {"name": "p", "namespace": self.namespace, "generation": 1}
        self.put("pieprobes", {"metadata": metadata, "spec": spec})
        self.period_seconds = 60 * spec["probePeriod"]

    def add_node(self, name: str, **labels: str) -> None:
        """Make a node that is Ready for a day; the PieProbe selects it unless it has other labels."""
        long_ago = rfc3339(T0 - 86_400)
        metadata = {"name": name, "labels": labels or {"a": ""}, "creationTimestamp": long_ago}
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": long_ago}
        status = {"conditions": [ready], "nodeInfo": {"bootID": "boot-1"}}
        self.put("nodes", {"metadata": metadata, "spec": {}, "status": status})

    def unselect_node(self) -> None:
        """Take from the node the label that the PieProbe selects by."""
        self.relabel_node({})

    def relabel_node(self, labels: dict[str, str]) -> None:
        """Give the node these labels and no other."""
        node = self.objects["nodes"][NODE]
        self.put("nodes", {**node, "metadata": {**node["metadata"], "labels": labels}})

    def bind_claims(self, policy: str = "Delete") -> None:
        """Give each claim a volume on the node, as its provisioner does; nobody will ever delete one."""
        for claim in list(self.objects["persistentvolumeclaims"].values()):
            volume = self.make_volume(claim["metadata"]["name"], claim["metadata"]["uid"], policy)
            self.put(
                "persistentvolumeclaims",
                {**claim, "spec": {**claim["spec"], "volumeName": volume["metadata"]["name"]}},
            )

    def make_volume(self, claim: str, uid: str, policy: str = "Delete") -> dict[str, Any]:
        """Make a volume on the node, for a claim."""
        rule = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [NODE]}]}
        spec = {
            "storageClassName": "c",
            "persistentVolumeReclaimPolicy": policy,
            "claimRef": {"namespace": self.namespace, "name": claim, "uid": uid},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [rule]}},
        }
        item = {"metadata": {"name": f"pv-{uid}"}, "spec": spec, "status": {"phase": "Released"}}
        return self.put("persistentvolumes", item)

    def delete_volumes(self) -> None:
        """Delete all volumes."""
        self.objects["persistentvolumes"].clear()

    def cordon(self) -> None:
        """Cordon the node; the node controller notes when, in a taint."""
        taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
        self._node(unschedulable=True, taints=[{**taint, "timeAdded": rfc3339(self.now())}])

    def uncordon(self) -> None:
        """Uncordon the node."""
        self._node(unschedulable=False, taints=[])

    def _node(self, **spec: Any) -> None:
        if (node := self.objects["nodes"].get(NODE)) is not None:
            self.put("nodes", {**node, "spec": {**node["spec"], **spec}})

    def power_off(self) -> None:
        """Cut the node's power; the node controller notices in its own time."""
        if self.powered:
            self.powered, self.since_power = False, self.now()

    def power_on(self) -> None:
        """Have the node boot."""
        if not self.powered:
            self.powered, self.since_power = True, self.now()
            self.boots += 1

    def delete_node(self) -> None:
        """Delete the node."""
        self.objects["nodes"].pop(NODE, None)
        for pod in list(self.objects["pods"].values()):
            if pod["spec"].get("nodeName"):
                self.delete_pod(pod["metadata"]["name"])

    def evict(self) -> None:
        """Delete the pods on the node, as a drain does."""
        for name in list(self.objects["pods"]):
            self.delete_pod(name)

    def delete_pod(self, name: str) -> None:
        """Delete a pod, and have its Job fail."""
        pod = self.objects["pods"].pop(name, None)
        job = self.objects["jobs"].get(name) if pod is not None else None
        if job is not None:
            self.finish(job, "Failed")

    def delete_job(self, name: str) -> None:
        """Delete a Job, and have its pod collected."""
        self.objects["jobs"].pop(name, None)
        self._ownerless[name] = self.now()
        self.collect_garbage()

    def delete_jobs(self) -> None:
        """Delete all Jobs, as `kubectl delete jobs --all` does."""
        for name in list(self.objects["jobs"]):
            self.delete_job(name)

    def make_job(
        self, name: str, labels: Any, annotations: Any, owner: Any, spec: Any = None
    ) -> dict[str, Any]:
        """Make a Job of any owner, and its pod."""
        metadata = {"name": name, "namespace": self.namespace, "labels": labels, "annotations": annotations}
        job = self.put("jobs", {"metadata": {**metadata, "ownerReferences": [owner]}, "status": {}})
        by = {"kind": "Job", "name": name, "uid": job["metadata"]["uid"], "controller": True}
        pod = {"name": name, "namespace": self.namespace, "labels": labels, "ownerReferences": [by]}
        template = spec["template"] if spec is not None else {"metadata": {}, "spec": {}}
        pod["annotations"] = template["metadata"].get("annotations", {})
        pod_spec = template["spec"]
        self._unmade[name] = {"metadata": pod, "spec": pod_spec, "status": {"phase": "Pending"}}
        self.make_refused_pods()
        if name in self._unmade:
            self.warn("Job", job, "FailedCreate", f'Error creating: pods "{name}" is {self.pods_are_refused}')
        return job

    def make_refused_pods(self) -> None:
        """Make the pods of new Jobs, and of those whose pod was refused before."""
        if self.pods_are_refused:
            return
        for name in list(self._unmade):
            pod = self._unmade.pop(name)
            if name in self.objects["jobs"]:
                self.make_pod(pod)

    def make_pod(self, pod: dict[str, Any]) -> dict[str, Any]:
        """Make a pod, with what a webhook adds to it."""
        created = self.put("pods", pod)
        self.injected[created["metadata"]["uid"]] = self.sidecars
        return created

    def finish(self, job: dict[str, Any], how: str) -> None:
        """Have a Job end."""
        over = {"type": how, "status": "True", "lastTransitionTime": rfc3339(self.now())}
        self.put("jobs", {**job, "status": {"conditions": [over]}})

    def collect_garbage(self) -> None:
        """Delete the pods whose Job is gone for long enough."""
        for name, since in list(self._ownerless.items()):
            if self.now() >= since + self.collector_seconds:
                self.objects["pods"].pop(name, None)
                del self._ownerless[name]

    def warn(self, kind: str, item: dict[str, Any], reason: str, message: str) -> None:
        """Write a Warning Event about an object."""
        metadata, stamp = item["metadata"], rfc3339(self.now())
        about = {
            "kind": kind,
            "namespace": self.namespace,
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        self.warnings.append(
            {
                "metadata": {"name": f"e-{len(self.warnings)}", "creationTimestamp": stamp},
                "involvedObject": about,
                "type": "Warning",
                "reason": reason,
                "message": message,
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
            }
        )


def owner_of(item: dict[str, Any]) -> dict[str, Any]:
    """Return the first owner of an object."""
    owners: list[dict[str, Any]] = item["metadata"].get("ownerReferences", [])
    return owners[0] if owners else {"name": "", "uid": ""}
