"""What `pie manifests` prints, applied by the real kubectl to a real Kubernetes."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pie.packaged import pieprobe_crd
from testbed.cluster import Cluster
from tests.embedded.conftest import kubectl_path
from tests.harness import Pie, apply_probe, pieprobe, until, until_condition

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("machine")]


async def ended(*command: str) -> tuple[int | None, str, str]:
    """Run a command; return its exit status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, complaint = await process.communicate()
    return process.returncode, printed.decode(), complaint.decode()


async def run(*command: str) -> str:
    """Run a command, which must not fail; return what it printed."""
    status, printed, complaint = await ended(*command)
    assert status == 0, complaint
    return printed


async def test_kubectl_applies_it_and_a_controller_with_its_rights_works(
    start_cluster: Callable[..., Awaitable[Cluster]], tmp_path: Path
) -> None:
    cluster, namespace = await start_cluster(kwok_nodes=1), "storage"
    api, kubectl = cluster.api, (kubectl_path(), "--kubeconfig", str(cluster.kubeconfig))
    where = ("--image", "registry.example.com/pie:1.0", "--namespace", namespace)
    file = tmp_path / "pie.yaml"
    file.write_text(await run(sys.executable, "-m", "pie", "manifests", *where))
    apply = (*kubectl, "apply", "--server-side", "--validate=strict", "-f", str(file))
    first = await run(*apply)
    assert "deployment.apps/pie serverside-applied" in first
    assert "customresourcedefinition.apiextensions.k8s.io/pieprobes.pie.topolvm.io" in first
    assert await run(*apply), "it can be applied again"

    async def pods() -> bool:
        found = await api.items(f"/api/v1/namespaces/{namespace}/pods")
        return {each["spec"]["containers"][0]["image"] for each in found} == {"registry.example.com/pie:1.0"}

    await until(pods, "the pods of the Deployment are created")
    await run(*kubectl, "-n", namespace, "scale", "deployment/pie", "--replicas=0")
    kubeconfig = await cluster.service_account_kubeconfig(namespace, "pie")
    async with Pie(kubeconfig, namespace, "--leader-elect") as pie:
        await pie.leads()
        await apply_probe(api, namespace, pieprobe("p", "kwok", "type"))
        await until_condition(api, namespace, "p", "Ready", "True")
        await until_condition(api, namespace, "p", "PermissionMissing", "False")
        await until_condition(api, namespace, "p", "CRDOutdated", "False")
    await run(*kubectl, "delete", "--wait=false", "-f", str(file))


async def test_an_older_crd_is_reported_and_pie_stop_refuses_until_the_named_command_updates_it(
    start_cluster: Callable[..., Awaitable[Cluster]], tmp_path: Path
) -> None:
    cluster, namespace = await start_cluster(kube_scheduler=False), "storage"
    await cluster.create_namespace(namespace)
    api, kubectl = cluster.api, (kubectl_path(), "--kubeconfig", str(cluster.kubeconfig))
    old = json.loads(json.dumps(pieprobe_crd()))
    schema = old["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["paused"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    await run(*kubectl, "apply", "--server-side", "-f", str(tmp_path / "old.json"))
    await run(*kubectl, "wait", "--for=condition=Established", "crd/pieprobes.pie.topolvm.io")
    where = ("-n", namespace, "--kubeconfig", str(cluster.kubeconfig))
    stop = (sys.executable, "-m", "pie", "stop", *where)
    async with Pie(cluster.kubeconfig, namespace):
        await apply_probe(api, namespace, pieprobe("p", "some-class", "some-label"))
        condition = await until_condition(api, namespace, "p", "CRDOutdated", "True")
        assert "The CRD lacks spec.paused." in condition["message"]
    status, _, complaint = await ended(*stop)
    assert (status, "The CRD in the cluster is older than pie" in complaint) == (2, True)

    (tmp_path / "crd.yaml").write_text(await run(sys.executable, "-m", "pie", "manifests", "--only", "crd"))
    update = ("apply", "--server-side", "--force-conflicts", "-f", str(tmp_path / "crd.yaml"))
    await run(*kubectl, *update)

    async def stopped() -> bool:
        # The API server serves the new schema a moment after the CRD is updated.
        return (await ended(*stop))[0] == 0

    await until(stopped, "pie stop pauses the PieProbe")
    assert "PieProbe p was paused before." in await run(*stop)
