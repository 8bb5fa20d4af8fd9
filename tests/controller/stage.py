"""What one test needs of a control plane on which it plays scheduler, kubelet and CronJob controller."""

import itertools
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pie.core.batch.cron import cron
from pie.core.model import Kind, Target
from testbed.api import Api
from tests.harness import Pie, until

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
HOURLY_MINUTES = 59
"""The period of tests that start their runs themselves, of PieProbes named `p1`: the schedule starts none."""


_LONGEST_TEST_SECONDS = 600


def _has_time_left(storage_class: str, node: str = "") -> bool:
    """Tell whether the hourly run of a target with such names is due when a test of now has long ended."""
    target = Target("p1", Kind.MOUNT if node else Kind.PROVISION, storage_class, node)
    now = time.time()
    return cron(target, HOURLY_MINUTES * 60).next_due(now) - now > _LONGEST_TEST_SECONDS


class Stage:
    """What one test needs of the cluster: a namespace, a class, a label of its own for its nodes."""

    def __init__(self, api: Api, namespace: str, kubeconfig: Path) -> None:
        self.api = api
        self.namespace = namespace
        self.kubeconfig = kubeconfig
        names = (uuid.uuid4().hex[:8] for _ in itertools.count())
        self.unique = next(name for name in names if _has_time_left(f"class-{name}"))
        self.label = f"test.pie/{self.unique}"
        self.storage_class = f"class-{self.unique}"
        self._counter = itertools.count()
        self._cluster_objects: list[str] = []

    def pie(self, *arguments: str) -> Pie:
        """Return a controller for this namespace."""
        return Pie(self.kubeconfig, self.namespace, *arguments)

    def path(self, plural: str, name: str = "") -> str:
        """Return the path of objects in the namespace."""
        group = {
            "cronjobs": "/apis/batch/v1",
            "jobs": "/apis/batch/v1",
            "pieprobes": "/apis/pie.topolvm.io/v1alpha1",
        }
        parts = [group.get(plural, "/api/v1"), "namespaces", self.namespace, plural, name]
        return "/".join(part for part in parts if part)

    async def names(self, plural: str) -> set[str]:
        """Return the names of all objects of a kind, but for what belongs to a pod (ephemeral claims)."""
        return {
            item["metadata"]["name"]
            for item in await self.api.items(self.path(plural))
            if all(owner["kind"] != "Pod" for owner in item["metadata"].get("ownerReferences", []))
        }

    async def node(self, name: str = "", **labels: str) -> str:
        """Make a node that the test's selector matches, Ready; no kubelet stands behind it."""
        names = (f"node-{self.unique}-{next(self._counter)}" for _ in itertools.count())
        name = name or next(name for name in names if _has_time_left(self.storage_class, name))
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {self.label: "", **labels}},
        }
        await self.api.create("/api/v1/nodes", body)
        self._cluster_objects.append(f"/api/v1/nodes/{name}")
        # A node is born with the taint not-ready.
        await self.taint(name)
        # Ready for an hour: a run of the same second as the node's turn to Ready is not held against storage.
        await self.node_status(name, since_seconds=-3600)
        return name

    async def taint(self, node: str, *taints: dict[str, str]) -> None:
        """Give a node these taints and no other."""
        await self.api.patch(f"/api/v1/nodes/{node}", {"spec": {"taints": list(taints) or None}})

    async def cordon(self, node: str, *, undo: bool = False) -> None:
        """Cordon a node, or uncordon it."""
        await self.api.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": None if undo else True}})

    async def node_status(
        self, node: str, ready: str = "True", boot_id: str = "boot-1", since_seconds: float = 0.0
    ) -> None:
        """Write a node's status, as its kubelet and the node controller do."""
        condition = {
            "type": "Ready",
            "status": ready,
            "reason": "Test",
            "message": "said the test",
            "lastHeartbeatTime": stamp(0),
            "lastTransitionTime": stamp(since_seconds),
        }
        names = ("machineID", "systemUUID", "kernelVersion", "osImage", "containerRuntimeVersion")
        more = ("kubeletVersion", "kubeProxyVersion", "operatingSystem", "architecture")
        info = {**dict.fromkeys(names + more, "x"), "bootID": boot_id}
        status = {"conditions": [condition], "nodeInfo": info}
        await self.api.patch(f"/api/v1/nodes/{node}/status", {"status": status})

    async def make_class(self, **fields: Any) -> None:
        """Make the test's StorageClass: late binding and deletion unless `fields` say otherwise."""
        body = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": self.storage_class},
            "provisioner": "test.pie",
            "volumeBindingMode": "WaitForFirstConsumer",
            **fields,
        }
        await self.api.create(CLASSES, body)
        self._cluster_objects.append(f"{CLASSES}/{self.storage_class}")

    async def delete_class(self) -> None:
        """Delete the test's StorageClass."""
        await self.api.delete(f"{CLASSES}/{self.storage_class}")

    async def clean_up(self) -> None:
        """Delete what is not in the namespace."""
        for path in self._cluster_objects:
            await self.api.delete(path)

    async def start_job(self, cronjob: str, due: float) -> str:
        """Start a Job of a CronJob as its controller would, for a due time; return its pod's name."""
        job = await self.make_job(cronjob, due)
        selector = f"batch.kubernetes.io/controller-uid={job['metadata']['uid']}"

        async def pods() -> list[dict[str, Any]]:
            return await self.api.items(self.path("pods"), selector=selector)

        found = await until(pods, f"a pod of {job['metadata']['name']}")
        return str(found[0]["metadata"]["name"])

    async def make_job(self, cronjob: str, due: float, **spec: Any) -> dict[str, Any]:
        """Make a Job of a CronJob as its controller would, but for some fields of the spec; return it."""
        template = await self.api.get(self.path("cronjobs", cronjob))
        stamp = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        owner = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "name": cronjob,
            "uid": template["metadata"]["uid"],
            "controller": True,
        }
        return await self.api.create(
            self.path("jobs"),
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {
                    "name": f"{cronjob}-{next(self._counter)}",
                    "labels": template["spec"]["jobTemplate"]["metadata"]["labels"],
                    "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": stamp},
                    "ownerReferences": [owner],
                },
                "spec": {**template["spec"]["jobTemplate"]["spec"], **spec},
            },
        )

    async def bind(self, pod: str, node: str) -> None:
        """Bind a pod to a node, as the scheduler does; the node's kubelet accepts it."""
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}
        await self.api.create(f"{self.path('pods', pod)}/binding", body)
        await self.api.patch(f"{self.path('pods', pod)}/status", {"status": {"startTime": stamp(0)}})

    async def report(self, pod: str, state: dict[str, Any], phase: str) -> None:
        """Write a pod's status, as the kubelet does."""
        container = {
            "name": "probe",
            "image": "x",
            "imageID": "x",
            "ready": False,
            "restartCount": 0,
            "state": state,
        }
        status = {"phase": phase, "startTime": stamp(0), "containerStatuses": [container]}
        await self.api.patch(f"{self.path('pods', pod)}/status", {"status": status})

    async def run(self, pod: str, after_seconds: float = 0.0) -> None:
        """Report that the container runs, started some seconds after the kubelet took the pod."""
        await self.report(pod, {"running": {"startedAt": stamp(after_seconds)}}, "Running")

    async def end(self, pod: str, message: str, exit_code: int = 0, after_seconds: float = 1.0) -> None:
        """Report that the container ended with a termination message."""
        terminated = {
            "exitCode": exit_code,
            "reason": "Error" if exit_code else "Completed",
            "message": message,
            "startedAt": stamp(0),
            "finishedAt": stamp(after_seconds),
        }
        await self.report(pod, {"terminated": terminated}, "Failed" if exit_code else "Succeeded")


def stamp(offset_seconds: float) -> str:
    """Return a Kubernetes time near now."""
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() + offset_seconds, UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
