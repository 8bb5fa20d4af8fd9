"""What the controller answers under `/api/v1`, as types: for the server that writes it and for who reads it.

`docs/api.md` says it for people. Times are epoch seconds, durations seconds; what is not known is None.
Readers ignore fields that they do not know, so fields may be added.
"""

from typing import Literal

from msgspec import Struct

from pie.core.model import Stage, Verdict
from pie.core.result import IoStats
from pie.core.text import PlainText

State = Literal["fine", "warning", "bad", "unknown"]
"""`bad`: an incident is open. `warning`: a target is bad, or not probed. `unknown`: no run ended yet."""

Cause = Literal["schedule", "retry", "followup"]
"""What asked for a run: its due time; a bad verdict, to look again soon; a bad provision run elsewhere."""


class Failure(Struct, frozen=True):
    """Any answer with a status other than 200. `leader` says who leads, where a standby was asked."""

    error: PlainText
    leader: PlainText | None = None


class Condition(Struct, frozen=True):
    """A condition of a PieProbe's status."""

    type: PlainText
    status: PlainText
    reason: PlainText
    message: PlainText


class Counts(Struct, frozen=True):
    """Targets by their verdict."""

    total: int = 0
    ok: int = 0
    late: int = 0
    failed: int = 0
    hung: int = 0
    inconclusive: int = 0
    suppressed: int = 0
    pending: int = 0
    unknown: int = 0


class ProbeView(Struct, frozen=True):
    """A PieProbe. `summary` is the line of its printer column: `fine`, or what is broken and where."""

    name: PlainText
    namespace: PlainText
    storage_class: PlainText
    state: State
    summary: PlainText
    period_seconds: int | None
    targets: Counts
    conditions: tuple[Condition, ...]


class IncidentView(Struct, frozen=True):
    """An incident. `words` is what a person woken by it reads first, `next` what to look at.

    `area` is whose problem it is; one of the control plane has the same `id` in each PieProbe.
    `ending` says of a closed one how it ended: `recovered`, or that nobody knows, and why.
    """

    id: PlainText
    probe: PlainText
    storage_class: PlainText
    scope: PlainText
    where: PlainText
    zone: PlainText
    nodes: tuple[PlainText, ...]
    targets: int
    stage: Stage
    reason: PlainText
    words: PlainText
    meaning: PlainText
    evidence: PlainText
    next: PlainText
    opened: float
    closed: float | None
    provision: bool = False
    area: PlainText = ""
    ending: PlainText = ""


class SlowTarget(Struct, frozen=True):
    """The I/O of a mount target's last measured run."""

    probe: PlainText
    node: PlainText
    read_p99_seconds: float | None
    write_p99_seconds: float | None


class Overview(Struct, frozen=True):
    """`/api/v1/overview`: is everything fine? Incidents: the open ones first, then newest first."""

    now: float
    version: PlainText
    namespace: PlainText
    leading: bool
    state: State
    summary: PlainText
    probes: tuple[ProbeView, ...]
    incidents: tuple[IncidentView, ...]
    slowest: tuple[SlowTarget, ...]
    panel_url: PlainText | None = None


class TargetView(Struct, frozen=True):
    """A target. While it is suppressed, verdict, reason and message say so; `since`: for how long it is so.

    `due` is the due time of the run that said so; `io` what its last measured run measured; `area` whose
    problem the reason is, empty if nothing is wrong.
    """

    probe: PlainText
    kind: PlainText
    storage_class: PlainText
    node: PlainText
    zone: PlainText
    verdict: Verdict
    reason: PlainText
    message: PlainText
    stage: Stage | None
    since: float | None
    due: float | None
    last_ok: float | None
    io: IoStats | None
    area: PlainText = ""


class TargetList(Struct, frozen=True):
    """`/api/v1/targets`."""

    now: float
    targets: tuple[TargetView, ...]


class RunView(Struct, frozen=True):
    """A run. `stages` are the durations that are known; `next` is what to look at, empty for a good run."""

    due: float
    cause: Cause
    verdict: Verdict
    reason: PlainText
    message: PlainText
    stage: Stage | None
    node: PlainText
    ended: bool
    stages: dict[Stage, float]
    io: IoStats | None
    meaning: PlainText
    next: PlainText
    area: PlainText = ""


class TargetDetail(Struct, frozen=True):
    """`/api/v1/targets/{probe}/{kind}`: a target and the runs that are remembered, newest first."""

    now: float
    target: TargetView
    threshold_seconds: float
    runs: tuple[RunView, ...]


class HeatRow(Struct, frozen=True):
    """One target over time: a letter per column, the oldest first."""

    kind: PlainText
    node: PlainText
    zone: PlainText
    verdict: Verdict
    cells: str


class Heatmap(Struct, frozen=True):
    """`/api/v1/heatmap`, of one PieProbe. Column n begins at `start + n * step_seconds`."""

    now: float
    probe: PlainText
    start: float
    step_seconds: float
    columns: int
    rows: tuple[HeatRow, ...]


class LatencyTrend(Struct, frozen=True):
    """`/api/v1/latency`, of one PieProbe: a value per column, None where nothing was measured.

    `median` is the median over the runs of their medians, `p99` the 99th percentile over the runs of theirs.
    """

    now: float
    probe: PlainText
    start: float
    step_seconds: float
    columns: int
    read_median_seconds: tuple[float | None, ...]
    read_p99_seconds: tuple[float | None, ...]
    write_median_seconds: tuple[float | None, ...]
    write_p99_seconds: tuple[float | None, ...]
