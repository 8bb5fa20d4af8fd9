"""The per-target series: names, labels, zeros, and that Prometheus reads them."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pie.controller.queuemetrics import QueueMetrics
from pie.core.incidents.incident import Incident, Scope
from pie.core.model import Kind, Stage, Target
from pie.core.reasons import Reason
from pie.core.result import IoStats, Latency
from pie.kube.metrics import KubeMetrics, ReflectorMetrics
from pie.serve.incidentgauge import IncidentGauge
from pie.serve.runseries import RunSeries
from pie.serve.series import TargetSeries
from pie.serve.untested import UntestedSeries
from tests.core.build import NAMESPACE, probe

MOUNT = Target("p1", Kind.MOUNT, "fast", "node-1", NAMESPACE)
PROVISION = Target("p1", Kind.PROVISION, "fast", namespace=NAMESPACE)


def samples(series: TargetSeries) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(series.render().decode())
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def test_a_mount_target_has_go_pies_series_at_zero() -> None:
    series = TargetSeries()
    series.add(MOUNT)
    target = {"pie_probe_name": "p1", "node": "node-1", "storage_class": "fast"}
    found = samples(series)
    for name, label in (
        ("pie_mount_probe_total", "on_time"),
        ("pie_performance_on_mount_probe_total", "succeed"),
    ):
        for value in ("true", "false"):
            assert found[key(name, **target, **{label: value})] == 0
    assert found[key("pie_io_write_latency_on_mount_probe_seconds", **target)] == 0
    assert found[key("pie_io_read_latency_on_mount_probe_seconds", **target)] == 0


def test_a_provision_target_has_its_series_without_a_node() -> None:
    series = TargetSeries()
    series.add(PROVISION)
    assert set(samples(series)) == {
        key("pie_provision_probe_total", pie_probe_name="p1", storage_class="fast", on_time=value)
        for value in ("true", "false")
    }


def test_counts_and_latencies_show() -> None:
    series = TargetSeries()
    series.add(MOUNT)
    series.count_on_time(MOUNT, on_time=False, times=2)
    series.count_succeeded(MOUNT, succeeded=True)
    side = Latency(iops=1, mean_seconds=0.25, p50_seconds=0.2, p99_seconds=0.9, max_seconds=1)
    series.set_latency(MOUNT, IoStats(read=side))
    found = {name: value for (name, labels), value in samples(series).items() if value}
    assert found == {
        "pie_mount_probe_total": 2,
        "pie_performance_on_mount_probe_total": 1,
        "pie_io_read_latency_on_mount_probe_seconds": 0.25,
        "pie_target_io_latency_seconds": 0.9,  # the last of two
    }
    labels = {"pie_probe_name": "p1", "node": "node-1", "storage_class": "fast", "direction": "read"}
    median = key("pie_target_io_latency_seconds", **labels, quantile="0.5")
    assert samples(series)[median] == 0.2


def test_health_shows_from_the_first_verdict_on_and_a_hang_while_it_lasts() -> None:
    series = TargetSeries(now=lambda: 1_700_000_300.0)
    series.add(MOUNT)
    health = {"pie_probe_name": "p1", "node": "node-1", "storage_class": "fast", "probe": "mount"}
    assert key("pie_target_healthy", **health) not in samples(series)
    series.set_health(MOUNT, healthy=True, at_seconds=1_700_000_123.456)
    found = samples(series)
    assert found[key("pie_target_healthy", **health)] == 1
    assert found[key("pie_target_last_success_timestamp_seconds", **health)] == 1_700_000_123.456
    assert key("pie_target_hung_seconds", **health) not in found
    series.set_health(MOUNT, healthy=False, at_seconds=1_700_000_123.456, hung_since=1_700_000_180.0)
    found = samples(series)
    assert found[key("pie_target_healthy", **health)] == 0
    assert found[key("pie_target_hung_seconds", **health)] == 120


def test_five_thousand_nodes_stay_under_seventy_thousand_series() -> None:
    series = TargetSeries()
    side = Latency(iops=1, mean_seconds=0.25, p50_seconds=0.2, p99_seconds=0.9, max_seconds=1)
    for number in range(5000):
        target = Target("p1", Kind.MOUNT, "fast", f"node-{number}")
        series.add(target)
        series.set_latency(target, IoStats(read=side, write=side))
        series.set_health(target, healthy=False, at_seconds=1.0, hung_since=1.0)
    lines = series.render().splitlines()
    assert sum(not line.startswith(b"#") for line in lines) <= 70_000 - 5_000  # 5,000 may be suppressed too


def test_a_target_that_ended_has_no_series_and_counts_nothing() -> None:
    series = TargetSeries()
    series.add(MOUNT)
    series.remove(MOUNT)
    series.count_on_time(MOUNT, on_time=True)
    assert samples(series) == {}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_is_escaped_so_that_it_reads_back(name: str) -> None:
    series = TargetSeries()
    series.add(Target(name, Kind.PROVISION, "fast"))
    assert {dict(labels)["pie_probe_name"] for _, labels in samples(series)} == {name}


def test_lost_runs_and_leaks_are_there_at_zero_and_another_target_changes_nothing() -> None:
    registry = CollectorRegistry()
    series = RunSeries(registry)
    series.add(MOUNT.probed)
    lost = {"pie_probe_name": MOUNT.probe, "reason": "Pruned"}
    assert registry.get_sample_value("pie_lost_runs_total", lost) == 0
    series.lost(MOUNT.probe_id, "Pruned")
    series.left_behind(MOUNT, {Reason.NODE_GONE: 2})
    series.add(PROVISION.probed)
    assert registry.get_sample_value("pie_lost_runs_total", lost) == 1
    labels = {"pie_probe_name": MOUNT.probe, "storage_class": MOUNT.storage_class}
    left = [
        registry.get_sample_value("pie_leaked_volumes", {**labels, "reason": reason})
        for reason in ("VolumeLeaked", "TeardownStuck", "NodeGone")
    ]
    assert left == [0, 0, 2]


def test_nothing_that_is_counted_late_brings_back_the_series_of_a_pieprobe_that_is_gone() -> None:
    registry = CollectorRegistry()
    series = RunSeries(registry)
    series.add(MOUNT.probed)
    series.remove(MOUNT.probed)
    series.lost(MOUNT.probe_id, "Pruned")
    series.left_behind(MOUNT, {Reason.NODE_GONE: 2})
    series.stages(MOUNT, {Stage.MOUNT: 1.5})
    assert [sample for metric in registry.collect() for sample in metric.samples] == []


def test_the_leaks_of_an_earlier_pieprobe_of_the_name_are_not_shown_under_its_class() -> None:
    registry = CollectorRegistry()
    series = RunSeries(registry)
    series.add(MOUNT.probed)
    series.left_behind(replace(MOUNT, storage_class="an earlier class"), {Reason.NODE_GONE: 2})
    classes = {
        sample.labels.get("storage_class", MOUNT.storage_class)
        for each in registry.collect()
        for sample in each.samples
    }
    assert classes == {MOUNT.storage_class}


def test_the_stages_of_a_class_go_with_its_last_pieprobe() -> None:
    registry = CollectorRegistry()
    series = RunSeries(registry)
    other = Target("p2", Kind.PROVISION, MOUNT.storage_class)
    labels = {"storage_class": MOUNT.storage_class, "probe": "mount", "stage": "mount"}

    def count() -> float | None:
        return registry.get_sample_value("pie_stage_duration_seconds_count", labels)

    series.add(MOUNT.probed)
    series.add(other.probed)
    series.stages(MOUNT, {Stage.MOUNT: 1.5})
    series.remove(MOUNT.probed)
    assert count() == 1
    series.remove(other.probed)
    assert count() is None
    series.stages(MOUNT, {Stage.MOUNT: 1.5})  # the end of a run that the controller saw late
    assert count() is None


def test_latencies_of_a_class_and_starts_of_a_pieprobe_are_few_series_and_go_with_them() -> None:
    registry = CollectorRegistry()
    series = RunSeries(registry)
    side = Latency(iops=1, mean_seconds=0.25, p50_seconds=0.2, p99_seconds=0.9, max_seconds=1)
    targets = [replace(MOUNT, node=f"n{i}") for i in range(100)]
    series.add(MOUNT.probed)
    for target in targets:
        series.io(target, IoStats(write=side))
        series.started(target, 3.0)
    of_class = {"storage_class": MOUNT.storage_class, "direction": "write", "statistic": "p99"}
    assert registry.get_sample_value("pie_io_latency_seconds_count", of_class) == 100
    assert registry.get_sample_value("pie_io_latency_seconds_bucket", {**of_class, "le": "0.5"}) == 0
    of_probe = {"pie_probe_name": MOUNT.probe, "storage_class": MOUNT.storage_class, "probe": "mount"}
    assert registry.get_sample_value("pie_pod_startup_seconds_sum", of_probe) == 300
    assert len([sample for metric in registry.collect() for sample in metric.samples]) < 100
    series.remove(MOUNT.probed)
    series.io(targets[0], IoStats(write=side))
    series.started(targets[0], 3.0)
    assert [sample for metric in registry.collect() for sample in metric.samples] == []


@pytest.mark.usefixtures("promtool")
def test_promtool_finds_nothing_to_complain_about() -> None:
    text = everything_shown()
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def everything_shown() -> bytes:
    """Return every series that /metrics can have: all is measured, bad, hung, suppressed and left behind."""
    registry = CollectorRegistry()
    metrics = KubeMetrics(registry)
    metrics.requests_of("get", "pods", "127.0.0.1:1").count("200")
    metrics.defects.labels("watch", "pods").inc()
    ReflectorMetrics(metrics, "pods").failed("Unreachable")
    QueueMetrics(registry).of("run").added("a run")
    series, runs, untested = TargetSeries(), RunSeries(registry), UntestedSeries()
    registry.register(untested)
    untested.add(probe(name="p1", storage_class=MOUNT.storage_class))
    side = Latency(iops=1, mean_seconds=0.25, p50_seconds=0.2, p99_seconds=0.9, max_seconds=1)
    for target in (MOUNT, PROVISION):
        series.add(target)
        series.set_latency(target, IoStats(read=side, write=side))
        series.set_health(target, healthy=False, at_seconds=1.0, hung_since=1.0)
        runs.add(target.probed)
        runs.stages(target, dict.fromkeys(Stage, 1.0))
        runs.io(target, IoStats(read=side, write=side))
        runs.started(target, 3.0)
        runs.left_behind(target, {Reason.VOLUME_LEAKED: 1})
        untested.suppressed.count(target, Reason.NODE_CORDONED)
        untested.show(target, Reason.NODE_CORDONED)
    runs.lost(MOUNT.probe_id, "Pruned")
    incident = Incident("1", Scope.NODE, Stage.IO, Reason.HUNG, "evidence", opened_at=1.0)
    IncidentGauge(registry).show(MOUNT.probed, [incident])
    text = generate_latest(registry) + series.render()
    for metric in ("pie_target_io_latency_seconds", "pie_target_hung_seconds", "pie_incident_open"):
        assert f"\n{metric}{{".encode() in text
    return text
