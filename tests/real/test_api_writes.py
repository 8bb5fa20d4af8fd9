"""What pie costs the control plane, counted in the API server's audit log."""

from collections import Counter
from dataclasses import replace

import pytest

from bench.api_writes import NAMESPACE, OBJECT_SECONDS, measure, reconcile
from bench.run_writes import Asked, Counted, count
from pie.core.cost.lines import run_lines
from pie.core.model import Kind, RunnerKind
from testbed.cluster import Cluster
from tests.conftest import demand_machine
from tests.harness import Pie
from tests.real.conftest import install_crd

pytestmark = pytest.mark.real

# Other tests share the machine with this one; the benchmark, alone, holds the limit itself.
BUSY = 3

RACES = 0.5
"""Writes a run."""

SIDECARS = {"csi-provisioner": "external-provisioner", "csi-attacher": "external-attacher"}
"""The names of the programs by their user agents."""


@pytest.mark.timeout(600)
async def test_a_healthy_run_costs_what_is_promised_and_an_idle_pie_writes_nothing_but_its_lease() -> None:
    demand_machine(nodes=False)
    cost = await measure(nodes=24, minutes=1)
    assert cost.runs >= 24
    # Two dozen objects take no time that could be told from that of the first one.
    assert replace(cost, object_seconds=0.0).above_limits() == []


async def test_three_hundred_nodes_have_their_objects_in_seconds() -> None:
    demand_machine(nodes=False)
    async with Cluster(kwok_nodes=300, kube_controller_manager=False, kube_scheduler=False) as cluster:
        await install_crd(cluster.api)
        await cluster.create_namespace(NAMESPACE)
        async with Pie(cluster.kubeconfig, NAMESPACE, "--leader-elect") as pie:
            await pie.leads()
            assert await reconcile(cluster, pie, nodes=300) <= BUSY * OBJECT_SECONDS


@pytest.mark.timeout(900)
async def test_the_cost_model_is_right_about_runs_on_real_nodes() -> None:
    demand_machine(nodes=True)
    async with Cluster(nodes=2, attachable=True) as cluster:
        await install_crd(cluster.api)
        for provision, apart in ((False, 0.10), (True, 0.20)):
            # Objects without a namespace are counted once, for both.
            asked = [
                Asked(provision=provision, storage_class="local", whole_cluster=False),
                Asked(provision=provision, storage_class="attachable"),
            ]
            counted = await count(cluster, asked, runs=2)
            assert differences(counted, apart) == [], "\n".join(each.table() for each in counted)


def differences(counted: list[Counted], apart: float) -> list[str]:
    """Return where the cost model is wrong: by more than this part, or half a write a run of one program.

    How often a program writes a status depends on how fast the others are.
    """
    modelled, wrote, races = Counter[str](), Counter[str](), Counter[str]()
    for each in counted:
        kind = Kind.PROVISION if each.asked.provision else Kind.MOUNT
        attach = each.asked.storage_class == "attachable"
        lines = list(run_lines(RunnerKind(each.asked.runner), kind, attach=attach))
        for line in lines:
            modelled[line.actor] += each.runs * (line.writes + line.events)
        for actor in {line.actor for line in lines}:
            races[actor] += each.runs * RACES
        for writes, n in each.writes.items():
            wrote[SIDECARS.get(writes.actor, writes.actor)] += n
    for totals in (modelled, wrote):
        totals["together"] = sum(totals.values())
    return [
        f"{actor}: {wrote[actor]} counted, {modelled[actor]:.1f} in the model"
        for actor in sorted(modelled | wrote)
        if abs(wrote[actor] - modelled[actor]) > max(apart * wrote[actor], races[actor])
    ]
