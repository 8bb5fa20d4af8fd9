"""The Helm chart on a real Kubernetes: a controller with only the rights that it gives can do its work."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pie.core.yamltext import read_documents
from testbed.api import Api, ApiError
from testbed.cluster import Cluster
from tests.chart.golden import CASES, GOLDEN
from tests.chart.helm import CHART, IMAGE, MAIN, PROGRAMS, RELEASE, helm, rendered
from tests.chart.install import KINDS, install
from tests.embedded.conftest import kubectl_path
from tests.harness import GROUP, Pie, apply_probe, gone, pieprobe, until, until_condition
from tests.real.gochart import go_claim, write_go_chart

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("machine")]

Json = dict[str, Any]
EVERYTHING = GOLDEN / "everything.values.yaml"
CLASS = "some-class"
NODE = "n1"
CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pieprobes.pie.topolvm.io"


async def test_both_replicas_are_created_in_a_namespace_of_the_restricted_level(
    control_plane: Cluster, namespace: str
) -> None:
    api = control_plane.api
    await install(api, namespace, "--set", "crd.install=false")

    async def admitted() -> bool:
        return len(await api.items(f"/api/v1/namespaces/{namespace}/pods")) == 2

    await until(admitted, "two pods of the controller are created")


@pytest.mark.parametrize("program", PROGRAMS)
async def test_an_upgrade_from_the_go_chart_and_back_keeps_pieprobes_and_pvcs(
    start_cluster: Callable[..., Awaitable[Cluster]], tmp_path: Path, program: str
) -> None:
    # One of its own: in the shared control plane other tests install the CRD without helm.
    cluster, namespace = await start_cluster(kube_scheduler=False), "pie"
    await cluster.create_namespace(namespace)
    write_go_chart(tmp_path)
    where = ("--kubeconfig", str(cluster.kubeconfig), "--namespace", namespace)
    await succeeds("install", RELEASE, str(tmp_path), *where, program=program)
    api = cluster.api
    await until(lambda: has_been_applied(api, namespace), "PieProbes are served")
    await api.create("/api/v1/nodes", {"metadata": {"name": NODE, "labels": {"some-label": ""}}})
    await api.create(
        "/apis/storage.k8s.io/v1/storageclasses",
        {"metadata": {"name": CLASS}, "provisioner": "csi.example.com"},
    )
    (before,) = await api.items(f"{GROUP}/namespaces/{namespace}/pieprobes")
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    claim = await api.create(claims, go_claim(before, NODE))
    crd = await api.get(CRD_PATH)

    await succeeds("upgrade", RELEASE, str(CHART), *where, "--reset-values", *IMAGE, program=program)
    (probe,) = await until(
        lambda: api.items(f"{GROUP}/namespaces/{namespace}/pieprobes"), "PieProbes are served again"
    )
    assert is_the_same(probe, before)
    assert (await api.get(CRD_PATH))["spec"]["versions"][0]["additionalPrinterColumns"]
    assert await ports(api, namespace) == ["metrics"]
    await works(cluster, namespace)

    # The steps of docs/migrating.md. Pie has no pods here: nothing schedules them.
    await kubectl(cluster, "--namespace", namespace, "delete", "cronjobs", "-l", "pie-probe")
    await succeeds("upgrade", RELEASE, str(tmp_path), *where, "--reset-values", program=program)
    await until(lambda: prunes(api, namespace), "the schema of the Go implementation is served")
    labelled = ("--namespace", namespace, "label", "pieprobes", "--all", "back=yes")
    await kubectl(cluster, *labelled)  # their schema takes what is stored
    (back,) = await api.items(f"{GROUP}/namespaces/{namespace}/pieprobes")
    assert is_the_same(back, before)
    assert back["spec"] == before["spec"]
    assert is_the_same(await api.get(CRD_PATH), crd)
    assert await ports(api, namespace) == ["metrics", "receiver"]
    (kept,) = await until(lambda: only(api, claims), "PVCs of runs that were due meanwhile are deleted")
    assert is_the_same(kept, claim)
    assert kept["metadata"]["labels"] == claim["metadata"]["labels"]
    assert kept["metadata"]["ownerReferences"] == claim["metadata"]["ownerReferences"]
    assert await gone(api, f"/apis/batch/v1/namespaces/{namespace}/cronjobs")


async def works(cluster: Cluster, namespace: str) -> None:
    """Run a controller: it uses the PVC of the Go implementation, and a field that this does not know."""
    api = cluster.api
    async with Pie(cluster.kubeconfig, namespace):
        await api.patch(f"{GROUP}/namespaces/{namespace}/pieprobes/p", {"spec": {"deadline": "1m"}})
        await until_condition(api, namespace, "p", "Ready", "True")

        async def created() -> bool:
            return len(await api.items(f"/apis/batch/v1/namespaces/{namespace}/cronjobs")) == 2

        await until(created, "a CronJob for the node, and one for the class")


async def only(api: Api, path: str) -> list[Json]:
    """Return the object of a collection once it is the only one."""
    found = await api.items(path)
    return found if len(found) == 1 else []


async def prunes(api: Api, namespace: str) -> bool:
    """Tell whether the API server shows PieProbes as the Go implementation knows them."""
    found = await api.items(f"{GROUP}/namespaces/{namespace}/pieprobes")
    return ["deadline" in each["spec"] for each in found] == [False]


async def ports(api: Api, namespace: str) -> list[str]:
    """Return the names of the ports of the release's Service."""
    service = await api.get(f"/api/v1/namespaces/{namespace}/services/pie")
    return [each["name"] for each in service["spec"]["ports"]]


