"""Pods that a kubelet refuses or ends, and containers that it cannot start."""

from pie.core.model import Stage
from pie.core.reasons import Reason
from pie.core.timeline import Run, Sightings
from pie.core.wire import StateWaiting
from tests.core.build import MOUNT, T0
from tests.core.cases.rows import K8S, VOLUME, Row, bound_claim, disrupted, ended, on_node, refused

READY = Sightings(ready=T0 + 2)


def _refused(reason: str, message: str, source: str, means: Reason, stage: Stage = Stage.SCHEDULE) -> Row:
    return Row(f"{reason}: {message}", source, refused(reason, message), stage, means, message[-40:].strip())


REFUSED = (
    _refused(
        "OutOfcpu",
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 50, used: 7950, capacity: 8000",
        "kubernetes/kubernetes#115325",
        Reason.INSUFFICIENT_RESOURCES,
    ),
    _refused(
        "OutOfmemory",
        "Node didn't have enough resource: memory, requested: 104857600, used: 8000000000, capacity: 8052686848",
        f"{K8S}/kubelet/lifecycle/predicate.go",
        Reason.INSUFFICIENT_RESOURCES,
    ),
    _refused(
        "OutOfpods",
        "Pod Node didn't have enough resource: pods, requested: 1, used: 110, capacity: 110",
        f"{K8S}/kubelet/lifecycle/predicate.go",
        Reason.INSUFFICIENT_RESOURCES,
    ),
    _refused(
        "OutOfephemeral-storage",
        "Node didn't have enough resource: ephemeral-storage, requested: 5, used: 9, capacity: 10",
        f"{K8S}/kubelet/lifecycle/predicate.go",
        Reason.INSUFFICIENT_RESOURCES,
    ),
    _refused(
        "OutOfnvidia.com/gpu",
        "Node didn't have enough resource: nvidia.com/gpu, requested: 1, used: 0, capacity: 0",
        f"{K8S}/kubelet/lifecycle/predicate.go",
        Reason.INSUFFICIENT_RESOURCES,
    ),
    _refused(
        "NodeAffinity",
        "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        "flyteorg/flyte#6461",
        Reason.REFUSED_BY_NODE,
    ),
    _refused(
        "NodeAffinity", "Pod Predicate NodeAffinity failed", "flyteorg/flyte#3958", Reason.REFUSED_BY_NODE
    ),
    _refused(
        "MatchNodeSelector",
        "Pod Predicate MatchNodeSelector failed",
        "kubernetes/kubernetes#43846",
        Reason.REFUSED_BY_NODE,
    ),
    _refused(
        "UnexpectedAdmissionError",
        "Pod Unexpected error while attempting to recover from admission failure: preemption: error finding a set"
        " of pods to preempt: no set of running pods found to reclaim resources: [(res: pods, q: 1), ]",
        "kubernetes/kube-state-metrics#1145",
        Reason.REFUSED_BY_NODE,
    ),
    _refused(
        "Topology Affinity Error",
        "Pod Resources cannot be allocated with Topology locality",
        "kubernetes/kubernetes#84757",
        Reason.REFUSED_BY_NODE,
    ),
    _refused(
        "SysctlForbidden",
        'Pod was rejected: forbidden sysctl: "net.core.somaxconn" not allowlisted',
        f"{K8S}/kubelet/sysctl/allowlist.go",
        Reason.REFUSED_BY_NODE,
    ),
    _refused(
        "PodOSNotSupported",
        "Pod was rejected: Failed to admit pod as the OS field doesn't match node OS",
        f"{K8S}/kubelet/lifecycle/predicate.go",
        Reason.REFUSED_BY_NODE,
    ),
    _refused(
        "NodeShutdown",
        "Pod was rejected: Pod was rejected as the node is shutting down.",
        f"{K8S}/kubelet/nodeshutdown/nodeshutdown_manager.go",
        Reason.REFUSED_BY_NODE,
    ),
    _refused(
        "VolumeAttachmentLimitExceeded",
        "Pod was rejected: Node has reached its volume attachment limit for driver ebs.csi.aws.com",
        f"{K8S}/kubelet/kubelet.go",
        Reason.VOLUME_LIMIT,
        Stage.ATTACH,
    ),
    _refused(
        "Evicted",
        "Pod was rejected: The node had condition: [DiskPressure]. ",
        f"{K8S}/kubelet/eviction/eviction_manager.go",
        Reason.EVICTED,
    ),
)

