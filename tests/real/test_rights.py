"""The controller with only the rights of the chart: nothing is refused, and every right is used.

First in one namespace, then, on the same cluster, with the ClusterRole of `allNamespaces`.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import pytest

from testbed import kwok
from testbed.api import Api
from testbed.cluster import Cluster
from testbed.kwok_stages import OTHER_ARCHITECTURE, OTHER_OS, WITHOUT_DRIVER
from tests.chart.helm import RELEASE
from tests.chart.install import install
from tests.harness import (
    GROUP,
    ON_TIME,
    PERFORMANCE,
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    Pie,
    apply_probe,
    gone,
    pieprobe,
    until,
)
from tests.rights import CLUSTER, OF_MANY, USED, Right
from tests.rights import RELEASE as OF_RELEASE

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

NAMESPACE = "storage"
SPEC = {"probeThreshold": "20s", "deadline": "30s"}
ARGUMENTS = (
    "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
    "--feature-gates=WatchList=false",  # or no cache would need a list
)
CREATED = 201


async def test_the_rights_that_the_chart_gives_are_enough_and_none_is_too_much(
    start_cluster: Callable[..., Awaitable[Cluster]],
) -> None:
    cluster = await start_cluster(kwok_nodes=2, arguments={"kube-apiserver": ARGUMENTS})
    api, probes = cluster.api, f"{GROUP}/namespaces/{NAMESPACE}/pieprobes"
    await cluster.create_namespace(NAMESPACE)
    await install(api, NAMESPACE, "--set", "replicaCount=0")
    kubeconfig = await cluster.service_account_kubeconfig(NAMESPACE, RELEASE)
    left_behind = await leave_a_pod_as_go_pie_did(api, NAMESPACE)

    async with Pie(kubeconfig, NAMESPACE, "--leader-elect") as pie:
        await pie.leads()
        await kwok.add_nodes(api, [WITHOUT_DRIVER, OTHER_OS, OTHER_ARCHITECTURE])  # on which all runs are bad
        await apply_probe(api, NAMESPACE, pieprobe("p", "kwok", "type", **SPEC))
        await apply_probe(api, NAMESPACE, pieprobe("q", "kwok", "type", runner="Pod", **SPEC))
        for probe in ("p", "q"):
            of = {"pie_probe_name": probe}
            for node in cluster.spec.kwok_node_names:
                await pie.until_value(PERFORMANCE, some, 150, **of, node=node, succeed="true")
            await pie.until_value(ON_TIME["mount"], some, 150, **of, node=WITHOUT_DRIVER, on_time="false")
        await until(lambda: gone(api, left_behind), "the pod that Go pie left behind is free to go")
        follow_up = Right(OF_RELEASE, "jobs", "create")
        await until(lambda: is_used(cluster, follow_up), "a provision run was bad, and followed up", 300, 2)
        none = pieprobe("p", "kwok", "no-such-label")["spec"]["nodeSelector"]
        await api.patch(f"{probes}/p", {"spec": {"nodeSelector": none}})
        unused = await until_used(cluster)
        for probe in ("p", "q"):
            await api.delete(f"{probes}/{probe}")
        await until(
            lambda: gone(api, f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs"), "no CronJob is left"
        )
    assert not unused
    assert set(used(cluster)) <= set(USED)
    await serve_all_namespaces(cluster)
    assert not refused(cluster)


async def serve_all_namespaces(cluster: Cluster) -> None:
    """Serve PieProbes of one name in two namespaces, and see one of them end without the other."""
    api, both = cluster.api, ("team-a", "team-b")
    await install(api, NAMESPACE, "--set", "replicaCount=0,allNamespaces=true")
    kubeconfig = await cluster.service_account_kubeconfig(NAMESPACE, RELEASE)
    for namespace in both:
        await cluster.create_namespace(namespace)
        probe = pieprobe("p", "kwok", "type", runner="Pod", probePeriodSeconds=30, **SPEC)
        await apply_probe(api, namespace, probe)

    async with Pie(kubeconfig, "", "--leader-elect") as pie:
        await pie.leads()
        for namespace in both:
            for node in cluster.spec.kwok_node_names:
                of = {"namespace": namespace, "pie_probe_name": "p", "node": node}
                await pie.until_value(PERFORMANCE, some, 120, **of, succeed="true")
        claims = {each: f"/api/v1/namespaces/{each}/persistentvolumeclaims" for each in both}
        names = [{each["metadata"]["name"] for each in await api.items(path)} for path in claims.values()]
        assert names[0] & names[1], "the PVCs have the same names in both"
        for ended in both:
            await api.delete(f"{GROUP}/namespaces/{ended}/pieprobes/p")
            await until(partial(gone, api, claims[ended]), f"no PVC is left in {ended}", 120)
            await pie.until_no_samples(namespace=ended)
            if ended == both[0]:
                assert await api.items(claims[both[1]])
                assert await pie.value(ON_TIME["provision"], namespace=both[1], on_time="true") is not None


def some(value: float) -> bool:
    return value >= 1


async def is_used(cluster: Cluster, right: Right) -> bool:
    return right in used(cluster)


async def until_used(cluster: Cluster) -> set[Right]:
    """Return which rights were not used, if some are not within some minutes."""
    wanted = USED.keys() - OF_MANY

    async def all_used() -> bool:
        return wanted <= set(used(cluster))

    try:
        await until(all_used, "every right is used", 180, 2)
    except AssertionError:
        return set(wanted) - set(used(cluster))
    return set()


def used(cluster: Cluster) -> Iterator[Right]:
    """Yield what the controller was allowed, as the audit log has it."""
    for event in cluster.audit.events():
        code = event.response_status.code
        if event.user.username != f"system:serviceaccount:{NAMESPACE}:{RELEASE}" or code in {0, 403}:
            continue
        if not event.object_ref.resource or event.object_ref.resource.endswith("reviews"):
            continue
        namespace = event.object_ref.namespace
        where = OF_RELEASE if namespace == NAMESPACE else namespace or CLUSTER
        yield Right(where, event.resource, event.verb)
        if event.verb == "patch" and code == CREATED:  # server-side apply of an object that did not exist
            yield Right(where, event.resource, "create")


def refused(cluster: Cluster) -> list[str]:
    """Return what the controller was refused."""
    return [
        f"{event.verb} {event.request_uri}"
        for event in cluster.audit.events()
        if event.user.username == f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
        and event.response_status.code == 403
    ]


async def leave_a_pod_as_go_pie_did(api: Api, namespace: str) -> str:
    """Delete a pod that carries Go pie's finalizer, so that it waits for pie; return its path."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    metadata = {
        "name": "left-behind",
        "finalizers": ["pie.topolvm.io/pod"],
        "labels": {"pie-probe": "old", "storage-class": "kwok"},
    }
    container = {**RESTRICTED_CONTAINER, "name": "probe", "image": "pie.test/pie:dev"}
    spec = {**RESTRICTED_POD, "nodeSelector": {"no": "such-node"}, "containers": [container]}
    await api.create(pods, {"metadata": metadata, "spec": spec})
    await api.delete(f"{pods}/left-behind")
    return f"{pods}/left-behind"
