"""What decoding costs: 2,000 pods of about 6 KB into slim Structs, and into dicts for comparison.

    python bench/decode.py [pods]

Prints microseconds of CPU and KiB kept per pod, for a list, and for a watch's lines. One thread, no I/O;
memory is counted by tracemalloc in a run of its own, since it slows the decoding down.
"""

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec

from pie.core.wire import Pod
from pie.kube.watchstream import EventDecoder, LineSplitter

PODS = 2000
ROUNDS = 5
CHUNK_BYTES = 64 * 1024


def pod(number: int) -> dict[str, Any]:
    """Make a pod with everything that the API server puts into one; about 6 KB of JSON."""
    name = f"mount-p1-node-{number:05}-fake-sc-{number:06x}-29381234-abcde"
    labels = {
        "storage-class": "fake-sc",
        "pie-probe": "p1",
        "node": f"node-{number:05}",
        "job-name": name[:-6],
    }
    managed = {
        "manager": "kubelet",
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "subresource": "status",
        "fieldsV1": {
            "f:status": {
                f'k:{{"type":"Condition{index}"}}': {
                    ".": {},
                    "f:lastProbeTime": {},
                    "f:status": {},
                    "f:type": {},
                }
                for index in range(38)
            }
        },
    }
    condition = {"status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-01-01T00:00:01Z"}
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    container = {
        "name": "probe",
        "image": "example.test/pie:1.0.0",
        "args": ["probe", "mount"],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "volumeMounts": [{"name": "volume", "mountPath": "/mounted"}],
        "terminationMessagePath": "/dev/termination-log",
        "securityContext": {"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
    }
    terminated = {
        "exitCode": 0,
        "reason": "Completed",
        "startedAt": "2026-01-01T00:00:02Z",
        "finishedAt": "2026-01-01T00:00:04Z",
        "containerID": "containerd://" + "0" * 64,
        "message": json.dumps({"version": 1, "write": {"mean": 0.001, "p99": 0.01}, "read": {"mean": 0.001}}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "pie",
            "uid": f"00000000-0000-0000-0000-{number:012}",
            "resourceVersion": str(1_000_000 + number),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": labels,
            "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T00:00:00Z"},
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": name[:-6],
                    "uid": f"j-{number}",
                    "controller": True,
                }
            ],
            "managedFields": [managed],
        },
        "spec": {
            "nodeName": f"node-{number:05}",
            "containers": [container],
            "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": f"pie-pvc-{number}"}}],
            "tolerations": [
                {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute"}
                for key in ("not-ready", "unreachable", "disk-pressure", "pid-pressure")
            ],
            "restartPolicy": "Never",
            "schedulerName": "default-scheduler",
            "activeDeadlineSeconds": 60,
        },
        "status": {
            "phase": "Succeeded",
            "startTime": "2026-01-01T00:00:01Z",
            "conditions": [{"type": kind, **condition} for kind in conditions],
            "containerStatuses": [
                {
                    "name": "probe",
                    "image": "example.test/pie:1.0.0",
                    "imageID": "sha256:" + "0" * 64,
                    "ready": False,
                    "restartCount": 0,
                    "state": {"terminated": terminated},
                }
            ],
        },
    }


def measure(what: str, pods: int, decode: Callable[[], object]) -> None:
    """Print the cost of one way: the fastest of some rounds, and the memory that its result keeps."""
    seconds = []
    for _ in range(ROUNDS):
        gc.collect()
        before = time.process_time()
        kept = decode()
        seconds.append(time.process_time() - before)
        del kept
    gc.collect()
    tracemalloc.start()
    kept = decode()
    gc.collect()
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    print(f"{what:32} {min(seconds) / pods * 1e6:8.1f} µs/pod {kept_bytes / pods / 1024:8.2f} KiB/pod")


def read_watch(stream: bytes) -> list[Any]:
    """Read a watch as the reflector does."""
    splitter, decoder = LineSplitter(), EventDecoder(Pod)
    chunks = (stream[start : start + CHUNK_BYTES] for start in range(0, len(stream), CHUNK_BYTES))
    return [decoder.decode(line) for chunk in chunks for line in splitter.feed(chunk)]


class PodList(msgspec.Struct):
    """A list of pods."""

    items: list[Pod]


def main() -> None:
    """Run the comparison."""
    pods = int(sys.argv[1]) if len(sys.argv) > 1 else PODS
    items = [pod(number) for number in range(pods)]
    listed = msgspec.json.encode({"metadata": {"resourceVersion": "1"}, "items": items})
    watched = b"".join(msgspec.json.encode({"type": "ADDED", "object": item}) + b"\n" for item in items)
    del items
    print(f"{pods} pods of {len(listed) // pods} bytes")
    measure("list into Structs (pie)", pods, lambda: msgspec.json.decode(listed, type=PodList))
    measure("watch into Structs (pie)", pods, lambda: read_watch(watched))
    measure("list into dicts (msgspec)", pods, lambda: msgspec.json.decode(listed))
    measure("list into dicts (json)", pods, lambda: json.loads(listed))


if __name__ == "__main__":
    main()
