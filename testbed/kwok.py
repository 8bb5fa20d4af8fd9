"""Simulated nodes (KWOK): the API server cannot tell them from real ones, and a probe on them succeeds.

Pods that run to an end finish after a second, with a result of pie's probe as their termination message.
"""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

import yaml

from pie.core.result import IoStats, Latency, Outcome, RecordStats, Result, encode
from testbed.api import Api, Json
from testbed.build import binary
from testbed.errors import TestbedError
from testbed.janitor import ROOT
from testbed.processes import Processes

KWOK = "kwok"
BINDER = "testbed-binder"
PROVISIONER = "kwok.pie.test"
"""Of the StorageClass that is called like the simulated nodes: `kwok`."""
STORAGE_CLASS = "kwok"
READY_TIMEOUT_SECONDS = 120
ZONES = 3
# Renewed at a quarter of this: seldom enough for hundreds of nodes on a small machine, and often enough for
# the node controller, which calls a node unreachable after 50 s.
LEASE_SECONDS = 120
_ANNOTATION = "kwok.x-k8s.io/node"
_PARALLEL_REQUESTS = 16
_IDENTITY = "0" * 32
_LATENCY = Latency(
    iops=5000.0, mean_seconds=0.0002, p50_seconds=0.00018, p99_seconds=0.0009, max_seconds=0.002
)


class Kwok:
    """The simulated nodes of one testbed, the process that plays them, and the one that provides volumes."""

    def __init__(self, directory: Path, processes: Processes, kubeconfig: Path) -> None:
        """Nothing runs yet."""
        self._directory = directory
        self._processes = processes
        self._kubeconfig = kubeconfig

    async def start(self, names: Iterable[str]) -> None:
        """Start KWOK and the binder, create the nodes, and return when all of them take pods."""
        stages = self._directory / "kwok.yaml"
        stages.write_text(yaml.safe_dump_all(_stages()))
        kwok = [
            *(str(await binary("kwok")), f"--kubeconfig={self._kubeconfig}", f"--config={stages}"),
            f"--manage-nodes-with-annotation-selector={_ANNOTATION}=fake",
            f"--node-lease-duration-seconds={LEASE_SECONDS}",
        ]
        await self._processes.start(KWOK, kwok, env={"HOME": str(self._directory)})
        binder = [sys.executable, "-m", "testbed.binder", str(self._kubeconfig), PROVISIONER]
        await self._processes.start(BINDER, binder, env={"PYTHONPATH": str(ROOT)})
        async with Api(self._kubeconfig) as api:
            await api.apply(f"/apis/storage.k8s.io/v1/storageclasses/{STORAGE_CLASS}", _storage_class())
            await add_nodes(api, names)


async def add_nodes(api: Api, names: Iterable[str]) -> None:
    """Create simulated nodes and return when pods can be scheduled onto all of them."""
    names = list(names)
    free = asyncio.Semaphore(_PARALLEL_REQUESTS)

    async def create(number: int, name: str) -> None:
        async with free:
            await api.create("/api/v1/nodes", _node(name, zone=f"zone-{number % ZONES + 1}"))

    async with asyncio.TaskGroup() as group:
        for number, name in enumerate(names):
            group.create_task(create(number, name))
    waiting = set(names)
    try:
        async with asyncio.timeout(READY_TIMEOUT_SECONDS):
            while waiting:
                nodes = await api.items("/api/v1/nodes")
                waiting -= {node["metadata"]["name"] for node in nodes if _is_schedulable(node)}
                await asyncio.sleep(0.5 if waiting else 0)
    except TimeoutError:
        some = ", ".join(sorted(waiting)[:5])
        raise TestbedError(
            f"{len(waiting)} simulated nodes are not ready after {READY_TIMEOUT_SECONDS} s ({some}, …): see "
            "kwok.log and kube-controller-manager.log"
        ) from None


def _node(name: str, *, zone: str) -> Json:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": zone,
        "type": "kwok",
    }
    return {"metadata": {"name": name, "labels": labels, "annotations": {_ANNOTATION: "fake"}}}


def _is_schedulable(node: Json) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not node["spec"].get("taints")


def _storage_class() -> Json:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS},
        "provisioner": PROVISIONER,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }


