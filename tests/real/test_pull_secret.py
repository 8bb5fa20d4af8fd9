"""An image in a private registry: with the pull secret pods run, and without it runs are inconclusive."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from image import recipe
from testbed.cluster import Cluster
from testbed.registry import Registry
from tests.atonce import Stories, at_once
from tests.cli.conftest import run
from tests.harness import ON_TIME, Pie, apply_probe, pieprobe
from tests.real.conftest import SPEC, STORAGE_CLASS, install_crd

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

SECRET = "registry"  # noqa: S105  the name of a Secret
HOSTNAME = "kubernetes.io/hostname"
IMAGE_PULL = {"area": "pie", "probe": "provision", "reason": "ImagePull"}
CHECKS = {
    # A check with a good end does not last as long as it may.
    "without": ((), "45s", ("inconclusive", "ImagePull")),
    "with": ((SECRET,), "150s", ("ok", "OK")),
}
"""The secrets that a check is given, how long it may last, and its verdict."""


Serve = Callable[[], Registry]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Give registries on loopback that have pie's image under an ID of its own.

    The nodes of the testbed hold the same layers as `pie.test/pie:dev`. A kubelet that pulled an image ID
    with a secret wants that secret of each later pod, under whatever name (KubeletEnsureSecretPulledImages).
    """
    tar, base = tmp_path_factory.mktemp("registry") / "pie.tar", await asyncio.to_thread(recipe.base)
    labels = {"pie.test/registry": "private"}
    await asyncio.to_thread(recipe.build, tar, name="pie:private", with_base=False, labels=labels)
    return lambda: Registry("team/pie", "private", tar, blobs={base.sha256: base.path})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stories(shared_real_cluster: str, serve: Serve) -> AsyncIterator[Stories]:
    """Each story has a registry and namespaces of its own."""
    async with Cluster.attach(shared_real_cluster) as cluster:
        checks = {name: checked(cluster, serve(), *given) for name, given in CHECKS.items()}
        async with at_once({"pods": pods_pull(cluster, serve()), **checks}) as stories:
            yield stories


async def namespace_with(cluster: Cluster, *secrets: dict[str, object]) -> str:
    """Create a namespace of its own for a test, with these Secrets."""
    name = f"private-{uuid.uuid4().hex[:8]}"
    await cluster.create_namespace(name)
    for secret in secrets:
        await cluster.api.create(f"/api/v1/namespaces/{name}/secrets", secret)
    return name


def controller(cluster: Cluster, namespace: str, registry: Registry) -> Pie:
    """Start a controller as the chart does; Always: an image that another pod pulled does not help."""
    return Pie(
        cluster.kubeconfig,
        namespace,
        *("--container-image", registry.image, "--image-pull-policy", "Always"),
        *("--image-pull-secret", SECRET),
    )


async def test_probe_pods_pull_with_the_secret_and_without_it_storage_is_not_blamed(
    stories: Stories,
) -> None:
    await stories["pods"]


@pytest.mark.parametrize("given", CHECKS)
async def test_a_check_pulls_with_the_secret_that_it_is_given(stories: Stories, given: str) -> None:
    await stories[given]


async def pods_pull(cluster: Cluster, serving: Registry) -> None:
    await install_crd(cluster.api)
    async with serving as registry:
        await pulled(cluster, registry)
        assert {status for _, status in registry.pulls} >= {200, 401}


async def pulled(cluster: Cluster, registry: Registry) -> None:
    secret = registry.pull_secret(SECRET)
    namespaces = [await namespace_with(cluster, secret), await namespace_with(cluster)]
    async with (
        controller(cluster, namespaces[0], registry) as allowed,
        controller(cluster, namespaces[1], registry) as refused,
    ):
        for namespace in namespaces:
            probe = pieprobe("p", STORAGE_CLASS, HOSTNAME, **SPEC, disableMountProbes=True)
            await apply_probe(cluster.api, namespace, probe)
        await allowed.until_value(ON_TIME["provision"], lambda value: value >= 1, 180, on_time="true")
        await refused.until_value("pie_inconclusive_runs_total", lambda value: value >= 1, 180, **IMAGE_PULL)
        assert await refused.value(ON_TIME["provision"], on_time="false") in {None, 0}
    for namespace in namespaces:
        await cluster.api.delete(f"/api/v1/namespaces/{namespace}")


async def checked(
    cluster: Cluster,
    serving: Registry,
    secrets: tuple[str, ...],
    timeout: str,
    verdict: tuple[str, str],
) -> None:
    async with serving as registry:
        namespace = await namespace_with(cluster, registry.pull_secret(SECRET))
        ended = await run(
            *("check", STORAGE_CLASS, "--kubeconfig", str(cluster.kubeconfig), "--namespace", namespace),
            *("--image", registry.image, "--provision", "--timeout", timeout, "--output", "json"),
            *(f"--image-pull-secret={name}" for name in secrets),
            timeout_seconds=300,
        )
        (target,) = json.loads(ended.said)["targets"]
        assert (target["verdict"], target["reason"]) == verdict, ended.said + ended.complained
        await cluster.api.delete(f"/api/v1/namespaces/{namespace}")
