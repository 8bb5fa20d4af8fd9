"""`pie check` on real nodes: it passes, and fails rightly, with stage and reason, under each of these faults.

Each fault has a namespace, and so volumes, of its own; they all run at the same time.
"""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from pie.core.apitypes import Overview
from testbed import faults
from testbed.cluster import Cluster
from testbed.errors import TestbedError
from testbed.faults import Options
from tests.cli.conftest import Ended, run, started
from tests.harness import RESTRICTED_CONTAINER, RESTRICTED_POD, ROOT, until

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

IMAGE = "pie.test/pie:dev"
# Longer than a busy machine takes to start a dozen pods at once. What is late or hangs is late so long after.
TIMEOUT_SECONDS = 40
Finding = tuple[str, str, str]


@dataclass(frozen=True)
class Case:
    """A fault, and what a check has to say: verdict, stage, reason.

    `between_mounts`: it is inflicted while the volume is still mounted for the first run, which has ended.
    """

    fault: str
    node: str
    finding: Finding
    between_mounts: bool = False


CASES = (
    Case("io-error", "node-1", ("failed", "io", "IOError")),
    Case("read-only", "node-2", ("failed", "io", "ReadOnly")),
    Case("publish-refused", "node-2", ("late", "mount", "MountFailed")),
    Case("create-refused", "node-1", ("late", "provision", "ProvisioningFailed")),
    Case("hang", "node-2", ("hung", "io", "Hung")),
    # The data that the first mount wrote is gone when the second one looks for it.
    Case("emptied", "node-1", ("failed", "io", "DataLost"), between_mounts=True),
)
# These take a whole node's driver away. Without its plugin, the kubelet cannot unmount what it has mounted.
PROCESSES = (
    Case("node-plugin-gone", "node-1", ("failed", "teardown", "TeardownStuck"), between_mounts=True),
    Case("provisioner-gone", "node-2", ("late", "provision", "ProvisionerSilent")),
)


def options(cluster: Cluster, namespace: str, *more: str) -> tuple[str, ...]:
    where = () if "--kubeconfig" in more else ("--kubeconfig", str(cluster.kubeconfig))
    return (
        *("check", "local", *where, "--namespace", namespace),
        *("--timeout", f"{TIMEOUT_SECONDS}s", "--output", "json"),
        *(() if "--image" in more else ("--image", IMAGE)),
        *more,
    )


@asynccontextmanager
async def a_namespace(cluster: Cluster) -> AsyncIterator[str]:
    """Give a namespace; after the check, nothing of it is there."""
    name = f"check-{uuid.uuid4().hex[:8]}"
    await cluster.create_namespace(name)
    yield name
    for path in (
        f"/api/v1/namespaces/{name}/pods",
        f"/api/v1/namespaces/{name}/persistentvolumeclaims",
        f"/apis/coordination.k8s.io/v1/namespaces/{name}/leases",
    ):
        assert await cluster.api.items(path) == [], path

    async def no_volumes() -> bool:
        volumes = await cluster.api.items("/api/v1/persistentvolumes")
        return name not in {each["spec"]["claimRef"]["namespace"] for each in volumes}

    # A provisioner that was refused may try once more before it hears that the PVC is gone.
    await until(no_volumes, f"no volume of namespace {name} is left", 60)
    await cluster.api.delete(f"/api/v1/namespaces/{name}")


def findings(ended: Ended) -> list[Finding]:
    report: dict[str, Any] = json.loads(ended.said)
    return [(each["verdict"], each["stage"], each["reason"]) for each in report["targets"]]


async def one(cluster: Cluster, case: Case) -> None:
    """Check one node's mounts while a fault hits the volumes of this check alone, and undo it in time."""
    async with a_namespace(cluster) as namespace:
        claims = f"{namespace}/*"
        fault = inflicted(cluster, case.fault, case.node, Options(claims=claims))
        arguments = options(cluster, namespace, "--mount", "--nodes", case.node)
        if case.between_mounts:
            held = inflicted(cluster, "unpublish-slow", case.node, Options(claims=claims, delay_seconds=600))
            async with held, started(*arguments) as command:
                await command.says(f"{case.node}: teardown", 120)
                async with fault:
                    with suppress(TestbedError):  # a driver that is gone cannot let go
                        await faults.undo(cluster, "unpublish-slow", node=case.node)
                    await command.says("cleaning up", 120)
                await faults.undo(cluster, "unpublish-slow", node=case.node)
                ended = await command.ended(90)
        else:
            async with fault, started(*arguments) as command:
                await command.says("cleaning up", 120)
                await faults.undo(cluster, case.fault, node=case.node)
                ended = await command.ended(90)
        assert ended.status == 1, ended.complained
        assert findings(ended) == [case.finding], ended.said


