"""The series about runs that did not test the storage."""

from prometheus_client import CollectorRegistry, generate_latest

from pie.core.model import Target
from pie.core.reasons import INCONCLUSIVE, MAINTENANCE, Reason
from pie.serve.untested import UntestedSeries
from tests.core.build import MOUNT, PROVISION, probe


def shown(series: UntestedSeries) -> list[str]:
    registry = CollectorRegistry()
    registry.register(series)
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_every_reason_is_at_zero_from_the_start_for_the_probes_that_are_on() -> None:
    series = UntestedSeries()
    assert shown(series) == []
    series.add(probe(mount_enabled=False))
    counters = [line for line in shown(series) if not line.startswith("pie_probe_paused")]
    assert len(counters) == len(MAINTENANCE) + len(INCONCLUSIVE)
    assert all(line.endswith(" 0.0") and 'probe="provision"' in line for line in counters)


def test_runs_are_counted_and_nothing_is_left_of_a_probe_that_is_gone() -> None:
    series = UntestedSeries()
    series.add(probe())
    for _ in range(2):
        series.suppressed.count(MOUNT, Reason.NODE_CORDONED)
    series.suppressed.count(MOUNT, Reason.NODE_REBOOTED, io_only=True)
    series.add(probe())
    series.suppressed.count(Target("other", MOUNT.kind, "c", "n1"), Reason.NODE_CORDONED)
    series.show(MOUNT, Reason.NODE_CORDONED)
    series.show(PROVISION, Reason.NO_USABLE_NODE)
    counted = 'pie_probe_name="p",probe="mount",reason="NodeCordoned",storage_class="c"'
    assert f"pie_suppressed_runs_total{{{counted}}} 2.0" in shown(series)
    cut_short = 'pie_probe_name="p",probe="performance",reason="NodeRebooted",storage_class="c"'
    assert f"pie_suppressed_runs_total{{{cut_short}}} 1.0" in shown(series)
    series.inconclusive.count(PROVISION, Reason.IMAGE_PULL)
    told = 'area="pie",pie_probe_name="p",probe="provision",reason="ImagePull",storage_class="c"'
    assert f"pie_inconclusive_runs_total{{{told}}} 1.0" in shown(series)
    gauge = 'pie_target_suppressed{node="n1",pie_probe_name="p",reason="NodeCordoned",storage_class="c"} 1.0'
    assert gauge in shown(series)
    series.show(MOUNT, None)
    assert gauge not in shown(series)
    series.remove(PROVISION.probed)
    assert shown(series) == []


def test_nothing_that_is_shown_late_brings_back_a_pieprobe_that_is_gone() -> None:
    series = UntestedSeries()
    series.add(probe())
    series.remove(PROVISION.probed)
    series.show(MOUNT, Reason.NODE_CORDONED)
    series.suppressed.count(MOUNT, Reason.NODE_CORDONED)
    series.suppressed.count(MOUNT, Reason.NODE_CORDONED, io_only=True)
    assert shown(series) == []


def test_a_pieprobe_that_the_user_paused_is_shown() -> None:
    series = UntestedSeries()
    series.add(probe())
    paused = 'pie_probe_paused{pie_probe_name="p",storage_class="c"}'
    assert f"{paused} 0.0" in shown(series)
    series.add(probe(paused=True))
    assert f"{paused} 1.0" in shown(series)
    series.remove(PROVISION.probed)
    assert shown(series) == []
