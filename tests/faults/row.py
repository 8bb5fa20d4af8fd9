"""What a row of the fault matrix is: something that breaks, what pie must say of it, and what it said."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from pie.core.reasons import AREA, Area, Reason
from tests.faults.breaks import Break

PERIOD_SECONDS = 60
THRESHOLD_SECONDS = 45
DEADLINE_SECONDS = 50
SLACK_SECONDS = 10
REBOOT_GRACE_SECONDS = 90
NAMESPACE = "pie"


class Moment(StrEnum):
    """When a fault begins."""

    QUIET = "quiet"
    MID_RUN = "mid-run"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What pie said. Seconds are from the fault's beginning, or from its end: `clear_seconds`.

    `seen_seconds`: until the first bad run was counted; `detect_seconds`: until the verdict was told, in an
    incident or as a suppression. None: it did not come. `alert`: how often the alert fired, where that was
    right. `problems` is what it should not have said.
    """

    verdict: str = ""
    stage: str = ""
    reason: str = ""
    scope: str = ""
    nodes: tuple[str, ...] = ()
    area: str = ""
    evidence: str = ""
    seen_seconds: float | None = None
    detect_seconds: float | None = None
    clear_seconds: float | None = None
    alert: str = ""
    problems: tuple[str, ...] = ()

    def at(self, seen_seconds: float | None, detect_seconds: float | None) -> Self:
        """Return it with the times at which it was seen and told."""
        return replace(self, seen_seconds=seen_seconds, detect_seconds=detect_seconds)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What pie must say.

    `verdict` is that of the runs (`gone`: their target is); `nodes` those whose mount probes suffer,
    `creation` tells whether the provision probe may; `evidence` is part of the incident's. For so long as
    `grace_seconds` no run need be bad. `resident`: only the mount that stays is bad, and runs are good.
    """

    verdict: str
    stage: str = ""
    reason: str = ""
    scope: str = ""
    nodes: tuple[str, ...] = ()
    creation: bool = False
    evidence: str = ""
    grace_seconds: float = 0.0
    resident: bool = False

    @property
    def incident(self) -> bool:
        """Whether there must be one incident; else there must be none."""
        return bool(self.scope)

    @property
    def area(self) -> str:
        """Whose problem the incident must be called."""
        return AREA[Reason(self.reason)] if self.incident else ""

    @property
    def alert(self) -> str:
        """How often the alert on incidents of the storage must fire."""
        return "once" if self.area == Area.STORAGE else "never"

    @property
    def inconclusive(self) -> bool:
        """Whether the runs can say nothing of the storage."""
        return self.verdict == "inconclusive"

    def matches(self, given: Given) -> bool:
        """Tell whether this was said."""
        said = (given.verdict, given.stage, given.reason, given.scope, given.nodes, given.area)
        wanted = (self.verdict, self.stage, self.reason, self.scope, self.nodes, self.area)
        return said == wanted and self.evidence in given.evidence

    def may_hold_against(self, node: str) -> bool:
        """Tell whether bad runs may be counted for a node; "" is the class."""
        if not self.incident or self.inconclusive or self.resident:
            return False
        return node in self.nodes if node else self.creation

    @property
    def seen_within_seconds(self) -> float | None:
        """Until when the first bad run must be counted; None where no run is bad."""
        if (
            not self.incident
            or self.inconclusive
            or self.resident
            or self.verdict == "ok"
            or self.reason == Reason.IO_SLOW
        ):
            return None
        if not self.nodes:  # the run is followed by one elsewhere before the class is called bad
            return PERIOD_SECONDS + 2 * (THRESHOLD_SECONDS + SLACK_SECONDS)
        limit = THRESHOLD_SECONDS if self.verdict == "late" else DEADLINE_SECONDS
        return self.grace_seconds + PERIOD_SECONDS + limit + SLACK_SECONDS


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A PieProbe of this name, on some real nodes.

    `last`: it suffers alone, when all others are done. `namespace`: whose limits and quotas it has; each has
    a controller of its own. `cpu`: what its pods ask for. `resident`: it has resident probes, too.
    """

    name: str
    nodes: tuple[str, ...]
    storage_class: str = "local"
    mounts: bool = True
    provision: bool = True
    last: bool = False
    namespace: str = NAMESPACE
    cpu: str = ""
    resident: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault and what must come of it.

    `running_on`: for MID_RUN, the node whose run is waited for. `good_runs`: how many of them each mount
    target must have had before, to be held against its own history. `hold_seconds`: how long it lasts after
    the verdict. `counts_suppressed`: it lasts until a suppressed run is counted. `counts_good`: it lasts
    until so many more runs of each mount target have gone well, which they must. `application_on`: a node
    where an application must go on writing to its volume. `quick`: it is among those that CI runs.
    `needs`: a lane whose volumes must be there until this row is done.
    """

    lane: Lane
    title: str
    breaks: tuple[Break, ...]
    expected: Expected
    moment: Moment = Moment.QUIET
    running_on: str = ""
    good_runs: int = 0
    hold_seconds: float = 0.0
    counts_suppressed: bool = False
    counts_good: int = 0
    application_on: str = ""
    quick: bool = False
    needs: Lane | None = None

    def right(self, given: Given) -> bool:
        """Tell whether pie said what it must, and nothing else."""
        return self.expected.matches(given) and not given.problems