def _stages() -> list[dict[str, Any]]:
    """KWOK's state machine: what becomes of a node or a pod that looks so and so, and after how long."""
    alive = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    ends = {"key": ".spec.restartPolicy", "operator": "In", "values": ["Never"]}
    return [
        _stage("Node", "node-ready", [_unless_ready()], status=_NODE_READY, delay_milliseconds=0),
        _stage("Pod", "pod-runs", [alive, _phase("Pending")], status=_POD_RUNS, delay_milliseconds=500),
        _stage(
            "Pod", "pod-ends", [alive, ends, _phase("Running")], status=_pod_ends(), delay_milliseconds=1000
        ),
        _stage("Pod", "pod-goes", [{"key": ".metadata.deletionTimestamp", "operator": "Exists"}]),
    ]


def _stage(
    kind: str, name: str, matches: list[dict[str, Any]], *, status: str = "", delay_milliseconds: int = 0
) -> dict[str, Any]:
    after = {"statusTemplate": status} if status else {"delete": True}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": matches},
            "delay": {
                "durationMilliseconds": delay_milliseconds,
                "jitterDurationMilliseconds": delay_milliseconds * 3 // 2,
            },
            "next": after,
        },
    }


def _unless_ready() -> dict[str, Any]:
    ready = '.status.conditions.[] | select( .type == "Ready" ) | .status'
    return {"key": ready, "operator": "NotIn", "values": ["True"]}


def _phase(phase: str) -> dict[str, Any]:
    return {"key": ".status.phase", "operator": "In", "values": [phase]}


def _result(probe: Any) -> str:
    """Return what a healthy probe reports, with an identity that the stage puts in its place later."""
    # The sequence stands still, since a template remembers nothing: that reads as "nothing was lost".
    records = RecordStats(
        identity_found=_IDENTITY, sequence_found=1, identity_written=_IDENTITY, sequence_written=1
    )
    result = Result(
        probe=probe,
        outcome=Outcome.OK,
        direct=True,
        elapsed_seconds={"fio": 1.0, "sync": 0.002, "records": 0.01},
        io=IoStats(read=_LATENCY, write=_LATENCY),
        sync_seconds=0.002,
        records=records,
    )
    return encode(result).decode()


_NODE_READY = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
addresses:
- address: {{ .metadata.name | Quote }}
  type: Hostname
allocatable: {cpu: "32", memory: 256Gi, pods: "110"}
capacity: {cpu: "32", memory: 256Gi, pods: "110"}
nodeInfo:
  architecture: amd64
  bootID: {{ or .status.nodeInfo.bootID .metadata.uid | Quote }}
  containerRuntimeVersion: kwok
  kernelVersion: kwok
  kubeProxyVersion: ""
  kubeletVersion: kwok
  machineID: {{ .metadata.uid | Quote }}
  operatingSystem: linux
  osImage: kwok
  systemUUID: {{ .metadata.uid | Quote }}
phase: Running
"""

_POD_RUNS = """
{{ $now := Now }}
conditions:
{{ range (list "PodReadyToStartContainers" "Initialized" "Ready" "ContainersReady") }}
- lastTransitionTime: {{ $now | Quote }}
  status: "True"
  type: {{ . }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  imageID: ""
  name: {{ .name | Quote }}
  ready: true
  restartCount: 0
  started: true
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
phase: Running
startTime: {{ $now | Quote }}
"""

_POD_ENDS = Template("""
{{ $$now := Now }}
{{ $$root := . }}
{{ $$labels := or .metadata.labels dict }}
{{ $$target := printf "%s/%s" (index $$labels "storage-class") (index $$labels "node") }}
{{ $$identity := sha256sum $$target | trunc 32 }}
{{ $$result := `$provision` }}
{{ if index $$labels "node" }}{{ $$result = `$mount` }}{{ end }}
conditions:
{{ range (list "PodReadyToStartContainers" "Ready" "ContainersReady") }}
- lastTransitionTime: {{ $$now | Quote }}
  status: "False"
  type: {{ . }}
{{ end }}
containerStatuses:
{{ range $$index, $$container := .spec.containers }}
- image: {{ $$container.image | Quote }}
  imageID: ""
  name: {{ $$container.name | Quote }}
  ready: false
  restartCount: 0
  started: false
  state:
    terminated:
      exitCode: 0
      finishedAt: {{ $$now | Quote }}
      message: {{ replace "$identity" $$identity $$result | Quote }}
      reason: Completed
      startedAt: {{ (index $$root.status.containerStatuses $$index).state.running.startedAt | Quote }}
{{ end }}
phase: Succeeded
""")


def _pod_ends() -> str:
    return _POD_ENDS.substitute(provision=_result("provision"), mount=_result("mount"), identity=_IDENTITY)
