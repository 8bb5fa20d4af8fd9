"""What a report holds; docs/report.md defines every number."""

import msgspec


class Runs(msgspec.Struct, frozen=True):
    """Runs that tested the storage: all, those not on time, and those with bad I/O or data."""

    total: int = 0
    late: int = 0
    bad: int = 0
    availability: float | None = None
    """Share of runs on time and good, 0 to 1; None where there were no runs."""


class LatencyReport(msgspec.Struct, frozen=True):
    """Seconds of an I/O operation, by direction."""

    read_p50_seconds: float | None = None
    read_p99_seconds: float | None = None
    write_p50_seconds: float | None = None
    write_p99_seconds: float | None = None


class StageTimes(msgspec.Struct, frozen=True):
    """How long a stage of runs takes."""

    probe: str
    stage: str
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None


class NodeReport(msgspec.Struct, frozen=True):
    """One node with one class."""

    storage_class: str
    node: str
    runs: Runs
    suppressed_seconds: float
    latency: LatencyReport


class TrendReport(msgspec.Struct, frozen=True):
    """A number per column of the charts; None where nothing is known."""

    name: str
    values: tuple[float | None, ...]


class ClassReport(msgspec.Struct, frozen=True):
    """One StorageClass. `suppressed_seconds` sums over its nodes; runs that did not count are by reason.

    `canaries` are the runs of each feature that is tested. `residents` is the share of the time, 0 to 1, in
    which mounts that stay worked, over all nodes; None where there are none.
    """

    storage_class: str
    nodes: int
    mount: Runs
    provision: Runs
    canaries: dict[str, Runs]
    residents: float | None
    suppressed_seconds: float
    suppressed_runs: dict[str, int]
    inconclusive_runs: dict[str, int]
    latency: LatencyReport
    stages: tuple[StageTimes, ...]
    availability_trends: tuple[TrendReport, ...]
    latency_trends: tuple[TrendReport, ...]


class IncidentReport(msgspec.Struct, frozen=True):
    """An incident, to within a step; `closed` is None while it is open.

    `probe` and `storage_class` are empty for an incident of the control plane: it is one for the cluster.
    """

    probe: str
    storage_class: str
    area: str
    scope: str
    stage: str
    reason: str
    opened: float
    closed: float | None


class Report(msgspec.Struct, frozen=True):
    """The whole; times are epoch seconds. `nodes`: the worst first; `incidents`: the newest first."""

    start: float
    end: float
    column_seconds: int
    observed: float
    """Share of the time in which Prometheus had metrics of pie's probes."""
    classes: tuple[ClassReport, ...]
    nodes: tuple[NodeReport, ...]
    nodes_total: int
    incidents: tuple[IncidentReport, ...]
    incidents_total: int
