"""What the controller answers under `/api/v1`, as types: for the server that writes it and for who reads it.

`docs/api.md` says it for people. Times are epoch seconds, durations seconds; what is not known is None.
Readers ignore fields that they do not know, so fields may be added.
"""

from typing import Literal

from msgspec import Struct

from pie.core.model import Kind, Stage, Verdict
from pie.core.result import IoStats

State = Literal["fine", "warning", "bad", "unknown"]
"""`bad`: an incident is open. `warning`: a target is bad, or not probed. `unknown`: no run ended yet."""

Cause = Literal["schedule", "retry", "followup"]
"""What asked for a run: its due time; a bad verdict, to look again soon; a bad provision run elsewhere."""


class Failure(Struct, frozen=True):
    """Any answer with a status other than 200. `leader` says who leads, where a standby was asked."""

    error: str
    leader: str | None = None


class Condition(Struct, frozen=True):
    """A condition of a PieProbe's status."""

    type: str
    status: str
    reason: str
    message: str


class Counts(Struct, frozen=True):
    """Targets by their verdict."""

    total: int = 0
    ok: int = 0
    late: int = 0
    failed: int = 0
    hung: int = 0
    suppressed: int = 0
    pending: int = 0


class ProbeView(Struct, frozen=True):
    """A PieProbe. `summary` is the line of its printer column: `fine`, or what is broken and where."""

    name: str
    namespace: str
    storage_class: str
    state: State
    summary: str
    period_seconds: int | None
    targets: Counts
    conditions: tuple[Condition, ...]


class IncidentView(Struct, frozen=True):
    """An incident. `words` is what a person woken by it reads first, `next` what to look at.

    `ending` says of a closed one how it ended: `recovered`, or that nobody knows, and why.
    """

    id: str
    probe: str
    storage_class: str
    scope: str
    where: str
    zone: str
    nodes: tuple[str, ...]
    targets: int
    stage: Stage
    reason: str
    words: str
    meaning: str
    evidence: str
    next: str
    opened: float
    closed: float | None
    provision: bool = False
    ending: str = ""


class SlowTarget(Struct, frozen=True):
    """The I/O of a mount target's last measured run."""

    probe: str
    node: str
    read_p99_seconds: float | None
    write_p99_seconds: float | None


class Overview(Struct, frozen=True):
    """`/api/v1/overview`: is everything fine? Incidents: the open ones first, then newest first."""

    now: float
    version: str
    namespace: str
    leading: bool
    state: State
    summary: str
    probes: tuple[ProbeView, ...]
    incidents: tuple[IncidentView, ...]
    slowest: tuple[SlowTarget, ...]
    panel_url: str | None = None


class TargetView(Struct, frozen=True):
    """A target. While it is suppressed, verdict, reason and message say so; `since`: for how long it is so.

    `due` is the due time of the run that said so; `io` what its last measured run measured.
    """

    probe: str
    kind: Kind
    storage_class: str
    node: str
    zone: str
    verdict: Verdict
    reason: str
    message: str
    stage: Stage | None
    since: float | None
    due: float | None
    last_ok: float | None
    io: IoStats | None


class TargetList(Struct, frozen=True):
    """`/api/v1/targets`."""

    now: float
    targets: tuple[TargetView, ...]


class RunView(Struct, frozen=True):
    """A run. `stages` are the durations that are known; `next` is what to look at, empty for a good run."""

    due: float
    cause: Cause
    verdict: Verdict
    reason: str
    message: str
    stage: Stage | None
    node: str
    ended: bool
    stages: dict[Stage, float]
    io: IoStats | None
    meaning: str
    next: str


class TargetDetail(Struct, frozen=True):
    """`/api/v1/targets/{probe}/{kind}`: a target and the runs that are remembered, newest first."""

    now: float
    target: TargetView
    threshold_seconds: float
    runs: tuple[RunView, ...]


class HeatRow(Struct, frozen=True):
    """One target over time: a letter per column, the oldest first."""

    kind: Kind
    node: str
    zone: str
    verdict: Verdict
    cells: str


class Heatmap(Struct, frozen=True):
    """`/api/v1/heatmap`, of one PieProbe. Column n begins at `start + n * step_seconds`."""

    now: float
    probe: str
    start: float
    step_seconds: float
    columns: int
    rows: tuple[HeatRow, ...]


class LatencyTrend(Struct, frozen=True):
    """`/api/v1/latency`, of one PieProbe: a value per column, None where nothing was measured.

    `median` is the median over the runs of their medians, `p99` the 99th percentile over the runs of theirs.
    """

    now: float
    probe: str
    start: float
    step_seconds: float
    columns: int
    read_median_seconds: tuple[float | None, ...]
    read_p99_seconds: tuple[float | None, ...]
    write_median_seconds: tuple[float | None, ...]
    write_p99_seconds: tuple[float | None, ...]
