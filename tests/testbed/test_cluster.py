"""The control plane alone: it comes up, can be broken and mended part by part, and leaves nothing behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.api import Api, ApiError
from testbed.audit import AuditEvent, Write
from testbed.cluster import Cluster, running_names, sweep
from testbed.errors import TestbedError
from tests.harness import RESTRICTED_CONTAINER, RESTRICTED_POD
from tests.testbed.traces import is_there, processes_that_mention
from tests.testbed.waiting import until

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("machine")]
StartCluster = Callable[..., Awaitable[Cluster]]
FORBIDDEN = 403
PERHAPS_ROOT = {"containers": [{"name": "probe", "image": "pie.test/pie:dev"}]}
POD = {
    **RESTRICTED_POD,
    "containers": [{"name": "probe", "image": "pie.test/pie:dev", **RESTRICTED_CONTAINER}],
}


async def test_a_namespace_takes_pods_as_soon_as_the_fixture_gives_it(
    control_plane: Cluster, namespace: str
) -> None:
    pod = await control_plane.api.create(
        f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "p"}, "spec": POD}
    )
    assert pod["spec"]["serviceAccountName"] == "default"


async def test_a_namespace_refuses_a_pod_that_may_be_root(control_plane: Cluster, namespace: str) -> None:
    with pytest.raises(ApiError, match="violates PodSecurity"):
        await control_plane.api.create(
            f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "p"}, "spec": PERHAPS_ROOT}
        )
    await until(
        lambda: refused(control_plane, namespace), lambda found: [each.insecure for each in found] == [True]
    )


async def refused(cluster: Cluster, namespace: str) -> list[AuditEvent]:
    """Return the requests for pods that were refused, as the audit log has them a moment later."""
    return [
        event
        for event in cluster.audit.events()
        if event.response_status.code == FORBIDDEN and event.object_ref.namespace == namespace
    ]


async def test_writes_between_two_moments_are_counted_by_program_verb_and_resource(
    control_plane: Cluster, namespace: str
) -> None:
    collection = f"/api/v1/namespaces/{namespace}/configmaps"
    await control_plane.api.create(collection, {"metadata": {"name": "before"}})
    since = control_plane.audit.now()
    for name in ("a", "b"):
        await control_plane.api.create(collection, {"metadata": {"name": name}})
    await control_plane.api.delete(f"{collection}/a")
    with pytest.raises(ApiError):
        await control_plane.api.create(collection, {"metadata": {"name": "b"}})
    end = control_plane.audit.now()
    await control_plane.api.create(collection, {"metadata": {"name": "after"}})

    counted = control_plane.audit.count_writes(since, end, namespace=namespace)
    assert {write: count for write, count in counted.items() if write.agent == "testbed"} == {
        Write("testbed", "create", "configmaps"): 2,
        Write("testbed", "delete", "configmaps"): 1,
    }


async def test_kubectl_works_with_the_kubeconfig(control_plane: Cluster) -> None:
    kubectl = Path(sys.executable).with_name("kubectl")
    process = await asyncio.create_subprocess_exec(
        *(str(kubectl), "--kubeconfig", str(control_plane.kubeconfig), "get", "namespaces", "-o", "name"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert b"namespace/kube-system" in output


async def test_a_service_account_may_do_what_its_role_binding_says_and_no_more(
    control_plane: Cluster, namespace: str
) -> None:
    await control_plane.api.create(
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
        {
            "metadata": {"name": "view"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
        },
    )
    kubeconfig = await control_plane.service_account_kubeconfig(namespace, "default")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    async with Api(kubeconfig) as api:
        # The API server reads bindings from a watch, and another process puts together what `view` allows.
        assert await until(lambda: listed(api, pods), lambda found: found is not None) == []
        with pytest.raises(ApiError, match="cannot create resource"):
            await api.create(pods, {"metadata": {"name": "p"}, "spec": POD})
    await until(
        lambda: refused(control_plane, namespace), lambda found: any(_creates(each) for each in found)
    )


def _creates(event: AuditEvent) -> bool:
    return event.unauthorized and event.verb == "create"


async def listed(api: Api, path: str) -> list[Any] | None:
    """Return what is there; None: it must not be read."""
    try:
        return await api.items(path)
    except ApiError as error:
        if error.status != FORBIDDEN:
            raise
        return None


async def test_a_detached_testbed_outlives_its_maker_until_it_is_taken_down() -> None:
    name = f"detached-{os.getpid()}"
    maker = Cluster(name=name, kube_controller_manager=False, kube_scheduler=False)
    await maker.bring_up(detached=True)
    async with Cluster.attach(name) as cluster:
        await cluster.api.get("/readyz")
    await Cluster.attach(name).take_down()
    assert name not in running_names()
    assert not is_there(str(maker.directory))


async def test_a_component_can_be_killed_frozen_and_started_again(start_cluster: StartCluster) -> None:
    cluster = await start_cluster(kube_controller_manager=False, kube_scheduler=False)
    assert await cluster.processes() == {"etcd": True, "kube-apiserver": True}

    await cluster.freeze("kube-apiserver")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await cluster.api.get("/readyz")
    await cluster.thaw("kube-apiserver")
    await until(lambda: reached(cluster.api), bool)  # it may miss etcd for a moment

    await cluster.kill("kube-apiserver")
    assert await cluster.processes() == {"etcd": True, "kube-apiserver": False}
    with pytest.raises(TestbedError, match="does not answer"):
        await cluster.api.get("/readyz")

    await cluster.start("kube-apiserver")
    await cluster.api.get("/api/v1/namespaces/default")


async def reached(api: Api) -> bool:
    """Say whether the API server is ready."""
    try:
        await api.get("/readyz")
    except ApiError:
        return False
    return True


async def test_without_a_controller_manager_pods_can_be_created_all_the_same(
    start_cluster: StartCluster,
) -> None:
    cluster = await start_cluster(kube_controller_manager=False, kube_scheduler=False)
    await cluster.create_namespace("alone")
    await cluster.api.create("/api/v1/namespaces/alone/pods", {"metadata": {"name": "p"}, "spec": POD})


async def test_two_testbeds_run_side_by_side_and_leave_nothing() -> None:
    names = {"one": f"one-{os.getpid()}", "other": f"other-{os.getpid()}"}
    one = Cluster(name=names["one"], kube_controller_manager=False, kube_scheduler=False)
    other = Cluster(name=names["other"], kube_controller_manager=False, kube_scheduler=False)
    async with one, other:
        await one.create_namespace("only-here")
        assert await other.api.find("/api/v1/namespaces/only-here") is None
        assert set(names.values()) <= set(running_names())
        with pytest.raises(TestbedError, match="runs already"):
            await Cluster(name=names["one"]).bring_up()
    assert not set(names.values()) & set(running_names())
    assert not one.directory.exists()
    assert not processes_that_mention(one.directory)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["user", "janitor", "both"])
async def test_when_the_outside_is_killed_everything_inside_ends(victim: str, tmp_path: Path) -> None:
    program = tmp_path / "user.py"
    program.write_text(
        "import asyncio\n"
        "from testbed.cluster import Cluster\n"
        "async def main():\n"
        "    async with Cluster(kube_controller_manager=False, kube_scheduler=False) as cluster:\n"
        "        print(cluster.directory, cluster._janitor.pid, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    user = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
    )
    assert user.stdout is not None
    directory, janitor = (await asyncio.wait_for(user.stdout.readline(), 240)).decode().split()
    assert processes_that_mention(Path(directory))

    if victim in ("janitor", "both"):
        os.kill(int(janitor), signal.SIGKILL)
    if victim in ("user", "both"):
        user.kill()
    async with asyncio.timeout(120):
        while processes_that_mention(Path(directory)):  # noqa: ASYNC110  another process's doing
            await asyncio.sleep(0.2)
        while victim == "user" and is_there(directory):  # noqa: ASYNC110  another process's doing
            await asyncio.sleep(0.2)
    if user.returncode is None:
        user.kill()
    await user.wait()
    async with asyncio.timeout(60):
        while is_there(directory):
            await asyncio.to_thread(sweep)  # as the next testbed does; one that starts now may sweep, too
            await asyncio.sleep(0.2)


async def test_a_component_that_cannot_start_is_reported_with_the_end_of_its_log() -> None:
    with pytest.raises(TestbedError, match=r"(?s)kube-apiserver has ended .*unknown flag: --no-such-flag"):
        await Cluster(arguments={"kube-apiserver": ["--no-such-flag"]}).bring_up()
