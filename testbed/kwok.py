"""Simulated nodes (KWOK): the API server cannot tell them from real ones, and a probe on them succeeds.

Pods that run to an end finish after a second, with a result of pie's probe as their termination message.
"""

import asyncio
import sys
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

import yaml

from pie.core.result import IoStats, Latency, Outcome, RecordStats, Result, encode
from testbed.api import Api, Json
from testbed.build import binary
from testbed.janitor import ROOT
from testbed.processes import Processes

KWOK = "kwok"
BINDER = "testbed-binder"
PROVISIONER = "kwok.pie.test"
"""Of the StorageClass that is called like the simulated nodes: `kwok`."""
STORAGE_CLASS = "kwok"
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
    free = asyncio.Semaphore(_PARALLEL_REQUESTS)

    async def add(number: int, name: str) -> None:
        async with free:
            await api.create("/api/v1/nodes", _node(name, zone=f"zone-{number % ZONES + 1}"))
            # Every new node is born with the not-ready taint. The node controller would remove it, but that
            # takes a minute for hundreds of nodes: it writes no more than 20 times a second.
            await api.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})

    async with asyncio.TaskGroup() as group:
        for number, name in enumerate(names):
            group.create_task(add(number, name))


def _node(name: str, *, zone: str) -> Json:
    """Return a node as its kubelet would register it when everything is well."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        # The node controller adds these two, and the TTL controller its annotation: one write each, per node.
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": zone,
        "type": "kwok",
    }
    annotations = {_ANNOTATION: "fake", "node.alpha.kubernetes.io/ttl": "0"}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    good = {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}
    resources = {"cpu": "32", "memory": "256Gi", "pods": "110"}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "status": {
            "addresses": [{"type": "Hostname", "address": name}],
            "allocatable": resources,
            "capacity": resources,
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": "KWOK",
                    "message": "simulated",
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                }
                for kind, status in good.items()
            ],
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": str(uuid.uuid4()),
                "containerRuntimeVersion": "kwok",
                "kernelVersion": "kwok",
                "kubeProxyVersion": "",
                "kubeletVersion": "kwok",
                "machineID": name,
                "operatingSystem": "linux",
                "osImage": "kwok",
                "systemUUID": name,
            },
        },
    }


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
        # Nodes stay as they are: a test that makes one NotReady does not want it healed.
        _stage("Node", "node-stays", [{"key": ".metadata.name", "operator": "DoesNotExist"}]),
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
