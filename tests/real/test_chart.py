"""The Helm chart: what it renders, and that a controller with only the rights it gives can do its work."""

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.api import Api, ApiError
from testbed.build import binary
from testbed.cluster import Cluster
from tests.harness import CRD, GROUP, ON_TIME, Pie, apply_probe, gone, pieprobe, until

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("machine")]

Json = dict[str, Any]
CHART = CRD.parents[1]
IMAGE = ("--set", "image.repository=registry.example.com/pie")
RELEASE = "pie"
KINDS = {
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts/{name}",
    "Service": "/api/v1/namespaces/{namespace}/services/{name}",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/{name}",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{name}",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{name}",
}


async def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm."""
    program = await binary("helm")
    return subprocess.run(  # noqa: ASYNC221  a second at most
        [program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


async def rendered(namespace: str, *values: str) -> list[Json]:
    """Return the chart's manifests."""
    result = await helm(
        *("template", RELEASE, str(CHART), "--namespace", namespace, "--kube-version", "1.35.0"),
        *IMAGE,
        *values,
    )
    assert result.returncode == 0, result.stderr
    return [manifest for manifest in yaml.safe_load_all(result.stdout) if manifest]


async def install(api: Api, namespace: str, *values: str) -> None:
    """Apply the chart's manifests as the API server's strict validation takes them."""
    for manifest in await rendered(namespace, *values):
        path = KINDS[manifest["kind"]].format(namespace=namespace, name=manifest["metadata"]["name"])
        await api.apply(path, manifest)


async def test_helm_finds_nothing_wrong_with_the_chart() -> None:
    result = await helm("lint", "--strict", str(CHART), "--kube-version", "1.35.0", *IMAGE)
    assert result.returncode == 0, result.stdout + result.stderr


async def test_without_an_image_it_says_what_to_set() -> None:
    result = await helm("template", RELEASE, str(CHART), "--kube-version", "1.35.0")
    assert result.returncode != 0
    assert "image.repository is empty: say where your cluster pulls pie's image from" in result.stderr


async def test_a_service_monitor_comes_only_when_asked_for() -> None:
    assert "ServiceMonitor" not in {manifest["kind"] for manifest in await rendered("pie")}
    with_monitor = await rendered("pie", "--set", "serviceMonitor.enabled=true")
    (monitor,) = (manifest for manifest in with_monitor if manifest["kind"] == "ServiceMonitor")
    (service,) = (manifest for manifest in with_monitor if manifest["kind"] == "Service")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


async def test_a_priority_class_that_autoscalers_ignore_comes_only_when_asked_for() -> None:
    assert "PriorityClass" not in {manifest["kind"] for manifest in await rendered("storage")}
    enabled = await rendered("storage", "--set", "probePriorityClass.enabled=true")
    (found,) = (manifest for manifest in enabled if manifest["kind"] == "PriorityClass")
    assert found["metadata"]["name"] == "storage-pie-probe"
    assert found["value"] < -10
    assert (found["preemptionPolicy"], found["globalDefault"]) == ("Never", False)
    named = await rendered("storage", "--set", "probePriorityClass.enabled=true,probePriorityClass.name=mine")
    assert "mine" in {manifest["metadata"]["name"] for manifest in named}


async def test_cluster_autoscaler_may_evict_the_controller() -> None:
    key = "cluster-autoscaler.kubernetes.io/safe-to-evict"
    for values in ((), ("--set-string", "podAnnotations.a=b")):
        (deployment,) = (each for each in await rendered("pie", *values) if each["kind"] == "Deployment")
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        assert annotations[key] == "true"
        assert annotations.get("a") == ("b" if values else None)