@asynccontextmanager
async def inflicted(cluster: Cluster, fault: str, node: str, how: Options) -> AsyncIterator[None]:
    await faults.inflict(cluster, fault, node=node, options=how)
    try:
        yield
    finally:
        await faults.undo(cluster, fault, node=node)


async def well(cluster: Cluster) -> None:
    async with a_namespace(cluster) as namespace:
        kubeconfig = await user_with_the_documented_rights(cluster, namespace)
        arguments = options(cluster, namespace, "--timeout", "60s", "--kubeconfig", str(kubeconfig))
        ended = await run(*arguments, timeout_seconds=180)
        assert ended.status == 0, ended.said + ended.complained
        assert findings(ended) == [("ok", None, "OK")] * 3


async def user_with_the_documented_rights(cluster: Cluster, namespace: str) -> Path:
    """Return the kubeconfig of a user who has the rights that docs/cli.md lists for a check, no others."""
    api, rbac = cluster.api, "/apis/rbac.authorization.k8s.io/v1"
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "cli.md").read_text(), re.DOTALL)
    roles = [role for block in blocks for role in yaml.safe_load_all(block)]
    subject = {"kind": "ServiceAccount", "name": "checker", "namespace": namespace}
    await api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "checker"}})
    for role in (each for each in roles if each["metadata"]["name"] == "pie-check"):
        kind, name = role["kind"], f"{namespace}-checker"
        of = role["metadata"].get("namespace")
        scope = f"{rbac}/namespaces/{namespace if of == 'default' else of}" if of else rbac
        role["metadata"] = {"name": name}
        await api.create(f"{scope}/{kind.lower()}s", role)
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        await api.create(f"{scope}/{kind.lower()}bindings", binding)
    return await cluster.service_account_kubeconfig(namespace, "checker")


async def refused(cluster: Cluster, finding: Finding, *more: str) -> None:
    async with a_namespace(cluster) as namespace:
        ended = await run(*options(cluster, namespace, "--provision", *more), timeout_seconds=180)
        assert ended.status == 1, ended.complained
        assert findings(ended) == [finding], ended.said


async def test_it_passes_where_all_is_well_and_names_stage_and_reason_of_each_fault(
    real_cluster: Cluster,
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(well(real_cluster))
        group.create_task(refused(real_cluster, ("late", "provision", "NoCapacity"), "--size", "100Gi"))
        group.create_task(
            refused(real_cluster, ("inconclusive", "start", "ImagePull"), "--image", "pie.test/no:1")
        )
        for case in CASES:
            group.create_task(one(real_cluster, case))
    async with asyncio.TaskGroup() as group:
        for case in PROCESSES:
            group.create_task(one(real_cluster, case))


LEADER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/v1/overview" else 404)
        self.end_headers()
        self.wfile.write(sys.argv[1].encode())
http.server.HTTPServer(("", 8123), Handler).serve_forever()
"""


async def test_status_asks_the_leaders_pod_by_way_of_the_api_server(real_cluster: Cluster) -> None:
    """The pod stands in for a controller: in the testbed no pod reaches the API server."""
    api, namespace = real_cluster.api, f"leader-{uuid.uuid4().hex[:8]}"
    await real_cluster.create_namespace(namespace)
    told = Overview(
        0.0,
        "0",
        namespace,
        leading=True,
        state="fine",
        summary="said by the pod",
        probes=(),
        incidents=(),
        slowest=(),
    )
    container = {
        "name": "controller",
        "image": IMAGE,
        "command": ["python3", "-c", LEADER, msgspec.json.encode(told).decode()],
        **RESTRICTED_CONTAINER,
        "ports": [{"name": "health", "containerPort": 8081}, {"name": "metrics", "containerPort": 8123}],
        "readinessProbe": {"httpGet": {"path": "/api/v1/overview", "port": "metrics"}, "periodSeconds": 1},
    }
    pods = f"/api/v1/namespaces/{namespace}/pods"
    spec = {**RESTRICTED_POD, "containers": [container], "terminationGracePeriodSeconds": 0}
    await api.create(pods, {"metadata": {"name": "pie-0"}, "spec": spec})
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    lease = {"metadata": {"name": "pie.topolvm.io"}, "spec": {"holderIdentity": f"pie-0_{uuid.uuid4()}"}}
    await api.create(leases, lease)

    async def ready() -> bool:
        conditions = (await api.get(f"{pods}/pie-0")).get("status", {}).get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    await until(ready, "the pod serves", 60)
    ended = await run("status", "--kubeconfig", str(real_cluster.kubeconfig), "-n", namespace)
    await api.delete(f"/api/v1/namespaces/{namespace}")
    assert (ended.status, ended.complained) == (0, "")
    assert "fine: said by the pod" in ended.said
