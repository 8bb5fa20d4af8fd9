"""A control plane that starts no runs is not silence: without kube-controller-manager nobody makes Jobs."""

from collections.abc import Awaitable, Callable

import pytest

from testbed.cluster import Cluster
from tests.controller.reported import until_incidents
from tests.controller.stage import Stage
from tests.harness import ON_TIME, apply_probe, pieprobe, until_condition
from tests.real.conftest import install_crd

pytestmark = pytest.mark.timeout(400)


async def test_due_times_without_a_job_are_late_and_an_incident_of_the_control_plane(
    start_cluster: Callable[..., Awaitable[Cluster]],
) -> None:
    cluster = await start_cluster(kube_controller_manager=False, kube_scheduler=False)
    await install_crd(cluster.api)
    await cluster.create_namespace("pie")
    stage = Stage(cluster.api, "pie", cluster.kubeconfig)
    await stage.make_class()
    node = await stage.node()
    spec = {"probePeriod": 1, "probeThreshold": "5s", "disableProvisionProbe": True}
    async with stage.pie() as pie:
        await apply_probe(
            stage.api, stage.namespace, pieprobe("p1", stage.storage_class, stage.label, **spec)
        )
        late = {"node": node, "on_time": "false"}
        await pie.until_value(ON_TIME["mount"], lambda value: value == 1, 130, **late)
        await until_condition(stage.api, stage.namespace, "p1", "MountHealthy", "False", "ControlPlaneLate")
        await pie.until_value(ON_TIME["mount"], lambda value: value == 2, 130, **late)
        (opened,) = await until_incidents(stage, 1, still_open=True)
        assert (opened["stage"], opened["reason"]) == ("queue", "ControlPlaneLate")
