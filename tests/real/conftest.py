"""pie at work on real nodes: one controller, and PieProbes that share its time."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio
import yaml

from pie.core.batch.naming import cronjob_names
from pie.core.model import Kind, Target
from pie.core.naming import claim_names
from testbed.api import Api
from testbed.cluster import Cluster
from tests.chart.install import controller_account, refusals
from tests.harness import CRD, GROUP, ON_TIME, PERFORMANCE, Pie, until

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
STORAGE_CLASS = "local"
# A probe's pod takes two to three seconds to start; a dozen at once on two cores, several times that.
# The nodes of a test are always new, and a fault on them counts.
SPEC = {
    "probePeriod": 1,
    "probeThreshold": "40s",
    "deadline": "50s",
    "suppression": {"newNodeGrace": "0s"},
}


class Probed:
    """A namespace of a real cluster with a controller in it."""

    def __init__(self, cluster: Cluster, namespace: str, pie: Pie) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.pie = pie

    @property
    def api(self) -> Api:
        """The administrator's client."""
        return self.cluster.api

    def path(self, plural: str, name: str = "") -> str:
        """Return the path of objects in the namespace."""
        group = {"cronjobs": "/apis/batch/v1", "jobs": "/apis/batch/v1", "pieprobes": GROUP}.get(
            plural, "/api/v1"
        )
        return "/".join(part for part in (group, "namespaces", self.namespace, plural, name) if part)

    async def probe(
        self, name: str, nodes: list[str], storage_class: str = STORAGE_CLASS, **spec: Any
    ) -> None:
        """Apply a PieProbe for some nodes by name."""
        rule = {"key": "metadata.name", "operator": "In", "values": nodes[:1]}
        terms = [{"matchFields": [{**rule, "values": [node]}]} for node in nodes]
        body = {
            "apiVersion": "pie.topolvm.io/v1alpha1",
            "kind": "PieProbe",
            "metadata": {"name": name},
            "spec": {
                "monitoringStorageClass": storage_class,
                "nodeSelector": {"nodeSelectorTerms": terms},
                **SPEC,
                **spec,
            },
        }
        await self.api.apply(self.path("pieprobes", name), body)

    def claim(self, probe: str, node: str, storage_class: str = STORAGE_CLASS) -> str:
        """Return the name of a mount target's claim."""
        return claim_names(Target(probe, Kind.MOUNT, storage_class, node))[0]

    def cronjob(self, probe: str, node: str, storage_class: str = STORAGE_CLASS) -> str:
        """Return the name of a mount target's CronJob."""
        return cronjob_names(Target(probe, Kind.MOUNT, storage_class, node))[0]

    async def on_time(self, probe: str, node: str, value: str) -> float:
        """Read a mount target's `on_time` counter."""
        return await self.pie.value(ON_TIME["mount"], pie_probe_name=probe, node=node, on_time=value) or 0.0

    async def succeeded(self, probe: str, node: str, value: str) -> float:
        """Read a mount target's `succeed` counter."""
        return await self.pie.value(PERFORMANCE, pie_probe_name=probe, node=node, succeed=value) or 0.0

    async def more(self, metric: str, timeout_seconds: float, *, by: float = 1, **labels: str) -> float:
        """Return a counter's value when it has grown by that much from now."""
        before = await self.pie.value(metric, **labels) or 0.0
        return await self.pie.until_value(
            metric, lambda value: value >= before + by, timeout_seconds, **labels
        )


async def install_crd(api: Api) -> None:
    """Install the CRD and wait until it is served: a moment after its condition Established says so."""
    crd = yaml.safe_load(CRD.read_text())
    await api.apply(f"{CRDS}/{crd['metadata']['name']}", crd)
    await until(lambda: api.find(f"{GROUP}/pieprobes"), "PieProbes are served")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def probed(shared_real_cluster: str, request: Any, tmp_path_factory: Any) -> AsyncIterator[Probed]:
    """Two real nodes, and a controller with the chart's rights, for a namespace of the restricted level."""
    async with Cluster.attach(shared_real_cluster) as cluster:
        await install_crd(cluster.api)
        namespace = f"pie-{Path(request.module.__file__).stem.removeprefix('test_').replace('_', '-')}"
        await cluster.create_namespace(namespace)
        async with controller_account(cluster, namespace) as kubeconfig:
            async with Pie(kubeconfig, namespace) as pie:
                yield Probed(cluster, namespace, pie)
                log = tmp_path_factory.getbasetemp() / f"{namespace}.log"
                log.write_text("\n".join(pie.lines))
            assert refusals(cluster, namespace) == []
        await cluster.api.delete(f"/api/v1/namespaces/{namespace}")
