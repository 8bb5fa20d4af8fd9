"""What kubelets of a dirty cluster do to probe pods: they refuse them, end them, or cannot start them."""

from collections.abc import Callable
from typing import Any, Final

from tests.controller.actors import report
from tests.controller.sidecars import probe_state
from tests.controller.world import World

Json = dict[str, Any]
Kubelet = Callable[[World, Json], bool]
Waits = Callable[[World, Json], Json | None]

REFUSALS: Final = {
    "OutOfcpu": "Node didn't have enough resource: cpu, requested: 50, used: 7950, capacity: 8000",
    "NodeAffinity": "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    "UnexpectedAdmissionError": (
        "Allocate failed due to requested number of devices unavailable for example.com/dev."
        " Requested: 1, Available: 0, which is unexpected"
    ),
}
"""Why a kubelet refuses a pod, and its words."""

NO_MEMORY: Final = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. Container probe was"
    " using 20Mi, request is 0, has larger consumption of memory. "
)
FOR_CRITICAL: Final = "Preempted in order to admit critical pod"
_WRONG_PLATFORM: Final = (
    'Failed to pull image "i": no matching manifest for windows/amd64 10.0.20348 in the manifest list entries'
)
_NO_DRIVER: Final = (
    'MountVolume.MountDevice failed for volume "pv-1" : kubernetes.io/csi: attacher.MountDevice failed to'
    " create newCsiDriverClient: driver name csi.example.com not found in the list of registered CSI drivers"
)


def _fail(world: World, pod: Json, status: Json) -> bool:
    """Overwrite the status of a pod, and have its Job fail."""
    world.put("pods", {**pod, "status": {"phase": "Failed", **status}})
    if (job := world.objects["jobs"].get(pod["metadata"]["name"])) is not None:
        world.finish(job, "Failed")
    return True


def _running(pod: Json) -> bool:
    """Tell whether the container `probe` runs; a pod of this second is left to start."""
    return pod["status"]["phase"] == "Running" and "running" in probe_state(pod)


def _here(pod: Json, *nodes: str) -> bool:
    return not nodes or pod["spec"]["nodeName"] in nodes


def _now(world: World, pod: Json) -> str:
    return world.node_time(pod["spec"]["nodeName"])


def refuses(reason: str) -> Kubelet:
    """Refuse each pod that is bound to the node: of its status only four fields are left."""

    def kubelet(world: World, pod: Json) -> bool:
        if "startTime" in pod["status"]:
            return False
        stamp = {"startTime": _now(world, pod)}
        return _fail(
            world, pod, {"reason": reason, "message": f"Pod was rejected: {REFUSALS[reason]}", **stamp}
        )

    return kubelet


def ends(reason: str, message: str) -> Kubelet:
    """End each pod that runs, and leave of its status what old kubelets leave."""

    def kubelet(world: World, pod: Json) -> bool:
        if not _running(pod):
            return False
        stamp = {"startTime": pod["status"]["startTime"]}
        return _fail(world, pod, {"reason": reason, "message": message, **stamp})

    return kubelet


def _terminated(world: World, pod: Json, state: Json) -> Json:
    ended = {"startedAt": probe_state(pod)["running"]["startedAt"], "finishedAt": _now(world, pod), **state}
    return {"name": "probe", "state": {"terminated": ended}}


def evicts(world: World, pod: Json) -> bool:
    """Evict each pod that runs, as new kubelets do it: with a condition and the state of its container."""
    if not _running(pod):
        return False
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
    return _fail(
        world,
        pod,
        {
            **pod["status"],
            "phase": "Failed",
            "reason": "Evicted",
            "message": NO_MEMORY,
            "conditions": [*pod["status"].get("conditions", []), {**disrupted, "message": NO_MEMORY}],
            "containerStatuses": [_terminated(world, pod, {"exitCode": 137, "reason": "Error"})],
        },
    )


def kills_for_memory(world: World, pod: Json) -> bool:
    """Let no container have the memory that it needs."""
    if not _running(pod):
        return False
    report(world, pod, "Failed", _terminated(world, pod, {"exitCode": 137, "reason": "OOMKilled"})["state"])
    return True


def ends_at_once(exit_code: int, *nodes: str) -> Kubelet:
    """Start a program that the node cannot run."""

    def kubelet(world: World, pod: Json) -> bool:
        if not _here(pod, *nodes) or not _running(pod):
            return False
        ended = _terminated(world, pod, {"exitCode": exit_code, "reason": "Error"})
        report(world, pod, "Failed", ended["state"])
        return True

    return kubelet


def cannot_start(world: World, pod: Json) -> bool:
    """Fail to start each container: it is over, and began in 1970."""
    if pod["status"]["phase"] != "Pending" or "startTime" not in pod["status"]:
        return False
    words = 'failed to create containerd task: exec: "pie": executable file not found in $PATH'
    ended = {"exitCode": 128, "reason": "StartError", "message": words, "finishedAt": _now(world, pod)}
    report(world, pod, "Failed", {"terminated": {**ended, "startedAt": "1970-01-01T00:00:00Z"}})
    return True


def pulls_nothing(*nodes: str) -> Waits:
    """Find no image for the system of the node."""

    def waits(_world: World, pod: Json) -> Json | None:
        state = {"waiting": {"reason": "ErrImagePull", "message": _WRONG_PLATFORM}}
        return state if _here(pod, *nodes) else None

    return waits


def has_no_driver(*nodes: str) -> Waits:
    """Find no CSI driver on the node, and say so."""

    def waits(world: World, pod: Json) -> Json | None:
        if not _here(pod, *nodes):
            return None
        if all(each["involvedObject"]["uid"] != pod["metadata"]["uid"] for each in world.warnings):
            world.warn("Pod", pod, "FailedMount", _NO_DRIVER)
        return {"waiting": {"reason": "ContainerCreating"}}

    return waits
