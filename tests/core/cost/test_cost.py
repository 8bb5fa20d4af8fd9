"""What PieProbes cost: figures from the design, and laws that hold for every cluster."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.cost.ceilings import Ceiling, Cluster, ceilings
from pie.core.cost.condition import cost_high
from pie.core.cost.figures import figures
from pie.core.cost.lines import Source, run_lines, set_up_lines
from pie.core.cost.load import Demand, demand_of, rates
from pie.core.cost.plan import LONGEST_QUEUE_SECONDS, PART, plan
from pie.core.iojob import IoJob
from pie.core.kinds import KINDS
from pie.core.model import Canary, Kind, Probe, RunnerKind
from pie.core.parse import duration_seconds
from pie.core.probestep import ProbeFacts, status_of
from pie.core.wire import Metadata, PieProbe
from tests.core.build import probe

CRON_JOB, POD = RunnerKind.CRON_JOB, RunnerKind.POD
MANAGER = "kube-controller-manager"


def parse_canary(period: str) -> Canary:
    return Canary(int(duration_seconds(period, "period")))


demands = st.builds(
    Demand,
    nodes=st.integers(1, 20_000),
    period_seconds=st.integers(1, 59).map(lambda minutes: 60.0 * minutes),
    runner=st.sampled_from(RunnerKind),
    mount=st.just(value=True),
    provision=st.booleans(),
    resident=st.booleans(),
    canaries=st.sampled_from([(), (("block", 3600.0),), (("clone", 600.0), ("expand", 600.0))]),
    attach=st.booleans(),
)


def used(demand: Demand, cluster: Cluster | None = None) -> dict[str, float]:
    return {each.name: each.used for each in ceilings([demand], cluster or Cluster())}


def ceiling(name: str, demand: Demand, cluster: Cluster | None = None) -> Ceiling:
    return next(each for each in ceilings([demand], cluster or Cluster()) if each.name == name)


def mounts(nodes: int, runner: RunnerKind = CRON_JOB, *, attach: bool = False) -> Demand:
    return Demand(nodes=nodes, runner=runner, provision=False, attach=attach)


@pytest.mark.parametrize(
    ("name", "targets", "passes_with"),
    [
        # shared/design.md, section 9: the figures that follow from the ceilings.
        ("external-attacher", mounts(70, POD, attach=True), 80),
        ("kube-scheduler", mounts(2_900, POD), 3_100),
        ("pods created and deleted", mounts(590, POD), 610),
        (f"{MANAGER} job-controller", mounts(140), 160),
        ("Events that exist", mounts(2_000), 2_200),
        ("pods in the namespace", mounts(3_000), 3_001),
        ("finished pods while pie is away", mounts(6_250), 6_251),
    ],
)
def test_a_ceiling_is_passed_by_so_many_targets_at_period_1(
    name: str, targets: Demand, passes_with: int
) -> None:
    assert ceiling(name, targets).share <= 1
    assert ceiling(name, replace(targets, nodes=passes_with)).share > 1


def test_from_kubernetes_1_37_on_600_mount_targets_use_up_the_protection_of_pvcs() -> None:
    name, asked = f"{MANAGER} pvc-protection-controller", mounts(600, POD)
    assert name not in used(asked)
    assert ceiling(name, asked, Cluster(unused=True)).share == pytest.approx(1)


def test_a_mount_run_of_runner_pod_costs_kube_controller_manager_nothing_unless_volumes_are_attached() -> (
    None
):
    assert not [each for each in used(mounts(5_000, POD)) if each.startswith(MANAGER)]
    attached = [each for each in used(mounts(5_000, POD, attach=True)) if each.startswith(MANAGER)]
    assert attached == [f"{MANAGER} attachdetach-controller"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("runner", RunnerKind)
def test_every_kind_of_probe_has_figures_for_every_runner(kind: str, runner: RunnerKind) -> None:
    plain, attached = (list(run_lines(runner, kind, attach=attach)) for attach in (False, True))
    assert sum(each.writes for each in attached) > sum(each.writes for each in plain) > 0
    set_up = list(set_up_lines(runner, kind, attach=False))
    assert bool(set_up) is (runner is CRON_JOB or bool(KINDS[kind].pvc))


OPTIONAL = [row for row in KINDS.values() if row.optional]
CANARIES = {row.name: parse_canary(row.usual_period) for row in OPTIONAL if row.canary}


def writes_of(spec: Probe, nodes: int) -> float:
    return sum(each.writes for each in rates([demand_of(spec, nodes, attach=True)], unused=False))


def test_canaries_and_resident_pods_that_are_on_are_counted_and_paused_ones_are_not() -> None:
    spec = probe(canaries=CANARIES, resident=True)
    names = {row.name for row in OPTIONAL}
    assert {each.kind for each in demand_of(spec, 5, attach=False).loads()} >= names
    assert not {each.kind for each in demand_of(spec, 5, attach=False, paused=names).loads()} & names
    assert not {each.kind for each in demand_of(probe(), 5, attach=False).loads()} & names


@pytest.mark.parametrize("runner", RunnerKind)
def test_all_canaries_at_their_defaults_cost_at_most_two_percent_more_writes(runner: RunnerKind) -> None:
    # Of the smallest cluster: one node.
    without, with_all = (writes_of(probe(runner=runner, canaries=on), 1) for on in ({}, CANARIES))
    assert without < with_all <= 1.02 * without


def test_resident_pods_cost_writes_when_they_start_and_none_while_they_stay() -> None:
    spec = probe(resident=True, runner=POD)
    assert writes_of(spec, 100) == writes_of(probe(runner=POD), 100)
    once = {each.name: each.value for each in figures([demand_of(spec, 100, attach=True)], Cluster())}
    without = {
        each.name: each.value for each in figures([demand_of(probe(runner=POD), 100, attach=True)], Cluster())
    }
    set_up_writes = "writes and Events to set up all targets, once"
    assert once[set_up_writes] > 2 * without[set_up_writes]
    assert once["resident pods that exist"] == 100
    assert once["of these, attached: attach slots of a node"] == 3
    assert once["written on a node in a day, at most"] - without[
        "written on a node in a day, at most"
    ] == pytest.approx(177, abs=1)


def test_more_resident_pods_than_a_namespace_should_have_are_named() -> None:
    found = cost_high([demand_of(probe(resident=True, runner=POD, period_seconds=3540), 3_001, attach=False)])
    assert "pods in the namespace needs" in found["message"]
    assert "probe fewer nodes" in found["message"]


@pytest.mark.parametrize(("targets", "finished"), [(100, 1_000), (200, 2_000), (900, 2_000), (5_000, 10_000)])
def test_the_model_knows_how_many_finished_pods_wait(targets: int, finished: float) -> None:
    assert ceiling("finished pods while pie is away", mounts(targets, CRON_JOB)).used == finished


@given(demands, st.integers(1, 1_000))
def test_more_nodes_never_cost_less(demand: Demand, more: int) -> None:
    few, many = used(demand), used(replace(demand, nodes=demand.nodes + more))
    assert all(many[name] >= amount for name, amount in few.items())


own_period = demands.map(lambda demand: replace(demand, canaries=()))
"""Canaries have periods of their own."""


@given(own_period)
def test_writes_are_inverse_in_the_period_but_for_pies_lease(demand: Demand) -> None:
    slower = replace(demand, period_seconds=2 * demand.period_seconds)
    halved = {(each.actor, each.client): each for each in rates([slower], unused=False)}
    for each in rates([demand], unused=False):
        if each.actor != "pie":
            assert halved[each.actor, each.client].requests == pytest.approx(each.requests / 2)
    less = used(slower)
    assert all(less[name] <= amount * (1 + 1e-9) for name, amount in used(demand).items())


@given(demands)
def test_attaching_never_costs_less(demand: Demand) -> None:
    without = used(replace(demand, attach=False))
    attached = used(replace(demand, attach=True))
    assert all(attached[name] >= amount for name, amount in without.items())


@given(own_period)
def test_at_the_period_at_which_a_ceiling_is_met_it_is_met(demand: Demand) -> None:
    for each in ceilings([demand], Cluster()):
        period = each.period_seconds(demand.period_seconds)
        # Below some period all pods exist at the same time, and pie renews its Lease whatever it runs.
        if period is not None and each.name not in {"pods in the namespace", "pie"}:
            then = ceiling(each.name, replace(demand, period_seconds=period))
            assert then.share == pytest.approx(1, rel=1e-6)


@given(st.lists(demands, min_size=1, max_size=3))
def test_the_smallest_ceiling_comes_first_and_several_pieprobes_add_up(several: list[Demand]) -> None:
    found = ceilings(several, Cluster())
    shares = [each.share for each in found]
    alone = [used(demand) for demand in several]
    assert shares == sorted(shares, reverse=True)
    for each in found:
        if each.name != "pie":  # it has one Lease
            assert each.used == pytest.approx(sum(one.get(each.name, 0.0) for one in alone))


@given(st.lists(demands, min_size=1, max_size=3), st.booleans())
def test_a_recommendation_leaves_half_of_each_ceiling_to_others_or_says_to_probe_fewer_nodes(
    several: list[Demand], unused: bool
) -> None:
    cluster = Cluster(unused=unused)
    found = plan(several, cluster).recommendation
    for before, after in zip(several, found.demands, strict=True):
        assert after.period_seconds >= before.period_seconds
        assert after.nodes == before.nodes
    again = plan(found.demands, cluster)
    if not found.fewer:
        assert not again.passed
        assert all(each.share <= PART * 1.0001 for each in again.ceilings if each.by_period)
        assert again.longest_queue.queue_seconds <= LONGEST_QUEUE_SECONDS
        assert again.as_recommended


@pytest.mark.parametrize(
    ("demand", "runner", "minutes"),
    [
        (Demand(nodes=3), CRON_JOB, 1),
        (Demand(nodes=100), POD, 1),
        (mounts(5_000), POD, 17),
        (mounts(300, attach=True), POD, 9),
        (replace(mounts(5_000, POD), period_seconds=1_200), POD, 20),
    ],
)
def test_the_recommendation_for(demand: Demand, runner: RunnerKind, minutes: int) -> None:
    (found,) = plan([demand], Cluster()).recommendation.demands
    assert (found.runner, found.period_seconds) == (runner, 60 * minutes)


def test_where_no_period_is_long_enough_it_says_so() -> None:
    found = plan([mounts(20_000, attach=True)], Cluster()).recommendation
    assert found.fewer == "external-attacher"
    small = plan([Demand(nodes=10)], Cluster(volumes_per_node=1)).recommendation
    assert small.fewer == "volumes on a node"


def test_without_nodes_nothing_is_written() -> None:
    nothing = Demand(nodes=0)
    assert rates([nothing], unused=True) == ()
    assert all(not each.used for each in ceilings([nothing], Cluster()))
    assert all(not each.value for each in figures([nothing], Cluster()) if "on a node" not in each.name)


@pytest.mark.parametrize(
    ("io", "a_run", "a_second"),
    [
        (IoJob(), 53.0, 53.0),
        (IoJob(read_write="randread", block_size="8k"), 53.0, 53.0),
        (IoJob(size="1G", runtime_seconds=20), 1074.3, 1074.3),
        # So many blocks of 4k a second, read and written.
        (IoJob(rate_iops=16, runtime_seconds=10), 1.3 + 0.6, 0.1 + 0.6),
        (IoJob(rate_iops=16, runtime_seconds=10, read_write="write"), 0.7 + 0.6, 0.1 + 0.6),
        (IoJob(rate_iops=8192, size="1M"), 1.0 + 0.6, 1.0 + 0.6),
    ],
)
def test_the_io_of_a_node_is_that_of_the_job(io: IoJob, a_run: float, a_second: float) -> None:
    found = {each.name: each.value for each in figures([replace(mounts(1, POD), io=io)], Cluster())}
    assert found["I/O of a node, at most"] * 60 == pytest.approx(a_run, abs=0.1)
    assert found["the same, in the second in which runs start"] * 60 == pytest.approx(a_second, abs=0.1)


def test_runs_of_cronjobs_start_together_and_those_of_pods_are_spread() -> None:
    assert ceiling(f"{MANAGER} job-controller", mounts(300)).queue_seconds == pytest.approx(118.5)
    assert all(not each.queue_seconds for each in ceilings([mounts(1_000, POD)], Cluster()))


@pytest.mark.parametrize(
    ("nodes", "attach", "named"),
    [
        (100, False, ""),
        (100, True, "external-attacher needs 7.1 of 5 requests/s"),
        (200, False, "job-controller needs 26.8 of 20 requests/s"),
        (
            5_000,
            False,
            "kube-controller-manager cronjob-controller needs 417 of 20 requests/s; pods created and",
        ),
    ],
)
def test_the_condition_names_the_smallest_ceilings_that_are_passed_and_what_to_use(
    nodes: int, attach: bool, named: str
) -> None:
    found = cost_high([demand_of(probe(), nodes, attach=attach)])
    assert (found["status"], found["reason"]) == (("True", "CostHigh") if named else ("False", "OK"))
    assert named in found["message"]
    assert ("Recommended: use runner Pod and probePeriod" in found["message"]) is bool(named)


def test_kinds_that_are_paused_cost_nothing_and_runner_pod_less() -> None:
    def high(spec: Probe, nodes: int, **how: Any) -> str:
        return str(cost_high([demand_of(spec, nodes, **how)])["status"])

    assert high(probe(), 5_000, attach=True, paused=[Kind.MOUNT]) == "False"
    assert high(probe(runner=POD), 300, attach=False) == "False"
    assert high(probe(), 300, attach=False) == "True"
    assert high(probe(paused=True), 5_000, attach=True) == "False"


def test_the_status_has_the_condition_for_the_nodes_that_match() -> None:
    facts = ProbeFacts(PieProbe(Metadata(name="p")), known=True, probe=probe(), matching=5_000)
    (found,) = [each for each in status_of(facts, (), 0.0)["conditions"] if each["type"] == "CostHigh"]
    assert found["status"] == "True"
    assert found["lastTransitionTime"]


@pytest.mark.parametrize("kind", [name for name, row in KINDS.items() if row.optional])
def test_what_was_not_measured_does_not_say_that_it_was(kind: str) -> None:
    assert {each.source for each in run_lines(POD, kind, attach=True)} == {Source.CALCULATED}
