"""The words of pie as types: what a user asks for, what is checked, and what came of it.

All durations are seconds; all times are epoch seconds on the API server's clock.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The kinds of probe."""

    PROVISION = "provision"
    MOUNT = "mount"


class Verdict(StrEnum):
    """What became of a run, or of a target's last run."""

    OK = "ok"
    LATE = "late"
    FAILED = "failed"
    HUNG = "hung"
    SUPPRESSED = "suppressed"
    PENDING = "pending"


BAD = frozenset({Verdict.LATE, Verdict.FAILED, Verdict.HUNG})


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """What a probe checks: a class (`node` empty), or a class on a node."""

    probe: str
    kind: Kind
    storage_class: str
    node: str = ""

    def __str__(self) -> str:
        """Return a short form for logs: kind/probe/class, and the node of a mount target."""
        return "/".join(part for part in (self.kind, self.probe, self.storage_class, self.node) if part)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One expression of a node selector term: `key operator values`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """A node selector term: all of its expressions and fields must match."""

    expressions: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Probe:
    """A PieProbe, parsed: what to check, how often, and when a run counts as late.

    `node_selector` is a disjunction of terms. `node_selector_json`, `resources` and `tolerations` are kept as
    the user wrote them, for the pods.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    storage_class: str
    node_selector: tuple[Term, ...]
    node_selector_json: dict[str, Any]
    period_seconds: int = 60
    threshold_seconds: float = 60.0
    deadline_seconds: float = 60.0
    pvc_capacity: str = "100Mi"
    provision_enabled: bool = True
    mount_enabled: bool = True
    provision_on_retain: bool = False
    resources: dict[str, Any] = field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    priority_class_name: str = ""

    def target(self, kind: Kind, node: str = "") -> Target:
        """Return this probe's target of a kind; `node` is empty for the provision probe."""
        return Target(self.name, kind, self.storage_class, node)
