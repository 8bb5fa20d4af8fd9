"""The answers of the controller under `/api/v1`, as types for server and clients.

`docs/api.md` describes them. Times are epoch seconds, durations are seconds; what is not known is None.
Readers ignore fields that they do not know, so fields may be added.
"""

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from pie.core.model import Stage, Verdict
from pie.core.result import IoStats
from pie.core.text import PlainText

State = Literal["fine", "warning", "bad", "unknown"]
"""`bad`: an incident is open. `warning`: a target is bad, or not probed. `unknown`: no run ended yet."""

RunCause = Literal["schedule", "retry", "followup"]
"""Why a run was started: it was due; to test a bad target again soon; after a bad run, on another node."""


class Failure(Struct, frozen=True):
    """Any answer with a status other than 200. A standby names the `leader`."""

    error: PlainText
    leader: PlainText | None = None


class ConditionView(Struct, frozen=True):
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


class Known(StrEnum):
    """The answer to a question about a feature of a StorageClass."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class FeatureView(Struct, frozen=True):
    """A feature of a class that a canary tests: whether it is offered, and whether it works now.

    `proved` is when it last worked, and `seconds` how long that run took until its result.
    """

    name: PlainText
    storage_class: PlainText
    offered: Known
    works: Known
    proved: float | None = None
    seconds: float | None = None


class ProbeView(Struct, frozen=True):
    """A PieProbe. `summary` is the line of its printer column: `fine`, or what is broken and where.

    A controller of all namespaces names PieProbes `namespace/name`, here and in all other answers.
    `effective_period_seconds` is longer than the period while its runs are thinned. `features` are those that
    its canaries test.
    """

    name: PlainText
    namespace: PlainText
    storage_class: PlainText
    state: State
    summary: PlainText
    period_seconds: int | None
    targets: Counts
    conditions: tuple[ConditionView, ...]
    effective_period_seconds: int | None = None
    features: tuple[FeatureView, ...] = ()


class IncidentView(Struct, frozen=True):
    """An incident. `words` is what an alerted person should read first, `next` is what to look at.

    `area` is whose problem it is; one of the control plane has the same `id` in each PieProbe.
    `ending` says how a closed one ended: `recovered`, or why its recovery is not known.
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
    canaries: tuple[PlainText, ...] = ()


class SlowTarget(Struct, frozen=True):
    """The I/O of a mount target's last measured run."""

    probe: PlainText
    node: PlainText
    read_p99_seconds: float | None
    write_p99_seconds: float | None
    storage_class: PlainText = ""


class Overview(Struct, frozen=True):
    """`/api/v1/overview`: is everything fine? Incidents: the open ones first, then newest first.

    `namespace` is empty if the controller serves all namespaces.
    """

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
    """A target. While it is suppressed, verdict, reason and message say so. `since` is when this began.

    `due` is the due time of the run with this verdict, `io` the result of the last measured run, and `area`
    whose problem the reason is; it is empty if nothing is wrong.
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
    cause: RunCause
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
    """`/api/v1/targets/{probe}/{kind}`: a target and the runs that are remembered, newest first.

    `options` are what the spec adds to the command of runs, `max_latency_seconds` is the limit of their I/O.
    """

    now: float
    target: TargetView
    threshold_seconds: float
    runs: tuple[RunView, ...]
    options: PlainText = ""
    max_latency_seconds: float | None = None


class HeatRow(Struct, frozen=True):
    """One target over time: a letter per column, the oldest first."""

    kind: PlainText
    node: PlainText
    zone: PlainText
    verdict: Verdict
    cells: str
    storage_class: PlainText = ""


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
