"""Incidents, and what they come from: findings about targets, and a PieProbe at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pie.core.kinds import is_canary
from pie.core.model import Stage, Target
from pie.core.reasons import Reason, WithReason

EVERY_NODE = ""
"""In a set of node names it stands for all nodes. It is also the node of a target of the whole class."""


class Closing(StrEnum):
    """Why an incident was closed; see `pie.core.incidents.close`."""

    RECOVERED = "Recovered"
    SUPPRESSED = "Suppressed"
    GONE = "Gone"
    REPLACED = "Replaced"


class Scope(StrEnum):
    """How far an incident reaches, from narrow to wide.

    `node` is one node or a few: less than half of a zone, and less than half of the class.
    """

    NODE = "node"
    ZONE = "zone"
    CLASS = "class"

    @property
    def width(self) -> int:
        """A number that is larger for a wider scope."""
        return list(Scope).index(self)


@dataclass(frozen=True, slots=True)
class Finding(WithReason):
    """A target that is bad or cannot be tested: in which stage, why, the evidence, and on which node.

    `first_bad` is the due time of the first of its consecutive bad runs, epoch seconds; `bad_runs` is their
    number. Due times that a stuck run blocked count, too.
    """

    target: Target
    stage: Stage
    reason: Reason
    evidence: str
    node: str
    first_bad: float
    bad_runs: int


@dataclass(frozen=True, slots=True)
class View:
    """A PieProbe at one moment.

    `zones` are the matching nodes that are not under maintenance, each with its zone or "". `unheard` are the
    targets without a verdict so far, for example after a restart or after maintenance. `well` are the targets
    whose last run was good, with its due time (epoch seconds). `suppressed` are other targets that are
    suppressed now, and why. `settled`: pie knows all volumes that runs left behind. `paused` says why no run
    starts; empty: runs start. `replaced`: when pie gave targets that are well a new mount, since the old one
    was dead.
    """

    findings: tuple[Finding, ...]
    zones: Mapping[str, str]
    unheard: frozenset[Target] = frozenset()
    settled: bool = True
    well: Mapping[Target, float] = field(default_factory=dict)
    suppressed: Mapping[Target, Reason] = field(default_factory=dict)
    paused: str = ""
    replaced: Mapping[Target, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incident(WithReason):
    """One fault. `nodes` are the nodes on which it was seen, `targets` is the number of bad targets.

    `provision`: the provision target is bad, too; `canaries` are those that are bad. `restored`: the incident
    was read from a status, and no new run has confirmed it yet. `closed_because` and `closed_message` (which
    nodes are under maintenance) say why it was closed, if that is known. `storage_class` is empty if an
    earlier version of pie stored it.
    """

    id: str
    scope: Scope
    stage: Stage
    reason: Reason
    evidence: str
    opened_at: float
    nodes: frozenset[str] = frozenset()
    provision: bool = False
    canaries: frozenset[str] = frozenset()
    zone: str = ""
    targets: int = 0
    closed_at: float | None = None
    closed_because: Closing | None = None
    closed_message: str = ""
    restored: bool = False
    storage_class: str = ""

    def concerns(self, target: Target) -> bool:
        """Tell whether it was seen on a target; a status has only some of many nodes: then it may be any."""
        if self.storage_class not in {"", target.storage_class}:
            return False
        if not target.node:
            return target.kind in self.canaries if is_canary(target) else self.provision
        return target.node in self.nodes or len(self.nodes) < self.on_nodes

    @property
    def on_nodes(self) -> int:
        """How many of its targets are those of nodes."""
        return self.targets - self.provision - len(self.canaries)

    @property
    def only_canaries(self) -> bool:
        """Whether nothing but canaries is bad."""
        return bool(self.canaries) and not self.provision and not self.on_nodes
