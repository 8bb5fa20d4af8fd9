"""A control plane with pie's CRD, nodes that are only objects, and a kubelet played by the test."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from pie.core.yamltext import read_yaml
from testbed.cluster import Cluster
from tests.conftest import demand_machine
from tests.controller.stage import Stage
from tests.harness import CRD, GROUP, until

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="session")
def shared_control_plane() -> Iterator[str]:
    """Name of a control plane without scheduler and node controller: these tests play both."""
    demand_machine(nodes=False)
    controllers = ["--controllers=*,-node-lifecycle-controller"]
    cluster = Cluster(kube_scheduler=False, arguments={"kube-controller-manager": controllers})
    asyncio.run(cluster.bring_up())
    yield cluster.name
    asyncio.run(cluster.take_down())


@pytest.fixture
async def stage(control_plane: Cluster, namespace: str) -> AsyncIterator[Stage]:
    """Set the stage for one test."""
    crd = read_yaml(CRD.read_text())
    await control_plane.api.apply(f"{CRDS}/{crd['metadata']['name']}", crd)
    await until(lambda: control_plane.api.find(f"{GROUP}/pieprobes"), "PieProbes are served")
    stage = Stage(control_plane.api, namespace, control_plane.kubeconfig)
    yield stage
    await stage.clean_up()
