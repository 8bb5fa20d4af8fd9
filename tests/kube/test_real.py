"""The client, the reflector and leader election against a real API server, which is restarted under them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from pie.core.wire import Claim, Metadata
from pie.kube.client import Client
from pie.kube.clock import ServerClock
from pie.kube.config import load
from pie.kube.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from pie.kube.leader import Deposed, Elector, LeaseTiming
from pie.kube.lease import Lease
from pie.kube.metrics import KubeMetrics
from pie.kube.reflector import Reflector
from pie.kube.resources import LEASES, NAMESPACES, PVCS, Resource
from pie.kube.timing import Timing
from testbed.cluster import Cluster
from tests.harness import until
from tests.kube.scripted import eventually

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", namespaced=True)


class ConfigMap(msgspec.Struct, frozen=True):
    """A v1 ConfigMap."""

    metadata: Metadata
    data: dict[str, str] = {}


def config_map(name: str, value: str = "1") -> dict[str, Any]:
    """Make a ConfigMap with the label that the tests select."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"pie-test": "yes"}},
        "data": {"value": value},
    }


def client_of(cluster: Cluster, **arguments: Any) -> Client:
    """Return a client of the testbed, from its kubeconfig."""
    return Client(load(str(cluster.kubeconfig)), **arguments)


async def test_objects_are_made_changed_and_deleted_under_preconditions(
    control_plane: Cluster, namespace: str
) -> None:
    async with client_of(control_plane) as client:
        made = await client.create(CONFIG_MAPS, config_map("a"), namespace, decode=ConfigMap)
        assert made.data == {"value": "1"}
        with pytest.raises(AlreadyExists, match=f"cannot create configmaps {namespace}/a: 409 AlreadyExists"):
            await client.create(CONFIG_MAPS, config_map("a"), namespace, decode=ConfigMap)
        applied = await client.apply(CONFIG_MAPS, "a", config_map("a", "2"), namespace, decode=ConfigMap)
        assert applied.data == {"value": "2"}
        assert await client.get(CONFIG_MAPS, "a", namespace, decode=ConfigMap) == applied
        change = {"metadata": {"resourceVersion": made.metadata.resource_version}, "data": {"value": "3"}}
        with pytest.raises(Conflict):
            await client.merge_patch(CONFIG_MAPS, "a", change, namespace, decode=ConfigMap)
        with pytest.raises(Conflict):
            await client.delete(CONFIG_MAPS, "a", namespace, uid="not-this-one")
        await client.delete(
            CONFIG_MAPS,
            "a",
            namespace,
            uid=applied.metadata.uid,
            resource_version=applied.metadata.resource_version,
        )
        assert await client.get_or_none(CONFIG_MAPS, "a", namespace, decode=ConfigMap) is None


async def test_the_errors_of_a_real_server_have_their_names(control_plane: Cluster, namespace: str) -> None:
    async with client_of(control_plane) as client:
        with pytest.raises(
            NotFound, match=r'cannot get configmaps .*/none: 404 NotFound: configmaps "none" not'
        ):
            await client.get(CONFIG_MAPS, "none", namespace, decode=ConfigMap)
        with pytest.raises(Invalid, match="must consist of lower case"):
            await client.create(CONFIG_MAPS, config_map("NO"), namespace, decode=ConfigMap)
        claim = {"metadata": {"name": "c"}, "spec": {}}
        with pytest.raises(Invalid, match=r"spec\.accessModes"):
            await client.create(PVCS, claim, namespace, decode=Claim)
    config = replace(
        load(str(control_plane.kubeconfig)), token="", client_certificate_pem=b"", client_certificate_file=""
    )
    async with Client(config) as nobody:
        with pytest.raises(Forbidden, match="system:anonymous"):
            await nobody.get(NAMESPACES, "default", decode=ConfigMap)


async def test_the_servers_clock_is_learned(control_plane: Cluster) -> None:
    now = [1_000_000.0]  # a wall clock that is decades off
    async with client_of(control_plane, clock=ServerClock(wall=lambda: now[0])) as client:
        assert client.now() == now[0]

        async def learned() -> bool:
            # The server runs on this machine; an answer that takes a second says less.
            await client.get(NAMESPACES, "default", decode=ConfigMap)
            return abs(client.now() - time.time()) <= 1.0

        await until(learned, "the clock is learned")
        now[0] = 0.0
        assert abs(client.now() - time.time()) <= 1.0