ENDED = (
    _refused(
        "Evicted",
        "The node was low on resource: ephemeral-storage. Threshold quantity: 6, available: 4.",
        "kubernetes/kubernetes#122932",
        Reason.EVICTED,
        Stage.START,
    ),
    _refused(
        "Preempting",
        "Preempted in order to admit critical pod",
        f"{K8S}/kubelet/preemption/preemption.go",
        Reason.EVICTED,
        Stage.START,
    ),
    _refused(
        "Terminated",
        "Pod was terminated in response to imminent node shutdown.",
        f"{K8S}/kubelet/nodeshutdown/nodeshutdown_manager.go",
        Reason.EVICTED,
        Stage.START,
    ),
    _refused(
        "NodeLost",
        "Node n1 which was running pod p is unresponsive",
        f"{K8S}/controller/util/node/controller_utils.go",
        Reason.EVICTED,
        Stage.START,
    ),
    _refused("Shutdown", "Node is shutting, evicting pods", "kubernetes v1.21", Reason.EVICTED, Stage.START),
    *(
        Row(
            f"DisruptionTarget, {reason}: {message}",
            source,
            disrupted(reason, message, started=started),
            Stage.START,
            Reason.EVICTED,
            reason,
        )
        for reason, message, source, started in (
            (
                "TerminationByKubelet",
                "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi.",
                "k0sproject/k0s#3830",
                True,
            ),
            (
                "PreemptionByScheduler",
                "default-scheduler: preempting to accommodate a higher priority pod",
                f"{K8S}/scheduler/framework/preemption/preemption.go",
                True,
            ),
            (
                "DeletionByTaintManager",
                "Taint manager: deleting due to NoExecute taint",
                f"{K8S}/controller/tainteviction/taint_eviction.go",
                True,
            ),
            (
                "EvictionByEvictionAPI",
                "Eviction API: evicting",
                f"{K8S}/registry/core/pod/storage/eviction.go",
                True,
            ),
            (
                "DeletionByPodGC",
                "PodGC: node no longer exists",
                f"{K8S}/controller/podgc/gc_controller.go",
                False,
            ),
        )
    ),
    Row(
        "OOMKilled, exit code 137",
        "NVIDIA/aicr#70",
        ended(137, "OOMKilled"),
        Stage.IO,
        Reason.OUT_OF_MEMORY,
        "OOMKilled",
    ),
    Row(
        "StartError, exit code 128: failed to create containerd task: OCI runtime create failed: container init was"
        " OOM-killed (memory limit too low?)",
        "opencontainers/runc libcontainer/process_linux.go",
        ended(
            128, "StartError", "container init was OOM-killed (memory limit too low?): unknown", started=None
        ),
        Stage.START,
        Reason.OUT_OF_MEMORY,
        "memory limit too low",
    ),
)

_MOUNT = (
    f"/var/lib/kubelet/pods/2219aa68-92ca-4535-bc87-84a39bb9cb83/volumes/kubernetes.io~csi/{VOLUME}/mount"
)
_SPEC = f'failed to generate container "{"16" * 32}" spec: failed to generate spec'


def _dead(reason: str, message: str, source: str, keeps: str) -> Row:
    found = on_node(("Failed", f"Error: {message}"), waiting=StateWaiting(reason, message), seen=READY)
    return Row(f"{reason}: {message}", source, found, Stage.MOUNT, Reason.MOUNT_FAILED, keeps)


DEAD_MOUNTS = (
    _dead(
        "CreateContainerError",
        f'{_SPEC}: failed to stat "{_MOUNT}": stat {_MOUNT}: transport endpoint is not connected',
        "yandex-cloud/k8s-csi-s3#133",
        "transport endpoint is not connected",
    ),
    _dead(
        "CreateContainerError",
        f'{_SPEC}: failed to mkdir "{_MOUNT}": mkdir {_MOUNT}: file exists',
        "kubernetes-csi/csi-driver-smb#493",
        "file exists",
    ),
    _dead(
        "CreateContainerConfigError",
        f"stat {_MOUNT}: no such file or directory",
        "seaweedfs/seaweedfs-csi-driver#23",
        "no such file or directory",
    ),
    Row(
        f'StartError: failed to create containerd task: runc create failed: error mounting "{_MOUNT}" to rootfs at'
        ' "/pie": input/output error',
        "opencontainers/runc libcontainer/rootfs_linux.go",
        Run(
            MOUNT,
            T0,
            T0,
            ended(
                128,
                "StartError",
                f'failed to create containerd task: runc create failed: error mounting "{_MOUNT}" to rootfs at "/pie":'
                " input/output error",
                started=None,
            ).pod,
            claim=bound_claim(),
        ),
        Stage.MOUNT,
        Reason.MOUNT_FAILED,
        "input/output error",
    ),
)

