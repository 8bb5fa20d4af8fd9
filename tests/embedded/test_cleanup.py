"""The clean-up of `pie check`, when a provisioner creates the volume while its PVC is being deleted."""

import asyncio

from pie.controller.oneshot.cleanup import Cleanup
from pie.core.oneshot import LABEL_CHECK
from pie.embedded.kinds import LEASES, PVCS, PVS
from pie.embedded.machines import DRIVER
from pie.kube.client import Client
from pie.kube.config import load
from tests.embedded.conftest import Start
from tests.harness import until

CHECK = "pie-check-late"
USED = "example.com/a-pod-uses-it"


async def test_a_volume_that_appears_after_its_pvc_was_deleted_is_deleted_too(start_embedded: Start) -> None:
    cluster = await start_embedded()
    registry, store = cluster.registry, cluster.store
    lease = registry.create(LEASES, {"metadata": {"name": CHECK}}, "pie")
    owner = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "name": CHECK}
    metadata = {
        "name": "slow",
        "labels": {LABEL_CHECK: CHECK},
        "annotations": {"volume.kubernetes.io/storage-provisioner": DRIVER},
        "finalizers": [USED],
        "ownerReferences": [{**owner, "uid": lease["metadata"]["uid"]}],
    }
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}},
        "storageClassName": "retaining",
    }
    claim = registry.create(PVCS, {"metadata": metadata, "spec": spec}, "pie")
    name = f"pvc-{claim['metadata']['uid']}"
    reference = {"namespace": "pie", "name": "slow", "uid": claim["metadata"]["uid"]}
    volume = {
        **{key: value for key, value in spec.items() if key != "resources"},
        "capacity": {"storage": "1Mi"},
        "claimRef": reference,
        "persistentVolumeReclaimPolicy": "Retain",
        "csi": {"driver": DRIVER, "volumeHandle": name},
    }

    async def being_deleted() -> bool:
        found = store.get(PVCS, "pie", "slow")
        return found is not None and "deletionTimestamp" in found["metadata"]

    async def to_be_deleted() -> bool:
        found = store.get(PVS, "", name)
        return found is not None and found["spec"]["persistentVolumeReclaimPolicy"] == "Delete"

    async with Client(load(str(cluster.kubeconfig))) as client:
        cleanup = Cleanup(client, "pie", CHECK, retained=True)
        cleanup.lease_uid = lease["metadata"]["uid"]
        ending = asyncio.create_task(cleanup.everything(30))
        await until(being_deleted, "the PVC is being deleted", 60, 0.02)
        registry.create(PVS, {"metadata": {"name": name}, "spec": volume})
        registry.drop_finalizer(claim, USED)
        await until(to_be_deleted, "the volume is not retained", 60, 0.02)
        assert not ending.done()
        registry.delete(PVS, "", name)
        await ending
    assert (cleanup.left, cleanup.notes) == ([], [])
    assert store.get(LEASES, "pie", CHECK) is None
