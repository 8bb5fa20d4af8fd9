"""What incidents are made of: findings about targets, and how a PieProbe is at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pie.core.model import Stage, Target
from pie.core.reasons import AREA, CANNOT_TEST, CERTAIN, Area, Reason

# In a set of names of nodes: all of them. It is also the node of a provision target.
EVERY_NODE = ""


class Closing(StrEnum):
    """Why an incident is over; see `pie.core.incidents.close`."""

    RECOVERED = "Recovered"
    SUPPRESSED = "Suppressed"
    GONE = "Gone"


class Scope(StrEnum):
    """How far an incident reaches. `node`: one node or a few, less than a zone or half of the class."""

    NODE = "node"
    ZONE = "zone"
    CLASS = "class"


@dataclass(frozen=True, slots=True)
class Finding:
    """A target that is bad, or cannot be tested: where, why, on what evidence, on which node it was seen.

    `first_bad` is the due time of the first bad run in a row, epoch seconds; `bad_runs` how many there were,
    due times at which a stuck run stood in the way included.
    """

    target: Target
    stage: Stage
    reason: Reason
    evidence: str
    node: str
    first_bad: float
    bad_runs: int

    @property
    def certain(self) -> bool:
        """Whether it is a fact that a run read, which no maintenance explains or takes back."""
        return self.reason in CERTAIN

    @property
    def area(self) -> Area:
        """Whose problem it is."""
        return AREA[self.reason]

    @property
    def blind(self) -> bool:
        """Whether the storage could not be tested."""
        return self.area in CANNOT_TEST


@dataclass(frozen=True, slots=True)
class View:
    """A PieProbe at one moment.

    `zones` are the nodes that could tell (matching, not in maintenance), each with its zone or "". `unheard`
    are targets without a verdict so far, as after a restart or their maintenance. `well` are those whose last
    run was good, and when it was due (epoch seconds); `suppressed` the others that are so now, and why.
    `settled`: what runs left behind is known. `paused`: the user paused the PieProbe.
    """

    findings: tuple[Finding, ...]
    zones: Mapping[str, str]
    unheard: frozenset[Target] = frozenset()
    settled: bool = True
    well: Mapping[Target, float] = field(default_factory=dict)
    suppressed: Mapping[Target, Reason] = field(default_factory=dict)
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Incident:
    """One fault. `nodes` are all it was seen on, `targets` how many; `provision`: that probe is in it too.

    `restored`: read from a status and not yet confirmed by new runs. `closed_because` and `closed_message`
    (the nodes under maintenance) say why it was closed, if that is known.
    """

    id: str
    scope: Scope
    stage: Stage
    reason: Reason
    evidence: str
    opened_at: float
    nodes: frozenset[str] = frozenset()
    provision: bool = False
    zone: str = ""
    targets: int = 0
    closed_at: float | None = None
    closed_because: Closing | None = None
    closed_message: str = ""
    restored: bool = False

    @property
    def area(self) -> Area:
        """Whose problem it is."""
        return AREA[self.reason]

    @property
    def blind(self) -> bool:
        """Whether the storage cannot be tested."""
        return self.area in CANNOT_TEST

    def concerns(self, target: Target) -> bool:
        """Tell whether it was seen on a target; of many nodes a status keeps some, so it may be on any."""
        if not target.node:
            return self.provision
        return target.node in self.nodes or len(self.nodes) < self.targets - self.provision
