"""Fixtures that give tests a real Kubernetes. Every test that uses one is marked `real`."""

import asyncio
import gc
import os
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from testbed.cluster import Cluster
from testbed.packages import missing
from tests.examples import load_profile
from tests.tiers.results import PROPERTY
from tests.tiers.table import tier_of

LONGEST = ("tests/real/", "tests/image/", "tests/embedded/test_faults", "tests/controller/")
REAL_FIXTURES = {"control_plane", "namespace", "start_cluster", "real_cluster"}

load_profile()


def pytest_configure() -> None:
    """Let what tests start be interrupted: whatever a shell starts in the background ignores SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a testbed, name the tier of each, and have the longest files begun first."""
    items.sort(key=lambda item: [not item.nodeid.startswith(start) for start in LONGEST])
    for item in items:
        if REAL_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)
        real = item.get_closest_marker("real") is not None
        item.user_properties.append((PROPERTY, tier_of(item.nodeid.partition("::")[0], real=real).name))


def pytest_collection_finish() -> None:
    """Exclude all tests from garbage collection: they exist until the end."""
    gc.freeze()


def demand_machine(*, nodes: bool) -> None:
    """Skip the test, saying what to install, when the machine cannot run a testbed; in CI, fail."""
    if lines := missing(nodes=nodes):
        reason = "this machine lacks what the testbed needs: " + "; ".join(lines)
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def promtool() -> None:
    """Skip the test when there is no promtool; in CI, fail."""
    if shutil.which("promtool") is None:
        reason = "promtool is missing: apt-get install prometheus"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture
def machine() -> None:
    """Require a machine that can run real nodes, for a test that brings up its testbed by itself."""
    demand_machine(nodes=True)


@pytest.fixture(scope="session")
def shared_control_plane() -> Iterator[str]:
    """Name of the control plane that all tests of the session share."""
    demand_machine(nodes=False)
    cluster = Cluster()
    asyncio.run(cluster.bring_up())
    yield cluster.name
    asyncio.run(cluster.take_down())


@pytest.fixture(scope="session")
def shared_oldest_api_server() -> Iterator[str]:
    """Name of an API server of the oldest Kubernetes that pie supports, shared by the session."""
    demand_machine(nodes=False)
    cluster = Cluster(kubernetes="oldest", kube_controller_manager=False, kube_scheduler=False)
    asyncio.run(cluster.bring_up())
    yield cluster.name
    asyncio.run(cluster.take_down())


@pytest.fixture
async def control_plane(shared_control_plane: str) -> AsyncIterator[Cluster]:
    """etcd, API server, controller manager and scheduler, shared by the session: leave them as they were.

    A test that stops, starts or freezes one of them wants one of its own from `start_cluster`.
    """
    async with Cluster.attach(shared_control_plane) as cluster:
        yield cluster


@pytest.fixture
async def namespace(control_plane: Cluster) -> AsyncIterator[str]:
    """Give this test alone a namespace of the control plane, ready to take pods of the restricted level."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    await control_plane.create_namespace(name)
    yield name
    await control_plane.api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def shared_real_cluster() -> Iterator[str]:
    """Name of the cluster with two real nodes that all tests of the session share."""
    demand_machine(nodes=True)
    cluster = Cluster(nodes=2)
    asyncio.run(cluster.bring_up())
    yield cluster.name
    asyncio.run(cluster.take_down())


@pytest.fixture
async def real_cluster(shared_real_cluster: str) -> AsyncIterator[Cluster]:
    """Two real nodes with dynamic volumes, shared by the session: leave them as they were."""
    async with Cluster.attach(shared_real_cluster) as cluster:
        yield cluster


@pytest.fixture
async def start_cluster() -> AsyncIterator[Callable[..., Awaitable[Cluster]]]:
    """Give a function that brings up a testbed for this test alone, with the arguments of `Cluster`."""
    async with AsyncExitStack() as stack:

        async def start(**parts: Any) -> Cluster:
            demand_machine(nodes=bool(parts.get("nodes")))
            return await stack.enter_async_context(Cluster(**parts))

        yield start
