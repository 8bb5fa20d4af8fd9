"""Which nodes can run probes at all. On the others a PieProbe has no targets, as a condition says.

The image is for Linux and for some architectures. A virtual node has no kubelet that mounts volumes of CSI
drivers. A class may have its volumes in some parts of the cluster only.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pie.core.conditions import Condition, explained, status_condition
from pie.core.model import Probe
from pie.core.reasons import Reason
from pie.core.text import few, one_line
from pie.core.wire import Node, StorageClass

CONDITION: Final = "NodesWithoutProbes"
_CAUSES: Final = 5

_WINDOWS: Final = "windows"
_OS: Final = "kubernetes.io/os"
_ARCHITECTURE: Final = "kubernetes.io/arch"
_VIRTUAL_LABELS: Final = {"eks.amazonaws.com/compute-type": "fargate", "type": "virtual-kubelet"}
_VIRTUAL_TAINTS: Final = {"eks.amazonaws.com/compute-type": "fargate", "virtual-kubelet.io/provider": ""}
_GO_ARCHITECTURES: Final = frozenset(
    {"386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"}
)
_TOPOLOGY_NAMES: Final = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
"""What StorageClasses of in-tree drivers say, and what nodes are labelled with."""


def unsuitable(node: Node, probe: Probe, storage_class: StorageClass | None) -> str:
    """Return what keeps probes from running on a node; empty: nothing does."""
    return next((why for check in _CHECKS if (why := check(node, probe, storage_class))), "")


def _other_system(node: Node, _probe: Probe, _class: StorageClass | None) -> str:
    system = node.metadata.labels.get(_OS) or node.status.node_info.operating_system
    return "Windows" if system.lower() == _WINDOWS else ""


def _virtual(node: Node, _probe: Probe, _class: StorageClass | None) -> str:
    labels = node.metadata.labels
    by_label = any(labels.get(key) == value for key, value in _VIRTUAL_LABELS.items())
    by_taint = any(_VIRTUAL_TAINTS.get(taint.key) in {"", taint.value} for taint in node.spec.taints)
    return "virtual node" if by_label or by_taint else ""


def _other_architecture(node: Node, probe: Probe, _class: StorageClass | None) -> str:
    found = node.metadata.labels.get(_ARCHITECTURE) or node.status.node_info.architecture
    foreign = probe.architectures and found in _GO_ARCHITECTURES and found not in probe.architectures
    return f"architecture {found}" if foreign else ""


def _outside(node: Node, _probe: Probe, storage_class: StorageClass | None) -> str:
    terms = storage_class.allowed_topologies if storage_class is not None else ()
    if not terms or any(_allows(term.match_label_expressions, node.metadata.labels) for term in terms):
        return ""
    return "outside the allowedTopologies of the StorageClass"


def _allows(expressions: Iterable[Any], labels: Mapping[str, str]) -> bool:
    # A node without the label may get it from its driver, which is missing there or not ready.
    found = ((labels.get(_TOPOLOGY_NAMES.get(each.key, each.key)), each.values) for each in expressions)
    return all(value is None or value in values for value, values in found)


_CHECKS: Final[tuple[Callable[[Node, Probe, StorageClass | None], str], ...]] = (
    _other_system,
    _virtual,
    _other_architecture,
    _outside,
)


def avoided(architectures: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the rules of a node selector that keep a pod off nodes whose labels say that it cannot run.

    A node without such a label passes. Without `architectures` the nodes were chosen before.
    """
    if not architectures:
        return []
    others = sorted(_GO_ARCHITECTURES - set(architectures))
    unwanted = {_OS: [_WINDOWS], _ARCHITECTURE: others}
    unwanted |= {key: [value] for key, value in _VIRTUAL_LABELS.items()}
    return [{"key": key, "operator": "NotIn", "values": values} for key, values in unwanted.items() if values]


def without_probes(left_out: Mapping[str, str], matching: int) -> Condition:
    """Return the condition: which matching nodes, by name, have no probes, and why.

    `matching` counts the nodes that do.
    """
    if not left_out:
        message = "all nodes that spec.nodeSelector matches can run probes"
        return status_condition(CONDITION, "False", Reason.OK, message)
    by_reason: dict[str, list[str]] = {}
    for name, why in sorted(left_out.items()):
        by_reason.setdefault(one_line(why), []).append(name)
    listed = [f"{len(names)} ({why}): {few(names)}" for why, names in sorted(by_reason.items())[:_CAUSES]]
    more = f"; and {len(by_reason) - _CAUSES} other causes" if len(by_reason) > _CAUSES else ""
    total = matching + len(left_out)
    reason, nodes = Reason.NODE_UNSUITABLE, f"{len(left_out)} of {total} matching nodes"
    message = explained(f"{nodes} have no probes: {'; '.join(listed)}{more}", reason)
    return status_condition(CONDITION, "True", reason, message)
