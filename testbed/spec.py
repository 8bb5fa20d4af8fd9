"""The parts of a testbed. The caller writes this file, and the supervisor reads it."""

from pathlib import Path

import msgspec

SPEC_FILE = "spec.json"
CONTROL_SOCKET = "control.sock"
KUBECONFIG_FILE = "kubeconfig"
AUDIT_LOG_FILE = "audit.log"
LOG_DIRECTORY = "logs"
IMAGES_DIRECTORY = "images"
# The process that cleans up after the testbed holds this lock until it ends.
LOCK_FILE = "lock"


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The parts of one testbed."""

    nodes: int = 0
    """Real nodes (kubelet, containerd, runc), named node-1, node-2, …"""
    kwok_nodes: int = 0
    """Simulated nodes, named kwok-1, kwok-2, …"""
    pool_bytes: int = 4 * 2**30
    """The capacity for all volumes of one real node."""
    attachable: bool = False
    """Real nodes also have storage that must be attached first, StorageClass `attachable`."""
    kubernetes: str = ""
    """Which Kubernetes, by the suffix of its programs: `1.37` has `kube-apiserver-1.37`, `kubelet-1.37` …
    Of `oldest`, the oldest that pie supports, there is the API server only. Nothing: the usual one."""
    kube_controller_manager: bool = True
    kube_scheduler: bool = True
    arguments: dict[str, list[str]] = {}
    """More command line, by component: `{"kube-controller-manager": ["--kube-api-qps=20"]}`."""

    @property
    def components(self) -> list[str]:
        """The control plane's components besides etcd and kube-apiserver."""
        wanted = {
            "kube-controller-manager": self.kube_controller_manager,
            "kube-scheduler": self.kube_scheduler,
        }
        return [component for component, runs in wanted.items() if runs]

    @property
    def programs(self) -> list[str]:
        """The Go programs that it needs."""
        kubernetes = ["kube-apiserver", *self.components, *(["kubelet"] if self.nodes else [])]
        sidecars = ["csi-provisioner", "csi-resizer"] if self.nodes else []
        attacher = ["csi-attacher"] if self.nodes and self.attachable else []
        kwok = ["kwok"] if self.kwok_nodes else []
        return ["etcd", *map(self.program, kubernetes), *sidecars, *attacher, *kwok]

    def program(self, component: str) -> str:
        """Return the program of a component of Kubernetes, of the wanted version."""
        return f"{component}-{self.kubernetes}" if self.kubernetes else component

    @property
    def node_names(self) -> list[str]:
        """The real nodes' names."""
        return [f"node-{number}" for number in range(1, self.nodes + 1)]

    @property
    def kwok_node_names(self) -> list[str]:
        """The simulated nodes' names."""
        return [f"kwok-{number}" for number in range(1, self.kwok_nodes + 1)]


def write_spec(directory: Path, spec: Spec) -> None:
    """Write the spec to where the supervisor reads it."""
    (directory / SPEC_FILE).write_bytes(msgspec.json.encode(spec))


def read_spec(directory: Path) -> Spec:
    """Read what `write_spec` wrote."""
    return msgspec.json.decode((directory / SPEC_FILE).read_bytes(), type=Spec)
