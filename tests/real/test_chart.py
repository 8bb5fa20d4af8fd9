"""The Helm chart on a real Kubernetes: a controller with only the rights that it gives can do its work."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.api import Api, ApiError
from testbed.cluster import Cluster
from tests.chart.golden import GOLDEN
from tests.chart.helm import CHART, IMAGE, RELEASE, helm, rendered
from tests.chart.install import KINDS, install
from tests.harness import CRD, GROUP, apply_probe, gone, pieprobe, until

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("machine")]

Json = dict[str, Any]
EVERYTHING = GOLDEN / "everything.values.yaml"
CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pieprobes.pie.topolvm.io"


async def test_both_replicas_are_let_into_a_namespace_of_the_restricted_level(
    control_plane: Cluster, restricted_namespace: str
) -> None:
    api = control_plane.api
    await install(api, restricted_namespace, "--set", "crd.install=false")

    async def admitted() -> bool:
        return len(await api.items(f"/api/v1/namespaces/{restricted_namespace}/pods")) == 2

    await until(admitted, "two pods of the controller are created")


# As far as an upgrade is concerned, the chart of the Go implementation: the CRD is one of its templates.
GO_TEMPLATES = {
    "deployment.yaml": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "pie"},
        "spec": {
            "selector": {
                "matchLabels": {
                    "app.kubernetes.io/name": "pie",
                    "app.kubernetes.io/instance": "{{ .Release.Name }}",
                }
            },
            "template": {
                "metadata": {
                    "labels": {
                        "app.kubernetes.io/name": "pie",
                        "app.kubernetes.io/instance": "{{ .Release.Name }}",
                    }
                },
                "spec": {"containers": [{"name": "controller", "image": "registry.example.com/go-pie"}]},
            },
        },
    },
    "service.yaml": {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "pie"},
        "spec": {
            "selector": {"app.kubernetes.io/name": "pie"},
            "ports": [{"name": "metrics", "port": 8080}, {"name": "receiver", "port": 8082}],
        },
    },
}


async def test_an_upgrade_from_the_go_chart_keeps_the_probes(
    start_cluster: Callable[..., Awaitable[Cluster]], tmp_path: Path
) -> None:
    # One of its own: in the shared control plane other tests install the CRD without helm.
    control_plane, namespace = await start_cluster(kube_scheduler=False), "pie"
    await control_plane.create_namespace(namespace)
    await write_go_chart(tmp_path)
    where = ("--kubeconfig", str(control_plane.kubeconfig), "--namespace", namespace)
    await succeeds("install", RELEASE, str(tmp_path), *where)
    api = control_plane.api
    await until(lambda: has_been_applied(api, namespace), "PieProbes are served")
    await succeeds("upgrade", RELEASE, str(CHART), *where, "--reset-values", *IMAGE)

    (probe,) = await until(lambda: served(api, namespace), "PieProbes are served again")
    assert "deletionTimestamp" not in probe["metadata"]
    assert (await api.get(CRD_PATH))["spec"]["versions"][0]["additionalPrinterColumns"]
    ports = (await api.get(f"/api/v1/namespaces/{namespace}/services/pie"))["spec"]["ports"]
    assert [port["name"] for port in ports] == ["metrics"]


async def test_a_release_keeps_its_pieprobes_when_upgraded_and_leaves_the_crd_when_uninstalled(
    start_cluster: Callable[..., Awaitable[Cluster]],
) -> None:
    cluster, namespace = await start_cluster(kube_scheduler=False), "storage"
    await cluster.create_namespace(namespace)
    api, probes = cluster.api, f"{GROUP}/namespaces/{namespace}/pieprobes"
    where = ("--kubeconfig", str(cluster.kubeconfig), "--namespace", namespace)
    # Without a scheduler the hook of the uninstallation would wait for its minute.
    values = ("--values", str(EVERYTHING), "--set", "replicaCount=0,uninstall.stop=false")
    await succeeds("install", RELEASE, str(CHART), *where, *values)
    await until(lambda: established(api), "PieProbes are served")
    await succeeds("upgrade", RELEASE, str(CHART), *where, *values)
    (created,) = await api.items(probes)
    changed = ("--reuse-values", "--set", "pieProbes.topolvm.probeThreshold=30s")
    await succeeds("upgrade", RELEASE, str(CHART), *where, *changed)
    (upgraded,) = await api.items(probes)
    assert upgraded["metadata"]["uid"] == created["metadata"]["uid"]
    assert upgraded["spec"]["probeThreshold"] == "30s"

    await succeeds("rollback", RELEASE, "2", *where)
    (back,) = await api.items(probes)
    assert (back["metadata"]["uid"], back["spec"]["probeThreshold"]) == (created["metadata"]["uid"], "1m")
    assert await established(api)

    other = ("--namespace", "default", *IMAGE, "--set", "replicaCount=0")
    refused = await asyncio.to_thread(
        helm, "install", "other", str(CHART), "--kubeconfig", str(cluster.kubeconfig), *other
    )
    assert "It belongs to the Helm release pie in the namespace storage" in refused.stderr
    await succeeds(
        *("install", "other", str(CHART), "--kubeconfig", str(cluster.kubeconfig)),
        *(*other, "--set", "crd.install=false"),
    )

    await succeeds("uninstall", RELEASE, *where)
    await until(lambda: gone(api, probes), "the PieProbes of the release are deleted")
    await api.get(CRD_PATH)


async def established(api: Api) -> bool:
    """Tell whether the API server serves PieProbes."""
    conditions = (await api.get(CRD_PATH)).get("status", {}).get("conditions") or []
    return {"type": "Established", "status": "True"} in (
        {key: each[key] for key in ("type", "status")} for each in conditions
    )


async def succeeds(*arguments: str) -> None:
    """Run helm, which must not fail."""
    result = await asyncio.to_thread(helm, *arguments)
    assert result.returncode == 0, result.stderr


async def write_go_chart(directory: Path) -> None:
    """Write a chart like that of the Go implementation."""
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: pie\nversion: 0.0.1\n")
    templates = directory / "templates"
    templates.mkdir()
    crd = yaml.safe_load(CRD.read_text())
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    crd["spec"]["versions"] = [version]
    for name, manifest in {**GO_TEMPLATES, "crd.yaml": crd}.items():
        (templates / name).write_text(yaml.safe_dump(manifest))


async def served(api: Api, namespace: str) -> list[Json] | None:
    """Return the PieProbes; None while the API server changes over to another version of the resource."""
    try:
        return await api.items(f"{GROUP}/namespaces/{namespace}/pieprobes")
    except ApiError as error:
        if error.status == 429:
            return None
        raise


async def has_been_applied(api: Api, namespace: str) -> bool:
    """Try to apply a PieProbe; a new resource is served a moment after it is there."""
    try:
        await apply_probe(api, namespace, pieprobe("p", "some-class", "some-label"))
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return True


async def test_the_uninstall_hook_may_do_what_it_does_and_does_not_keep_the_release(
    start_cluster: Callable[..., Awaitable[Cluster]],
) -> None:
    # Without a scheduler the pod of the hook never starts: the worst case.
    cluster, namespace = await start_cluster(kube_scheduler=False), "storage"
    await cluster.create_namespace(namespace)
    api, where = cluster.api, ("--kubeconfig", str(cluster.kubeconfig), "--namespace", namespace)
    values = (*IMAGE, "--set", "uninstall.stop=true", "--set", "replicaCount=0")
    await succeeds("install", RELEASE, str(CHART), *where, *values)
    await until(lambda: established(api), "PieProbes are served")
    await apply_probe(api, namespace, pieprobe("p", "some-class", "some-label"))

    hook = [each for each in rendered(*values[2:], namespace=namespace) if "post-delete" in str(each)]
    for manifest in (each for each in hook if each["kind"] in KINDS):
        path = KINDS[manifest["kind"]].format(namespace=namespace, name=manifest["metadata"]["name"])
        await api.apply(path, manifest)
    kubeconfig = await cluster.service_account_kubeconfig(namespace, f"{RELEASE}-stop")
    arguments = ("stop", "--namespace", namespace, "--kubeconfig", str(kubeconfig))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "pie", *arguments)
    assert await process.wait() == 0
    assert (await api.get(f"{GROUP}/namespaces/{namespace}/pieprobes/p"))["spec"]["paused"] is True

    await asyncio.to_thread(helm, "uninstall", RELEASE, *where, seconds=150)
    left = await asyncio.to_thread(helm, "list", "--all", "--short", *where)
    assert left.stdout.strip() == ""
    assert await gone(api, f"/apis/batch/v1/namespaces/{namespace}/jobs")
    assert await gone(api, f"/apis/apps/v1/namespaces/{namespace}/deployments")
    # docs/install.md names them: helm does not delete the other objects of a hook whose Job failed.
    roles = await api.items(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles")
    assert {each["metadata"]["name"] for each in roles} == {f"{RELEASE}-stop"}
