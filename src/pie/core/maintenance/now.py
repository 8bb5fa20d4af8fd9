"""Whether runs on a node are suppressed now: from facts about the node, and the time, to a Suppression.

A node that is Ready and has no mark is never suppressed. A mark is what Kubernetes says of the node
(deletion, cordon, NotReady, taints), what other programs set on it (`marks`), and what the spec names. A node
that has just booted, or was just created, is suppressed for a limited time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pie.core.driver import is_startup_taint
from pie.core.maintenance.marks import OPENSHIFT_CONFIGS, WELL_KNOWN
from pie.core.model import HARD_EFFECTS, Mark, MarkKind, Probe
from pie.core.reasons import Reason
from pie.core.text import one_line
from pie.core.tolerations import tolerated
from pie.core.wire import Condition, Node, Taint, condition, epoch_seconds


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why bad runs on a node do not count as bad storage; `message` names the mark.

    `since` is when the mark was set, if the node says it, else when pie saw it. `blocks`: no run can work
    there, so pie starts none; otherwise runs go on, and a good run ends the suppression. `ends_at` is when it
    ends by time alone.
    """

    reason: Reason
    message: str
    since: float
    blocks: bool = True
    ends_at: float | None = None


@dataclass(frozen=True, slots=True)
class NodeNow:
    """A node now; from its history when it booted, and when its last good run began (0.0: not seen).

    `driver` is the name of the driver that the PieProbe probes.
    """

    node: Node
    now: float
    rebooted_at: float = 0.0
    proven_at: float = 0.0
    driver: str = ""


def suppression(facts: NodeNow, probe: Probe) -> Suppression | None:
    """Return why runs of this probe on the node are suppressed now; None: they count.

    The first check that finds something gives the reason, so a cordon is not reported as its taint.
    """
    for check in _CHECKS:
        if (found := check(facts, probe)) is not None:
            return replace(found, message=one_line(found.message))
    return None


def _deleted(facts: NodeNow, _probe: Probe) -> Suppression | None:
    deleted = facts.node.metadata.deletion_timestamp
    if deleted is None:
        return None
    return Suppression(Reason.NODE_DELETED, "the node is being deleted", _since(deleted, facts.now))


def _marked(facts: NodeNow, probe: Probe) -> Suppression | None:
    rules = probe.suppression
    for mark in rules.marks:
        if (found := _carries(facts.node, mark)) is not None:
            return Suppression(
                Reason.NODE_MARKED, f"{found.text} (spec.suppression)", _since(found.since, facts.now)
            )
    if rules.well_known:
        for mark, meaning in WELL_KNOWN.items():
            if (found := _carries(facts.node, mark)) is not None:
                return Suppression(
                    Reason.NODE_MARKED, f"{found.text}: {meaning}", _since(found.since, facts.now)
                )
        return _reconfigured(facts)
    return None


def _reconfigured(facts: NodeNow) -> Suppression | None:
    current, desired = (facts.node.metadata.annotations.get(key, "") for key in OPENSHIFT_CONFIGS)
    if current == desired or not current or not desired:
        return None
    message = (
        f"annotation {OPENSHIFT_CONFIGS[1]} is not yet {OPENSHIFT_CONFIGS[0]}: the node will be reconfigured"
    )
    return Suppression(Reason.NODE_MARKED, message, facts.now)


def _cordoned(facts: NodeNow, _probe: Probe) -> Suppression | None:
    if not facts.node.spec.unschedulable:
        return None
    # The node controller notes the time in the taint that it adds to a cordoned node.
    cordon = (taint for taint in facts.node.spec.taints if taint.key == "node.kubernetes.io/unschedulable")
    stamp = next((taint.time_added for taint in cordon), None)
    return Suppression(Reason.NODE_CORDONED, "spec.unschedulable is true", _since(stamp, facts.now))


