"""What the dashboard shows: rows of panels, as data.

Queries aggregate over `pod` and `instance`, because the leader changes. Counters change once in a period, so
the panels with rates ask for at least five minutes at once.
"""

from dataclasses import dataclass
from typing import Final, Literal

CLASS: Final = 'storage_class=~"$storage_class"'
"""Selects the StorageClasses that are chosen at the top; with All also what has no class."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query and what its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel; `width` is a part of the 24 columns of a row."""

    title: str
    queries: tuple[Query, ...]
    description: str
    kind: Literal["stat", "table", "timeseries"] = "timeseries"
    unit: str = "short"
    width: int = 8
    red_from: float | None = None
    """From which value on a number is bad; None: no value is."""
    red_below: float | None = None
    """Below which value it is bad."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a title."""

    title: str
    panels: tuple[Panel, ...]


def _good(counter: str, also_bad: str = "") -> str:
    total = f"sum by (storage_class) (increase({counter}{{{CLASS}}}[$__range]))"
    bad = f'sum by (storage_class) (increase({counter}{{{CLASS}, on_time="false"}}[$__range]))'
    return f"1 - clamp_max(({bad}{also_bad}) / {total}, 1)"


_BAD_IO = (
    " + sum by (storage_class) (increase(pie_performance_on_mount_probe_total"
    f'{{{CLASS}, succeed="false"}}[$__range]))'
)

_CANARIES_GOOD = (
    f'sum by (storage_class, probe) (increase(pie_canary_runs_total{{{CLASS}, on_time="true"}}[$__range]))'
    f" / (sum by (storage_class, probe) (increase(pie_canary_runs_total{{{CLASS}}}[$__range])) > 0)"
)


def _per_minute(counter: str, *labels: str, only: str = "") -> tuple[Query, ...]:
    rate = f"rate({counter}{{{CLASS}{only}}}[$__rate_interval])"
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    return (Query(f"sum by ({', '.join(labels)}) ({rate}) * 60", legend),)


def _io_of_a_class() -> Panel:
    buckets = f'rate(pie_io_latency_seconds_bucket{{{CLASS}, statistic="median"}}[$__rate_interval])'
    return Panel(
        "I/O latency of a class",
        (
            Query(
                f"histogram_quantile(0.99, sum by (storage_class, direction, le) ({buckets}))",
                "{{storage_class}} {{direction}}",
            ),
        ),
        "99 of 100 mount runs had a lower median latency, measured by fio.",
        unit="s",
        width=12,
    )


def _stages(probe: str) -> Panel:
    buckets = f'rate(pie_stage_duration_seconds_bucket{{{CLASS}, probe="{probe}"}}[$__rate_interval])'
    return Panel(
        f"Stages of {probe} runs",
        (Query(f"histogram_quantile(0.99, sum by (stage, le) ({buckets}))", "{{stage}}"),),
        "99 of 100 runs were faster, for each stage.",
        unit="s",
        width=12,
    )