async def test_a_reflector_sees_what_happens_across_a_restart_of_the_api_server(
    start_cluster: Callable[..., Awaitable[Cluster]],
) -> None:
    cluster = await start_cluster(kube_controller_manager=False, kube_scheduler=False)
    registry = CollectorRegistry()
    changes: list[str] = []

    def changed(old: ConfigMap | None, new: ConfigMap | None) -> None:
        item = new or old
        assert item is not None
        changes.append(f"{'+' if old is None else '-' if new is None else '~'}{item.metadata.name}")

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(client_of(cluster, metrics=KubeMetrics(registry)))
        for number in range(7):
            await client.create(CONFIG_MAPS, config_map(f"m{number}"), "default", decode=ConfigMap)
        reflector = Reflector(
            client,
            CONFIG_MAPS,
            ConfigMap,
            namespace="default",
            label_selector="pie-test=yes",
            on_change=changed,
        )
        task = asyncio.create_task(reflector.run())
        await eventually(reflector.synced.is_set, "the first list")
        assert len(reflector.store) == 7
        assert registry.get_sample_value(
            "pie_reflector_lists_total", {"resource": "configmaps", "how": "watchlist"}
        )

        heard_before = reflector.heard_at
        await cluster.kill("kube-apiserver")
        await eventually(lambda: "cannot watch configmaps" in reflector.last_error, "the loss noticed")
        await cluster.start("kube-apiserver")
        await client.delete(CONFIG_MAPS, "m0", "default")
        await client.apply(CONFIG_MAPS, "m1", config_map("m1", "changed"), "default", decode=ConfigMap)
        await client.create(CONFIG_MAPS, config_map("new"), "default", decode=ConfigMap)
        await eventually(lambda: ("default", "new") in reflector.store, "the addition")
        await eventually(lambda: reflector.last_error == "", "all well again")
        assert sorted(changes[7:]) == ["+new", "-m0", "~m1"]
        assert reflector.store["default", "m1"].data == {"value": "changed"}
        assert reflector.heard_at > heard_before
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_server_without_watchlist_is_listed_and_its_real_410_makes_a_new_list(
    start_cluster: Callable[..., Awaitable[Cluster]],
) -> None:
    cluster = await start_cluster(
        kube_controller_manager=False,
        kube_scheduler=False,
        arguments={"kube-apiserver": ["--feature-gates=WatchList=false"]},
    )
    registry = CollectorRegistry()
    async with client_of(cluster, metrics=KubeMetrics(registry)) as client:
        for number in range(7):
            await client.create(CONFIG_MAPS, config_map(f"m{number}"), "default", decode=ConfigMap)
        reflector = Reflector(
            client,
            CONFIG_MAPS,
            ConfigMap,
            label_selector="pie-test=yes",
            on_change=lambda _old, _new: None,
            timing=Timing(page_size=3),
        )

        def count(what: str, **labels: str) -> float:
            return registry.get_sample_value(what, {"resource": "configmaps", **labels}) or 0.0

        task = asyncio.create_task(reflector.run())
        await eventually(reflector.synced.is_set, "the first list")
        assert len(reflector.store) == 7
        assert count("pie_client_requests_total", verb="list", code="200") == 3
        assert count("pie_reflector_lists_total", how="list") == 1
        await cluster.kill("kube-apiserver")
        await eventually(lambda: "cannot watch" in reflector.last_error, "the loss noticed")
        reflector._version = "1"  # as if we had been away for hours
        await cluster.start("kube-apiserver")
        await client.delete(CONFIG_MAPS, "m0", "default")
        await eventually(lambda: len(reflector.store) == 6, "the deletion")
        assert count("pie_reflector_failures_total", reason="Expired") == 1
        assert count("pie_reflector_lists_total", how="list") == 2
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_of_two_electors_one_leads_and_the_other_follows_its_release(
    control_plane: Cluster, namespace: str
) -> None:
    # Long enough for a machine that stands still for a while: who leads then still leads.
    timing = LeaseTiming(30, renew_deadline_seconds=20, renew_period_seconds=0.3, retry_period_seconds=0.2)
    config = load(str(control_plane.kubeconfig))
    async with (
        Elector(config, namespace=namespace, name="pie", identity="one", timing=timing) as one,
        Elector(config, namespace=namespace, name="pie", identity="two", timing=timing) as two,
        client_of(control_plane) as client,
    ):
        first = asyncio.create_task(one.run())
        await eventually(one.leading.is_set, "the first one leads")
        second = asyncio.create_task(two.run())
        await eventually(lambda: two.holder == "one", "the second one sees the first")
        assert one.is_leader()
        assert not two.is_leader()
        first.cancel()
        await one.release()
        assert not one.is_leader()
        await eventually(two.leading.is_set, "the second one leads")
        lease = await client.get(LEASES, "pie", namespace, decode=Lease)
        assert lease.spec.holder_identity == "two"
        assert lease.spec.lease_transitions == 1
        await client.merge_patch(
            LEASES, "pie", {"spec": {"holderIdentity": "thief"}}, namespace, decode=Lease
        )
        with pytest.raises(Deposed, match="thief holds the lease"):
            await second
        assert not two.is_leader()