def _not_ready(facts: NodeNow, _probe: Probe) -> Suppression | None:
    ready = condition(facts.node.status.conditions, "Ready")
    if ready is not None and ready.status == "True":
        return None
    if ready is None:
        return Suppression(Reason.NODE_NOT_READY, "the node has no condition Ready", facts.now)
    words = f"{ready.reason} {ready.message}".strip()
    message = f"condition Ready is {ready.status}{': ' if words else ''}{words}"
    return Suppression(Reason.NODE_NOT_READY, message, _since(ready.last_transition_time, facts.now))


def _tainted(facts: NodeNow, probe: Probe) -> Suppression | None:
    for taint in facts.node.spec.taints:
        if is_startup_taint(taint, facts.driver):
            continue  # It is no maintenance; see `pie.core.driver`.
        if taint.effect in HARD_EFFECTS and not tolerated(taint, probe.tolerations):
            message = f"taint {taint_text(taint)} is not tolerated"
            return Suppression(Reason.NODE_TAINTED, message, _since(taint.time_added, facts.now))
    return None


def _rebooted(facts: NodeNow, probe: Probe) -> Suppression | None:
    message = "the node has booted"
    return _grace(
        Reason.NODE_REBOOTED, message, facts, facts.rebooted_at, probe.suppression.reboot_grace_seconds
    )


def _new(facts: NodeNow, probe: Probe) -> Suppression | None:
    created = facts.node.metadata.created_seconds
    message = "the node is new"
    return _grace(Reason.NODE_NEW, message, facts, created, probe.suppression.new_node_grace_seconds)


def _grace(reason: Reason, message: str, facts: NodeNow, began: float, seconds: float) -> Suppression | None:
    if not began or facts.proven_at > began or facts.now >= began + seconds:
        return None
    message = f"{message}; bad runs are suppressed for {seconds:g} s, or until the first good run"
    return Suppression(reason, message, began, blocks=False, ends_at=began + seconds)


# The most specific check comes first: a cordoned node has a taint, too; one that is shut down is not Ready.
_CHECKS = (_deleted, _marked, _cordoned, _not_ready, _tainted, _rebooted, _new)


@dataclass(frozen=True, slots=True)
class _Found:
    text: str
    since: datetime | None = None


def _carries(node: Node, mark: Mark) -> _Found | None:
    match mark.kind:
        case MarkKind.TAINT:
            return _tainted_by(node.spec.taints, mark)
        case MarkKind.CONDITION:
            return _in_condition(node.status.conditions, mark)
        case MarkKind.LABEL:
            return _in_map(node.metadata.labels, mark)
        case MarkKind.ANNOTATION:
            return _in_map(node.metadata.annotations, mark)


def _tainted_by(taints: tuple[Taint, ...], mark: Mark) -> _Found | None:
    for taint in taints:
        hard = taint.effect in HARD_EFFECTS and mark.effect in {"", taint.effect}
        if hard and taint.key == mark.key and mark.value in {"", taint.value}:
            return _Found(f"taint {taint_text(taint)}", taint.time_added)
    return None


def _in_condition(conditions: tuple[Condition, ...], mark: Mark) -> _Found | None:
    found = condition(conditions, mark.key)
    if found is None or found.status != (mark.value or "True"):
        return None
    return _Found(f"condition {found.type} is {found.status}", found.last_transition_time)


def _in_map(values: Mapping[str, str], mark: Mark) -> _Found | None:
    value = values.get(mark.key)
    if value is None or mark.value not in {"", value}:
        return None
    # Annotations may be long; the key is what an operator looks for.
    return _Found(str(mark))


def taint_text(taint: Taint) -> str:
    """Return a taint as kubectl writes it: `key=value:effect`."""
    return f"{taint.key}{'=' if taint.value else ''}{taint.value}:{taint.effect}"


def _since(stamp: datetime | None, now: float) -> float:
    return min(epoch_seconds(stamp), now) if stamp is not None else now
