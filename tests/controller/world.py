"""A simulated cluster: its objects, and what nodes, kubelets and controllers do to them each second."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from pie.core.batch.naming import ANNOTATION_SCHEDULED
from pie.core.model import Kind, Target
from pie.core.result import IoStats, Latency, Outcome, RecordStats, Result, encode
from pie.core.schedule import next_due
from pie.embedded.schema import pieprobe_schema
from tests.controller.sidecars import Sidecar, probe_state, rfc3339, seconds_of

T0: Final = 1_700_000_040.0
"""When the virtual time begins, epoch seconds: a due time."""


NODE: Final = "n1"
NAMESPACE: Final = "pie"
TARGET: Final = Target("p", Kind.MOUNT, "c", NODE)
PROVISION: Final = Target("p", Kind.PROVISION, "c")
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


_SCHEDULED_AFTER, _STARTED_AFTER, _ENDED_AFTER = 1, 3, 6
_NODE_CONTROLLER_SECONDS: Final = 50
_BOOT_SECONDS: Final = 5
_OUTCOMES: Final = {"fails": Outcome.IO_ERROR, "corrupts": Outcome.DATA_CORRUPTED}
CACHES: Final = {  # which cache holds what kind
    "nodes": "nodes",
    "pods": "pods",
    "jobs": "jobs",
    "cronjobs": "cronjobs",
    "persistentvolumeclaims": "claims",
    "pieprobes": "probes",
    "storageclasses": "storage_classes",
}


@dataclass
class World:
    """The cluster: a node with its kubelet, a storage, and what of Kubernetes itself pie meets.

    Nodes beside the first one are always well, but for the storage, whose state holds on the nodes of
    `storage_fails_on` (None: everywhere), and the power, if there is `one_power_supply` for all.
    `job_ttl_seconds`: what a policy sets as ttlSecondsAfterFinished of all Jobs. `deletes_jobs`: which Jobs
    a janitor deletes, each second. `collector_seconds`: how long the pods of deleted Jobs stay. `sidecars`:
    what a webhook adds to each new pod. `jobs_are_stamped`: the CronJob controller says which due time a
    Job is for. `node_clock_seconds`: how far the clocks of nodes are ahead. `lease_seconds`: how long a
    kubelet's Lease lasts; `leases_are_stamped`: the API server notes when it is renewed.
    """

    now: Callable[[], float]
    objects: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {kind: {} for kind in (*CACHES, "persistentvolumes")}
    )
    powered: bool = True
    one_power_supply: bool = False
    storage: str = "well"
    io_seconds: float | None = None
    storage_fails_on: frozenset[str] | None = None
    status_schema: dict[str, Any] = field(default_factory=lambda: pieprobe_schema()["properties"]["status"])
    largest_object_bytes: int = 1_500_000
    sidecars: tuple[Sidecar, ...] = ()
    cronjobs_stand_still: bool = False
    job_ttl_seconds: int | None = None
    collector_seconds: int = 0
    jobs_are_stamped: bool = True
    node_clock_seconds: int = 0
    lease_seconds: int = 40
    leases_are_stamped: bool = True
    node_controller_stands_still: bool = False
    deletes_jobs: Callable[[dict[str, Any]], bool] | None = None
    period_seconds: int = PERIOD_SECONDS
    _since_power: float = 0.0
    _boots: int = 1
    _versions: int = 0
    _injected: dict[str, tuple[Sidecar, ...]] = field(default_factory=dict)
    _ownerless: dict[str, float] = field(default_factory=dict)
    _snapshots: dict[str, tuple[tuple[str, ...], bytes]] = field(default_factory=dict)

    def put(self, kind: str, item: dict[str, Any]) -> dict[str, Any]:
        """Store an object, new or changed."""
        self._versions += 1
        metadata = item["metadata"]
        metadata.setdefault("uid", f"uid-{self._versions}")
        metadata.setdefault("creationTimestamp", rfc3339(self.now()))
        metadata["resourceVersion"] = str(self._versions)
        self.objects[kind][metadata["name"]] = item
        return item

    def patch_metadata(self, kind: str, item: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
        """Add the annotations of a merge patch and set its owners, if it has any."""
        old = item["metadata"]
        metadata = old | {key: changed[key] for key in ("ownerReferences",) if key in changed}
        if "annotations" in changed:
            metadata["annotations"] = {**old.get("annotations", {}), **changed["annotations"]}
        return self.put(kind, {**item, "metadata": metadata}) if metadata != old else item

    def snapshot(self, kind: str) -> bytes:
        """Return all objects of a kind, as they are now: the same bytes object while nothing changes."""
        items = list(self.objects[kind].values())
        versions = tuple(item["metadata"]["resourceVersion"] for item in items)
        known = self._snapshots.get(kind)
        if known is None or known[0] != versions:
            known = self._snapshots[kind] = (versions, msgspec.json.encode(items))
        return known[1]

    @property
    def heartbeat(self) -> float:
        """When the kubelet renewed its lease last; it does so at once when it starts."""
        return self.now() if self.powered else self._since_power

    @property
    def node_time(self) -> str:
        """What a kubelet writes where it writes the time."""
        return rfc3339(self.now() + self.node_clock_seconds)

    def lease(self, name: str) -> dict[str, Any]:
        """Return the Lease of a node."""
        renewed = self.heartbeat if self._feeds(name) else self.now()
        spec = {
            "renewTime": rfc3339(renewed + self.node_clock_seconds),
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

    # What a test does to the cluster.

    def begin(self, spec: dict[str, Any], *more_nodes: str) -> None:
        """Make the nodes, the class and the PieProbe."""
        long_ago = {"creationTimestamp": rfc3339(T0 - 86_400)}
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(T0 - 86_400)}
        status = {"conditions": [ready], "nodeInfo": {"bootID": "boot-1"}}
        for name in (NODE, *more_nodes):
            metadata = {"name": name, "labels": {"a": ""}, **long_ago}
            self.put("nodes", {"metadata": metadata, "spec": {}, "status": status})
        self.put("storageclasses", {"metadata": {"name": "c"}, "volumeBindingMode": "WaitForFirstConsumer"})
        metadata = {"name": "p", "namespace": NAMESPACE, "generation": 1}
        self.put("pieprobes", {"metadata": metadata, "spec": spec})
        self.period_seconds = 60 * spec["probePeriod"]

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
            "claimRef": {"namespace": NAMESPACE, "name": claim, "uid": uid},
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
            self.powered, self._since_power = False, self.now()

    def power_on(self) -> None:
        """Have the node boot."""
        if not self.powered:
            self.powered, self._since_power = True, self.now()
            self._boots += 1

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
            self._finish(job, "Failed")

    def delete_job(self, name: str) -> None:
        """Delete a Job, and have its pod collected."""
        self.objects["jobs"].pop(name, None)
        self._ownerless[name] = self.now()
        self._garbage_collector()

    def delete_jobs(self) -> None:
        """Delete all Jobs, as `kubectl delete jobs --all` does."""
        for name in list(self.objects["jobs"]):
            self.delete_job(name)

    # What happens by itself, second by second.

    def tick(self) -> None:
        """Let a second pass."""
        self._node_controller()
        self._garbage_collector()
        for pod in list(self.objects["pods"].values()):
            self._kubelet(pod)
        if not self.cronjobs_stand_still:
            for cronjob in list(self.objects["cronjobs"].values()):
                self._cronjob_controller(cronjob)
        for name, job in list(self.objects["jobs"].items()):
            over = job["status"].get("conditions")
            expired = over and self.job_ttl_seconds is not None and self._age(over[0]) >= self.job_ttl_seconds
            if expired or (self.deletes_jobs is not None and self.deletes_jobs(job)):
                self.delete_job(name)

    def _age(self, over: dict[str, Any]) -> float:
        return self.now() - seconds_of(over["lastTransitionTime"])

    def _garbage_collector(self) -> None:
        for name, since in list(self._ownerless.items()):
            if self.now() >= since + self.collector_seconds:
                self.objects["pods"].pop(name, None)
                del self._ownerless[name]

    def _node_controller(self) -> None:
        node = self.objects["nodes"].get(NODE)
        if node is None:
            return
        ready = node["status"]["conditions"][0]["status"]
        passed = self.now() - self._since_power
        stands_still = self.node_controller_stands_still
        if not self.powered and ready == "True" and not stands_still and passed >= _NODE_CONTROLLER_SECONDS:
            self._ready(node, "Unknown")
        boot_id = f"boot-{self._boots}"
        if self.powered and passed >= _BOOT_SECONDS and node["status"]["nodeInfo"]["bootID"] != boot_id:
            for pod in list(self.objects["pods"].values()):
                if pod["status"]["phase"] == "Running":
                    state = probe_state(pod)
                    if "running" in state:
                        ended = {"exitCode": 255, "reason": "Unknown", **_times(pod, self.node_time)}
                        state = {"terminated": ended}
                    self._report(pod, "Failed", state)
            self._ready(node, "True", boot_id)

    def _ready(self, node: dict[str, Any], status: str, boot_id: str = "") -> None:
        info = {"bootID": boot_id} if boot_id else node["status"]["nodeInfo"]
        changed = node["status"]["conditions"][0]["status"] != status
        # The kubelet says itself that it is ready; that it is gone, the node controller.
        written = self.node_time if status == "True" else rfc3339(self.now())
        since = written if changed else node["status"]["conditions"][0]["lastTransitionTime"]
        condition = {"type": "Ready", "status": status, "lastTransitionTime": since}
        self.put("nodes", {**node, "status": {"conditions": [condition], "nodeInfo": info}})

    def _kubelet(self, pod: dict[str, Any]) -> None:
        if pod["status"]["phase"] in {"Succeeded", "Failed"}:
            return
        age = self.now() - seconds_of(pod["metadata"]["creationTimestamp"])
        if not (name := pod["spec"].get("nodeName")):
            if age >= _SCHEDULED_AFTER and self.storage != "does not bind":
                self._bind(pod)
            return
        if not self._works(name):
            return
        storage = self.storage if self.storage_fails_on is None or name in self.storage_fails_on else "well"
        if (started := pod["status"].get("startTime")) is None:
            self.put("pods", {**pod, "status": {**pod["status"], "startTime": self.node_time}})
        elif pod["status"]["phase"] == "Pending":
            if age >= _STARTED_AFTER and storage != "does not mount":
                self._report(pod, "Running", {"running": {"startedAt": self.node_time}})
            elif self._node_seconds_since(started) >= _deadline_seconds(pod):
                self._report(pod, "Failed", {"waiting": {"reason": "ContainerCreating"}}, "DeadlineExceeded")
        elif "terminated" in probe_state(pod) or (age >= _ENDED_AFTER and storage != "hangs"):
            self._end(pod, _OUTCOMES.get(storage, Outcome.OK))

    def _node_seconds_since(self, stamp: str) -> float:
        return self.now() + self.node_clock_seconds - seconds_of(stamp)

    def _bind(self, pod: dict[str, Any]) -> None:
        if name := self._schedulable(pod):
            bound = {"type": "PodScheduled", "status": "True", "lastTransitionTime": rfc3339(self.now())}
            status = {**pod["status"], "conditions": [bound]}
            self.put("pods", {**pod, "spec": {**pod["spec"], "nodeName": name}, "status": status})

    def _works(self, name: str) -> bool:
        node = self.objects["nodes"].get(name)
        ready = node is not None and node["status"]["conditions"][0]["status"] == "True"
        return ready and (self.powered or not self._feeds(name))

    def _feeds(self, name: str) -> bool:
        """Tell whether the power that is cut is that of a node."""
        return name == NODE or self.one_power_supply

    def _schedulable(self, pod: dict[str, Any]) -> str | None:
        """Return the first node that may take a pod."""
        return min(
            (
                name
                for name, node in self.objects["nodes"].items()
                if not node["spec"].get("unschedulable")
                and node["status"]["conditions"][0]["status"] == "True"
                and _may_run_on(pod, name)
            ),
            default=None,
        )

    def _beside(self, pod: dict[str, Any]) -> tuple[Sidecar, ...]:
        """Return the containers that were added to a pod when it was created."""
        return self._injected.get(pod["metadata"]["uid"], ())

    def _end(self, pod: dict[str, Any], outcome: Outcome) -> None:
        """Report a pod whose probe has ended: it is over when all containers are, or at its deadline."""
        state = probe_state(pod)
        if "terminated" not in state:
            state = _ended(pod, outcome, self.node_time, self.io_seconds)
        now = self.now() + self.node_clock_seconds
        beside = [each.state(state, now, pod_over=False) for each in self._beside(pod)]
        if any("running" in each for each in beside):
            late = self._node_seconds_since(pod["status"]["startTime"]) >= _deadline_seconds(pod)
            self._report(pod, "Failed" if late else "Running", state, "DeadlineExceeded" if late else "")
            return
        codes = [each["terminated"]["exitCode"] for each in (state, *beside)]
        self._report(pod, "Failed" if any(codes) else "Succeeded", state)

    def _report(self, pod: dict[str, Any], phase: str, state: dict[str, Any], reason: str = "") -> None:
        """Write a pod's status, its containers sorted by name as kubelets do."""
        states = {"probe": state}
        for each in self._beside(pod):
            states[each.name] = each.state(
                state, self.now() + self.node_clock_seconds, pod_over=phase != "Running"
            )
        containers = [{"name": name, "state": states[name]} for name in sorted(states)]
        status = {**pod["status"], "phase": phase, "reason": reason, "containerStatuses": containers}
        if status == pod["status"]:
            return
        self.put("pods", {**pod, "status": status})
        job = self.objects["jobs"].get(pod["metadata"]["name"])
        if phase != "Running" and job is not None:
            self._finish(job, "Complete" if phase == "Succeeded" else "Failed")

    def _finish(self, job: dict[str, Any], how: str) -> None:
        over = {"type": how, "status": "True", "lastTransitionTime": rfc3339(self.now())}
        self.put("jobs", {**job, "status": {"conditions": [over]}})

    def _cronjob_controller(self, cronjob: dict[str, Any]) -> None:
        jobs = self.objects["jobs"].values()
        active = [
            {"name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
            for job in jobs
            if not job["status"].get("conditions") and owner_of(job)["name"] == cronjob["metadata"]["name"]
        ]
        if active != cronjob["status"].get("active", []):
            cronjob = self.put("cronjobs", {**cronjob, "status": {**cronjob["status"], "active": active}})
        now, created = self.now(), datetime.fromisoformat(cronjob["metadata"]["creationTimestamp"])
        labels, period_seconds = cronjob["metadata"]["labels"], self.period_seconds
        target = TARGET if "node" in labels else PROVISION
        due = next_due(target, period_seconds, now - period_seconds)
        last = cronjob["status"].get("lastScheduleTime")
        began = max(created.timestamp(), datetime.fromisoformat(last).timestamp() if last else 0.0)
        if due > now or due <= began or cronjob["spec"]["suspend"] or active:
            return
        self.put("cronjobs", {**cronjob, "status": {**cronjob["status"], "lastScheduleTime": rfc3339(due)}})
        name = f"{cronjob['metadata']['name']}-{int(due) // 60}"
        metadata, job = cronjob["metadata"], cronjob["spec"]["jobTemplate"]["spec"]
        stamp = {ANNOTATION_SCHEDULED: rfc3339(due)} if self.jobs_are_stamped else {}
        owner = {"kind": "CronJob", "name": metadata["name"], "uid": metadata["uid"], "controller": True}
        self.make_job(name, metadata["labels"], stamp, owner, job)

    def make_job(
        self, name: str, labels: Any, annotations: Any, owner: Any, spec: Any = None
    ) -> dict[str, Any]:
        """Make a Job of any owner, and its pod."""
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels, "annotations": annotations}
        job = self.put("jobs", {"metadata": {**metadata, "ownerReferences": [owner]}, "status": {}})
        by = {"kind": "Job", "name": name, "uid": job["metadata"]["uid"], "controller": True}
        pod = {"name": name, "namespace": NAMESPACE, "labels": labels, "ownerReferences": [by]}
        pod_spec = spec["template"]["spec"] if spec is not None else {}
        created = self.put("pods", {"metadata": pod, "spec": pod_spec, "status": {"phase": "Pending"}})
        self._injected[created["metadata"]["uid"]] = self.sidecars
        return job


