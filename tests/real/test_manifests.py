"""What `pie manifests` prints, applied by the real kubectl to a real Kubernetes."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from testbed.cluster import Cluster
from tests.embedded.conftest import kubectl_path
from tests.harness import Pie, apply_probe, pieprobe, until, until_condition

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("machine")]


async def run(*command: str) -> str:
    """Run a command, which must not fail; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return printed.decode()


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
