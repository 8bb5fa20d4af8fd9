"""What happens to a pod on a simulated node: KWOK's state machine."""

from collections.abc import Mapping
from string import Template
from typing import Any

from pie.core.result import IoStats, Latency, Outcome, RecordStats, Result, encode
from testbed.webhook import LINGERS

PROVISIONER = "kwok.pie.test"
"""The provisioner of the StorageClass `kwok`, for simulated nodes."""
WITHOUT_DRIVER, OTHER_OS, OTHER_ARCHITECTURE = "kwok-without-driver", "kwok-other-os", "kwok-other-arch"
"""Names of nodes on which probes cannot run."""
_IDENTITY = "0" * 32
_LATENCY = Latency(
    iops=5000.0, mean_seconds=0.0002, p50_seconds=0.00018, p99_seconds=0.0009, max_seconds=0.002
)
_NOT_BEGUN = {"key": ".status.startTime", "operator": "DoesNotExist"}
_NOT_ENDED = {"key": ".status.containerStatuses.[].state.terminated", "operator": "DoesNotExist"}


def stages() -> list[dict[str, Any]]:
    """KWOK's state machine: what happens to a node or a pod in some state, and after how long."""
    alive = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    ends = {"key": ".spec.restartPolicy", "operator": "In", "values": ["Never"]}
    return [
        # Nodes stay as they are: a node that a test makes NotReady must stay NotReady.
        _stage("Node", "node-stays", [{"key": ".metadata.name", "operator": "DoesNotExist"}]),
        _stage(
            "Pod",
            "pod-runs",
            [alive, _on("NotIn", *_ODD_PODS), _phase("Pending")],
            status=_STATUS.substitute(conditions=_CONDITIONS, ready="true", state=_RUNNING, phase="Running"),
            delay_milliseconds=500,
        ),
        *(
            _stage(
                "Pod",
                name,
                [alive, _on("In", name), _phase("Pending"), _NOT_BEGUN],
                status=status,
                event=event,
                delay_milliseconds=500,
            )
            for name, (status, event) in _ODD_PODS.items()
        ),
        _stage(
            "Pod",
            "pod-ends",
            [alive, ends, _phase("Running"), _NOT_ENDED],
            status=_pod_ends(),
            delay_milliseconds=1000,
        ),
        _stage("Pod", "pod-goes", [{"key": ".metadata.deletionTimestamp", "operator": "Exists"}]),
    ]


def _stage(
    kind: str,
    name: str,
    matches: list[dict[str, Any]],
    *,
    status: str = "",
    event: Mapping[str, str] | None = None,
    delay_milliseconds: int = 0,
) -> dict[str, Any]:
    after: dict[str, Any] = {"statusTemplate": status} if status else {"delete": True}
    if event:
        after["event"] = {"type": "Warning", **event}
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


def _on(operator: str, *nodes: str) -> dict[str, Any]:
    return {"key": ".spec.nodeName", "operator": operator, "values": list(nodes)}


def _phase(phase: str) -> dict[str, Any]:
    return {"key": ".status.phase", "operator": "In", "values": [phase]}


def _result(probe: Any) -> str:
    """Return the result of a good probe; the stage puts the identity into its place later."""
    # The sequence is always the same, since a template has no memory: this means "nothing was lost".
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


_STATUS = Template("""
{{ $$now := Now }}$conditions
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  imageID: ""
  name: {{ .name | Quote }}
  ready: $ready
  restartCount: 0
  started: $ready
  state:
    $state
{{ end }}
phase: $phase
startTime: {{ $$now | Quote }}
""")

_CONDITIONS = """
conditions:
{{ range (list "PodReadyToStartContainers" "Initialized" "Ready" "ContainersReady") }}
- lastTransitionTime: {{ $now | Quote }}
  status: "True"
  type: {{ . }}
{{ end }}"""

_RUNNING = """running:
      startedAt: {{ $now | Quote }}"""

_FAILED = """terminated:
      exitCode: 255
      finishedAt: {{ $now | Quote }}
      reason: Error
      startedAt: {{ $now | Quote }}"""


def _waits(reason: str) -> str:
    state = f"waiting:\n      reason: {reason}"
    return _STATUS.substitute(conditions="", ready="false", state=state, phase="Pending")


_ODD_PODS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    WITHOUT_DRIVER: (
        _waits("ContainerCreating"),
        {
            "reason": "FailedMount",
            "message": (
                "MountVolume.MountDevice failed: kubernetes.io/csi: attacher.MountDevice failed to create"
                f" newCsiDriverClient: driver name {PROVISIONER} not found in the list of registered CSI"
                " drivers"
            ),
        },
    ),
    OTHER_OS: (
        _waits("ErrImagePull"),
        {
            "reason": "Failed",
            "message": (
                'Failed to pull image "pie.test/pie:dev": no matching manifest for windows(10.0.20348)/amd64'
                " in the manifest list entries"
            ),
        },
    ),
    OTHER_ARCHITECTURE: (_STATUS.substitute(conditions="", ready="false", state=_FAILED, phase="Failed"), {}),
}
"""What happens to a pod on a node of this name: its status, and an Event."""

_POD_ENDS = Template("""
{{ $$now := Now }}
{{ $$phase := "Succeeded" }}
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
  restartCount: 0
{{ if hasSuffix "$lingers" $$container.name }}
{{ $$phase = "Running" }}
  ready: true
  started: true
  state:
    running:
      startedAt: {{ (index $$root.status.containerStatuses $$index).state.running.startedAt | Quote }}
{{ else }}
  ready: false
  started: false
  state:
    terminated:
      exitCode: 0
      finishedAt: {{ $$now | Quote }}
      message: {{ replace "$identity" $$identity $$result | Quote }}
      reason: Completed
      startedAt: {{ (index $$root.status.containerStatuses $$index).state.running.startedAt | Quote }}
{{ end }}
{{ end }}
phase: {{ $$phase }}
""")


def _pod_ends() -> str:
    return _POD_ENDS.substitute(
        provision=_result("provision"), mount=_result("mount"), identity=_IDENTITY, lingers=LINGERS
    )