def _may_run_on(pod: dict[str, Any], name: str) -> bool:
    """Tell whether a pod's affinity allows a node; of the rules, those about names."""
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    fields = [term.get("matchFields") or [] for term in required.get("nodeSelectorTerms", [{}])]
    return any(
        all((name in each["values"]) is (each["operator"] == "In") for each in term) for term in fields
    )


def _deadline_seconds(pod: dict[str, Any]) -> float:
    return float(pod["spec"].get("activeDeadlineSeconds", math.inf))


def owner_of(item: dict[str, Any]) -> dict[str, Any]:
    owners: list[dict[str, Any]] = item["metadata"].get("ownerReferences", [])
    return owners[0] if owners else {"name": "", "uid": ""}


def _times(pod: dict[str, Any], now: str) -> dict[str, str]:
    return {"startedAt": probe_state(pod)["running"]["startedAt"], "finishedAt": now}


def _ended(pod: dict[str, Any], outcome: Outcome, now: str, io_seconds: float | None) -> dict[str, Any]:
    code = 0 if outcome is Outcome.OK else 1
    records = RecordStats(identity_found="a" * 32, identity_written="a" * 32)
    io = IoStats(read=_latency(io_seconds)) if io_seconds is not None else None
    message = encode(Result(probe="mount", outcome=outcome, records=records, io=io)).decode()
    state = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message}
    return {"terminated": {**state, **_times(pod, now)}}


def _latency(seconds: float) -> Latency:
    return Latency(
        iops=1, mean_seconds=seconds, p50_seconds=seconds, p99_seconds=seconds, max_seconds=seconds
    )