async def test_the_flags_are_those_that_the_controller_has() -> None:
    (deployment,) = (
        manifest
        for manifest in await rendered("pie", "--set", "controller.extraArgs={--help}")
        if manifest["kind"] == "Deployment"
    )
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    result = subprocess.run(  # noqa: ASYNC221  a second at most
        [Path(sys.executable).with_name("pie"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert "--container-image=registry.example.com/pie:1.0.0" in arguments


async def test_what_authors_may_ask_for_is_bounded_by_values() -> None:
    values = (
        "authorBounds.priorityClasses={low,lower}",
        "authorBounds.tolerations={gpu:NoSchedule}",
        "authorBounds.maxPvcCapacity=1Gi",
        "authorBounds.maxResources.cpu=500m",
        "authorBounds.maxTargets=100",
    )
    wanted = {
        "--allowed-priority-classes=low,lower",
        "--allowed-tolerations=gpu:NoSchedule",
        "--max-pvc-capacity=1Gi",
        "--max-resources=cpu=500m",
        "--max-targets=100",
    }
    for settings, expected in (((), set()), (values, wanted)):
        found = await rendered("pie", *(each for value in settings for each in ("--set", value)))
        (deployment,) = (each for each in found if each["kind"] == "Deployment")
        arguments = set(deployment["spec"]["template"]["spec"]["containers"][0]["args"])
        assert {each for each in arguments if each.startswith(("--allowed-", "--max-"))} == expected


async def test_probe_pods_pull_their_image_as_the_controller_does() -> None:
    values = ("--set", "imagePullSecrets[0].name=one,imagePullSecrets[1].name=two,image.pullPolicy=Always")
    (deployment,) = (each for each in await rendered("pie", *values) if each["kind"] == "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    assert spec["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    wanted = {"--image-pull-secret=one", "--image-pull-secret=two", "--image-pull-policy=Always"}
    assert wanted <= set(spec["containers"][0]["args"])


async def test_both_replicas_are_let_into_a_namespace_of_the_restricted_level(
    control_plane: Cluster, restricted_namespace: str
) -> None:
    api = control_plane.api
    await install(api, restricted_namespace)

    async def admitted() -> bool:
        return len(await api.items(f"/api/v1/namespaces/{restricted_namespace}/pods")) == 2

    await until(admitted, "two pods of the controller are created")


async def test_the_rights_that_the_chart_gives_are_enough(
    start_cluster: Callable[..., Awaitable[Cluster]],
) -> None:
    cluster = await start_cluster(kwok_nodes=2)
    api, namespace = cluster.api, "storage"
    await cluster.create_namespace(namespace)
    crd = yaml.safe_load(CRD.read_text())
    await api.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}", crd)
    await install(api, namespace, "--set", "replicas=0")
    kubeconfig = await cluster.service_account_kubeconfig(namespace, RELEASE)
    left_behind = await leave_a_pod_as_go_pie_did(api, namespace)

    async with Pie(kubeconfig, namespace, "--leader-elect") as pie:
        await pie.leads()
        await apply_probe(api, namespace, pieprobe("p", "kwok", "type", probeThreshold="30s"))
        for node in cluster.spec.kwok_node_names:
            await pie.until_value(
                ON_TIME["mount"], lambda value: value >= 1, 150, pie_probe_name="p", node=node, on_time="true"
            )
        await pie.until_value(
            ON_TIME["provision"], lambda value: value >= 1, 150, pie_probe_name="p", on_time="true"
        )
        await until(lambda: gone(api, left_behind), "the pod that Go pie left behind is free to go")
        await api.delete(f"{GROUP}/namespaces/{namespace}/pieprobes/p")
        await until(
            lambda: gone(api, f"/apis/batch/v1/namespaces/{namespace}/cronjobs"), "the CronJobs are gone"
        )
        lines = (await pie.samples()).text.splitlines()
        refused = [line for line in lines if 'code="403"' in line and not line.endswith(" 0.0")]
        assert refused == []


async def leave_a_pod_as_go_pie_did(api: Api, namespace: str) -> str:
    """Delete a pod that carries Go pie's finalizer, so that it waits for pie; return its path."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    metadata = {
        "name": "left-behind",
        "finalizers": ["pie.topolvm.io/pod"],
        "labels": {"pie-probe": "old", "storage-class": "kwok"},
    }
    container = {"name": "probe", "image": "pie.test/pie:dev"}
    spec = {"nodeSelector": {"no": "such-node"}, "containers": [container]}
    await api.create(pods, {"metadata": metadata, "spec": spec})
    await api.delete(f"{pods}/left-behind")
    return f"{pods}/left-behind"


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


async def test_an_upgrade_from_the_go_chart_keeps_the_probes_when_done_as_documented(
    start_cluster: Callable[..., Awaitable[Cluster]], tmp_path: Path
) -> None:
    # One of its own: in the shared control plane other tests install the CRD without helm.
    control_plane, namespace = await start_cluster(kube_scheduler=False), "pie"
    await control_plane.create_namespace(namespace)
    await write_go_chart(tmp_path)
    where = ("--kubeconfig", str(control_plane.kubeconfig), "--namespace", namespace)
    await succeeds("install", RELEASE, str(tmp_path), *where)
    api = control_plane.api
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pieprobes.pie.topolvm.io"
    await until(lambda: has_been_applied(api, namespace), "PieProbes are served")
    await api.patch(crd, {"metadata": {"annotations": {"helm.sh/resource-policy": "keep"}}})
    await api.apply(crd, yaml.safe_load(CRD.read_text()))
    await succeeds("upgrade", RELEASE, str(CHART), *where, "--reset-values", *IMAGE)

    (probe,) = await until(lambda: served(api, namespace), "PieProbes are served again")
    assert "deletionTimestamp" not in probe["metadata"]
    assert (await api.get(crd))["spec"]["versions"][0]["additionalPrinterColumns"]
    ports = (await api.get(f"/api/v1/namespaces/{namespace}/services/pie"))["spec"]["ports"]
    assert [port["name"] for port in ports] == ["metrics"]


async def succeeds(*arguments: str) -> None:
    """Run helm, which must not fail."""
    result = await helm(*arguments)
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