def is_the_same(found: Json, before: Json) -> bool:
    """Tell whether an object was neither deleted nor created anew."""
    now, then = found["metadata"], before["metadata"]
    return (now["name"], now["uid"]) == (then["name"], then["uid"]) and "deletionTimestamp" not in now


async def kubectl(cluster: Cluster, *arguments: str) -> None:
    """Run kubectl, which must not fail."""
    assert (await printed(cluster, *arguments))[0] == 0


async def printed(cluster: Cluster, *arguments: str) -> tuple[int | None, str]:
    """Run kubectl; return its exit status, and what it printed."""
    argv = (kubectl_path(), "--kubeconfig", str(cluster.kubeconfig), *arguments)
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def discovered(cluster: Cluster) -> bool:
    """Tell whether helm finds PieProbes: discovery has them a moment after they are served."""
    status, found = await printed(cluster, "api-resources", "--api-group=pie.topolvm.io", "--output=name")
    return status == 0 and "pieprobes" in found


@pytest.mark.parametrize("values", CASES, ids=lambda path: path.name.partition(".")[0])
def test_helm_4_renders_what_helm_3_renders(values: Path) -> None:
    arguments = ("template", RELEASE, str(CHART), "--values", str(values), "--kube-version", "1.35.0")
    one, other = (helm(*arguments, name=name) for name in PROGRAMS)
    assert (one.returncode, other.returncode) == (0, 0), other.stderr
    assert list(read_documents(one.stdout)) == list(read_documents(other.stdout))


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
    await until(lambda: discovered(cluster), "PieProbes are served")
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


async def succeeds(*arguments: str, program: str = MAIN) -> None:
    """Run helm, which must not fail."""
    result = await asyncio.to_thread(helm, *arguments, name=program)
    assert result.returncode == 0, result.stderr


async def has_been_applied(api: Api, namespace: str) -> bool:
    """Try to apply a PieProbe of the Go implementation; a resource is served a moment after it is there."""
    probe = pieprobe("p", CLASS, "some-label")
    del probe["spec"]["suppression"]
    try:
        await apply_probe(api, namespace, probe)
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
    await until(lambda: discovered(cluster), "PieProbes are served")
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

    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    uninstalling = asyncio.create_task(asyncio.to_thread(helm, "uninstall", RELEASE, *where, seconds=150))
    await until(lambda: api.find(f"{jobs}/{RELEASE}-stop"), "helm creates the Job of the hook", 60)
    # Its minute has passed.
    await api.patch(f"{jobs}/{RELEASE}-stop", {"spec": {"activeDeadlineSeconds": 1}})
    assert "DeadlineExceeded" in (await uninstalling).stderr
    left = await asyncio.to_thread(helm, "list", "--all", "--short", *where)
    assert left.stdout.strip() == ""
    assert await gone(api, jobs)
    assert await gone(api, f"/apis/apps/v1/namespaces/{namespace}/deployments")
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    assert await gone(api, f"{rights}/roles")
    assert await gone(api, f"{rights}/rolebindings")
    assert await gone(api, f"/api/v1/namespaces/{namespace}/serviceaccounts/{RELEASE}-stop")
