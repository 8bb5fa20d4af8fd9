"""The indexes over the caches."""

from typing import Any

from pie.controller.caches import Caches
from pie.core.wire import Claim, OwnerReference, Pod, PodMetadata
from pie.kube.client import Client
from pie.kube.config import ClusterConfig
from pie.kube.reflector import Reflector


def caches() -> Caches:
    return Caches(Client(ClusterConfig(server="http://127.0.0.1:1")), "pie")


def metadata(uid: str, kind: str, owner: str) -> PodMetadata:
    by = OwnerReference(kind=kind, name=owner, uid=owner, controller=True)
    return PodMetadata(name=uid, namespace="pie", uid=uid, owner_references=(by,))


def show(cache: Reflector[Any], *items: Any) -> None:
    """Give a cache a new list."""
    cache._replace(
        {(each.metadata.namespace, each.metadata.name): each for each in items}, "1", 0.0, how="list"
    )


async def test_the_pod_that_replaced_another_of_its_job_is_found_after_the_old_one_is_deleted() -> None:
    found = caches()
    old, new = (Pod(metadata=metadata(name, "Job", "job")) for name in ("old", "new"))
    show(found.pods, old)
    show(found.pods, old, new)
    show(found.pods, new)
    assert found.pods_of_owner == {("pie", "job"): {"new": new}}
    show(found.pods)
    assert found.pods_of_owner == {}


async def test_the_pvc_of_a_pod_is_found_after_another_pvc_of_the_pod_is_deleted() -> None:
    found = caches()
    other, volume = (Claim(metadata=metadata(name, "Pod", "pod")) for name in ("other", "volume"))
    show(found.claims, other, volume)
    show(found.claims, volume)
    assert found.claim_of_pod == {("pie", "pod"): volume}