NOT_STARTED = (
    Row(
        "phase Failed, without reason, conditions and containers: Pod was ended by a node agent",
        f"{K8S}/apis/core/types.go (PodFailed)",
        refused("", "Pod was ended by a node agent"),
        Stage.START,
        Reason.NOT_STARTED,
        "a node agent",
    ),
    Row(
        'StartError, exit code 128, startedAt 1970: failed to create containerd task: exec: "pie": executable file'
        " not found in $PATH",
        "kubernetes/kubernetes#120331",
        ended(128, "StartError", 'exec: "pie": executable file not found in $PATH: unknown', started=None),
        Stage.START,
        Reason.CONTAINER_START_FAILED,
        "not found in $PATH",
    ),
    Row(
        "StartError: failed to start containerd task: No such file or directory (os error 2)",
        "kata-containers/kata-containers#10872",
        ended(128, "StartError", "failed to start containerd task: No such file (os error 2)", started=None),
        Stage.START,
        Reason.CONTAINER_START_FAILED,
        "os error 2",
    ),
    Row(
        "ContainerCannotRun, exit code 127, startedAt is the pod's creation",
        "containerd/containerd#9080",
        ended(127, "ContainerCannotRun", "OCI runtime create failed: executable not found", started=0),
        Stage.START,
        Reason.CONTAINER_START_FAILED,
        "executable not found",
    ),
    Row(
        "Error, exit code 255, no message, at once: exec format error",
        "xelalexv/dregsy#115",
        ended(255, "Error", started=8),
        Stage.START,
        Reason.CONTAINER_START_FAILED,
        "exit code 255",
    ),
    Row(
        "Unknown, exit code 255: the node rebooted while the container ran",
        "containerd pkg/cri/server/helpers.go",
        ended(255, "Unknown"),
        Stage.IO,
        Reason.NO_RESULT,
        "exit code 255",
    ),
    Row(
        "ContainerStatusUnknown, exit code 137: The container could not be located when the pod was terminated",
        f"{K8S}/kubelet/status/status_manager.go",
        ended(137, "ContainerStatusUnknown", "The container could not be located", started=None),
        Stage.START,
        Reason.NO_RESULT,
        "could not be located",
    ),
    Row(
        "CreateContainerError: failed to reserve container name … after context deadline exceeded",
        "containerd/containerd#4604",
        on_node(
            ("Failed", "Error: context deadline exceeded"),
            ("Failed", 'Error: failed to reserve container name "probe_p_ns": is reserved for "4ab"'),
            waiting=StateWaiting("CreateContainerError", "failed to reserve container name"),
            seen=READY,
        ),
        Stage.START,
        Reason.CONTAINER_START_FAILED,
        "deadline exceeded",
    ),
    Row(
        "FailedCreatePodSandBox: … context deadline exceeded → failed to reserve sandbox name",
        "kubernetes/kubernetes#107561",
        on_node(
            (
                "FailedCreatePodSandBox",
                "Failed to create pod sandbox: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
            ),
            (
                "FailedCreatePodSandBox",
                (
                    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to reserve sandbox name"
                    ' "p_ns_0": name "p_ns_0" is reserved for "4ab"'
                ),
            ),
        ),
        Stage.START,
        Reason.SANDBOX_FAILED,
        "context deadline exceeded",
    ),
    Row(
        "NetworkNotReady: network is not ready: container runtime network not ready: cni plugin not initialized",
        f"{K8S}/kubelet/kubelet.go",
        on_node(("NetworkNotReady", "network is not ready: container runtime network not ready: cni plugin")),
        Stage.START,
        Reason.SANDBOX_FAILED,
        "network is not ready",
    ),
    Row(
        "Failed: error making pod data directories: mkdir …: no space left on device",
        f"{K8S}/kubelet/kubelet.go",
        on_node(
            ("Failed", "error making pod data directories: mkdir /var/lib/kubelet: no space left on device")
        ),
        Stage.START,
        Reason.CONTAINER_START_FAILED,
        "no space left on device",
    ),
)