ROWS: Final = (
    Row(
        "Is the storage fine?",
        (
            Panel(
                "Open incidents",
                (Query(f"sum by (area) (pie_incident_open{{{CLASS}}})", "{{area}}"),),
                "By area: whose problem it is.",
                kind="stat",
                red_from=1,
            ),
            Panel(
                "Targets",
                (
                    Query(f"count(pie_target_healthy{{{CLASS}}} == 1) or vector(0)", "healthy"),
                    Query(f"count(pie_target_healthy{{{CLASS}}} == 0) or vector(0)", "bad"),
                    Query(f"count(pie_target_hung_seconds{{{CLASS}}}) or vector(0)", "hung"),
                    Query(f"count(pie_target_suppressed{{{CLASS}}}) or vector(0)", "suppressed"),
                ),
                "What is probed: classes (provision) and nodes (mount).",
                kind="stat",
            ),
            Panel(
                "Good runs",
                (
                    Query(_good("pie_mount_probe_total", _BAD_IO), "mount {{storage_class}}"),
                    Query(_good("pie_provision_probe_total"), "provision {{storage_class}}"),
                ),
                "The share of runs that were good, in the time that the dashboard shows.",
                kind="stat",
                unit="percentunit",
                red_below=0.99,
            ),
            Panel(
                "Open incidents, in detail",
                (
                    Query(
                        "sum by (area, storage_class, namespace, pie_probe_name, scope, stage, reason)"
                        f" (pie_incident_open{{{CLASS}}}) > 0"
                    ),
                ),
                "kubectl describe pieprobe names the nodes, the evidence and what to do.",
                kind="table",
                width=12,
            ),
            Panel(
                "Incidents over time",
                (
                    Query(
                        f"sum by (area, storage_class, stage, reason) (pie_incident_open{{{CLASS}}})",
                        "{{storage_class}} {{stage}} {{reason}} ({{area}})",
                    ),
                ),
                "How many were open.",
                width=12,
            ),
        ),
    ),
    Row(
        "Runs",
        (
            Panel(
                "Mount runs that were not on time",
                _per_minute("pie_mount_probe_total", "storage_class", only=', on_time="false"'),
                "A minute. A stuck run counts again at each due time.",
            ),
            Panel(
                "Mount runs whose I/O failed",
                _per_minute(
                    "pie_performance_on_mount_probe_total", "storage_class", only=', succeed="false"'
                ),
                "A minute. I/O failed or hung, or the data was wrong.",
            ),
            Panel(
                "Provision runs that were not on time",
                _per_minute("pie_provision_probe_total", "storage_class", only=', on_time="false"'),
                "A minute.",
            ),
            Panel(
                "Nodes with the most bad mount runs",
                (
                    Query(
                        "topk(20, sum by (storage_class, node)"
                        f' (increase(pie_mount_probe_total{{{CLASS}, on_time="false"}}[$__range]))) > 0'
                    ),
                ),
                "In the time that the dashboard shows.",
                kind="table",
            ),
            Panel(
                "Suppressed runs",
                _per_minute("pie_suppressed_runs_total", "probe", "reason"),
                "A minute. Maintenance: these runs did not test the storage.",
            ),
            Panel(
                "Inconclusive runs",
                _per_minute("pie_inconclusive_runs_total", "area", "probe", "reason"),
                "A minute. The node or pie itself prevented the test.",
            ),
        ),
    ),
    Row(
        "Speed",
        (
            _stages("mount"),
            _stages("provision"),
            Panel(
                "Start of pods with a volume",
                (
                    Query(
                        "histogram_quantile(0.99, sum by (storage_class, probe, le)"
                        f" (rate(pie_pod_startup_seconds_bucket{{{CLASS}}}[$__rate_interval])))",
                        "{{storage_class}} {{probe}}",
                    ),
                ),
                "99 of 100 pods ran earlier after their creation. Only pods whose image was on the node.",
                unit="s",
                width=12,
            ),
            _io_of_a_class(),
            Panel(
                "I/O latency of the slowest nodes",
                (
                    Query(
                        "topk(10, max by (storage_class, node, direction)"
                        f' (pie_target_io_latency_seconds{{{CLASS}, quantile="0.99"}}))',
                        "{{storage_class}} {{node}} {{direction}}",
                    ),
                ),
                "The 99th percentile within a run, measured by fio.",
                unit="s",
                width=12,
            ),
            Panel(
                "I/O latency of a typical node",
                (
                    Query(
                        "quantile by (storage_class, direction)"
                        f' (0.5, pie_target_io_latency_seconds{{{CLASS}, quantile="0.5"}})',
                        "{{storage_class}} {{direction}}",
                    ),
                ),
                "The median over the nodes of the median within a run.",
                unit="s",
                width=12,
            ),
        ),
    ),
    Row(
        "Features, and mounts that stay",
        (
            Panel(
                "Features that worked",
                (Query(_CANARIES_GOOD, "{{storage_class}} {{probe}}"),),
                "The share of the runs of each canary in which the feature worked in time.",
                kind="stat",
                unit="percentunit",
                red_below=1.0,
            ),
            Panel(
                "Since a feature last worked",
                (
                    Query(
                        "time() - max by (storage_class, probe) (pie_target_last_success_timestamp_seconds"
                        f'{{{CLASS}, probe!~"mount|provision|resident"}})',
                        "{{storage_class}} {{probe}}",
                    ),
                ),
                "As far as the leader saw it. A canary runs once in some hours.",
                unit="s",
            ),
            Panel(
                "Mounts that stay",
                (
                    Query(f'count(pie_target_healthy{{{CLASS}, probe="resident"}} == 1)', "good"),
                    Query(f'count(pie_target_healthy{{{CLASS}, probe="resident"}} == 0)', "bad"),
                ),
                "Nodes whose resident pod can, and cannot, use a volume that was mounted long ago.",
            ),
        ),
    ),
    Row(
        "Maintenance, objective, and what is left behind",
        (
            Panel(
                "Targets under maintenance",
                (Query(f"count by (reason) (pie_target_suppressed{{{CLASS}}})", "{{reason}}"),),
                "By the reason for which pie suppresses their runs.",
            ),
            Panel(
                "Use of the error budget",
                (
                    Query(
                        f"max by (storage_class, probe) (pie:error_budget_burn:rate1h{{{CLASS}}})",
                        "{{storage_class}} {{probe}}",
                    ),
                ),
                "How many times faster than allowed, over an hour. It needs the alert rules of the chart.",
            ),
            Panel(
                "Volumes that were not deleted",
                (
                    Query(
                        f"sum by (storage_class, reason) (pie_leaked_volumes{{{CLASS}}})",
                        "{{storage_class}} {{reason}}",
                    ),
                ),
                "PVCs and PVs of finished probes, after the deadline.",
                red_from=1,
            ),
        ),
    ),
    Row(
        "pie itself",
        (
            Panel(
                "Replicas",
                (Query("count by (version) (pie_build_info)", "{{version}}"),),
                "One of them leads.",
                kind="stat",
                width=4,
            ),
            Panel(
                "Errors of pie",
                (Query("sum(increase(pie_defects_total[$__range])) or vector(0)", "errors"),),
                "Please report them, with the log.",
                kind="stat",
                width=4,
                red_from=1,
            ),
            Panel(
                "Requests to the API server",
                (
                    Query(
                        "sum by (verb, code) (rate(pie_client_requests_total[$__rate_interval])) > 0",
                        "{{verb}} {{code}}",
                    ),
                ),
                "A second.",
                unit="reqps",
            ),
            Panel(
                "Work that waits",
                (Query("max by (name) (workqueue_depth)", "{{name}}"),),
                "By kind of work.",
            ),
            Panel(
                "Age of the watches",
                (Query("max by (resource) (pie_reflector_age_seconds)", "{{resource}}"),),
                "Seconds since the cache was known to be complete.",
                unit="s",
                width=12,
            ),
            Panel(
                "CPU",
                (
                    Query(
                        "rate(process_cpu_seconds_total[$__rate_interval])"
                        " and on (pod, instance, job) pie_build_info",
                        "{{pod}} {{instance}}",
                    ),
                ),
                "Cores, for each replica.",
                width=6,
            ),
            Panel(
                "Memory",
                (
                    Query(
                        "process_resident_memory_bytes and on (pod, instance, job) pie_build_info",
                        "{{pod}} {{instance}}",
                    ),
                ),
                "Resident, for each replica.",
                unit="bytes",
                width=6,
            ),
        ),
    ),
)
