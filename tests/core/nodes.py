"""Short ways to say what a node looks like."""

from typing import Any

from pie.core.wire import Condition, Metadata, Node, NodeInfo, NodeSpec, NodeStatus, Taint
from tests.core.build import at

LONG_AGO = -86_400.0


def node(
    *,
    ready: str | None = "True",
    ready_since: float = LONG_AGO,
    created: float = LONG_AGO,
    boot_id: str = "boot-1",
    taints: tuple[Taint, ...] = (),
    cordoned: bool = False,
    deleted: float | None = None,
    conditions: tuple[Condition, ...] = (),
    **metadata: Any,
) -> Node:
    """Return a node, by default Ready for long and without a mark; times are seconds after T0."""
    known = (
        () if ready is None else (Condition("Ready", ready, "Kubelet", "words", at(ready_since)),)
    ) + conditions
    return Node(
        metadata=Metadata(
            name="n1", creation_timestamp=at(created), deletion_timestamp=at(deleted), **metadata
        ),
        spec=NodeSpec(unschedulable=cordoned, taints=taints),
        status=NodeStatus(conditions=known, node_info=NodeInfo(boot_id)),
    )
