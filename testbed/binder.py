"""`python -m testbed.binder KUBECONFIG PROVISIONER`: a provisioner without storage, for simulated nodes.

Like the external-provisioner, it creates a volume for a PVC whose node the scheduler has chosen, and deletes
a volume whose PVC is gone. Its user agent is `testbed-binder`, so that its writes can be left out of counts.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from testbed.api import CONFLICT, Api, ApiError, Json
from testbed.errors import TestbedError

SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SERVER_FAULT = 500
_VOLUMES = "/api/v1/persistentvolumes"


class Binder:
    """Serves the PVCs of one provisioner."""

    def __init__(self, api: Api, provisioner: str) -> None:
        """Use an open client."""
        self._api = api
        self._provisioner = provisioner

    async def run(self) -> None:
        """Watch PVCs and volumes; never returns."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._api.watch("/api/v1/persistentvolumeclaims", self.on_claim))
            group.create_task(self._api.watch(_VOLUMES, self.on_volume))

    async def on_claim(self, event: Json) -> None:
        """Create a volume for a PVC of this provisioner that waits for one."""
        claim = event["object"]
        annotations = claim["metadata"].get("annotations", {})
        if (
            event["type"] not in ("ADDED", "MODIFIED")
            or annotations.get(STORAGE_PROVISIONER) != self._provisioner
            or SELECTED_NODE not in annotations
            or claim["spec"].get("volumeName")
            or claim["metadata"].get("deletionTimestamp")
        ):
            return
        volume = self._volume(claim, annotations[SELECTED_NODE])
        await _until_done(lambda: self._api.create(_VOLUMES, volume))

    async def on_volume(self, event: Json) -> None:
        """Delete a volume of this provisioner whose PVC is gone."""
        volume = event["object"]
        if (
            event["type"] in ("ADDED", "MODIFIED")
            and volume["metadata"].get("annotations", {}).get(PROVISIONED_BY) == self._provisioner
            and volume.get("status", {}).get("phase") == "Released"
            and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
            and not volume["metadata"].get("deletionTimestamp")
        ):
            name = volume["metadata"]["name"]
            await _until_done(lambda: self._api.delete(f"{_VOLUMES}/{name}"))

    def _volume(self, claim: Json, node: str) -> Json:
        metadata, spec = claim["metadata"], claim["spec"]
        name = f"pvc-{metadata['uid']}"
        on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
        reference: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        }
        return {
            "metadata": {"name": name, "annotations": {PROVISIONED_BY: self._provisioner}},
            "spec": {
                "accessModes": spec["accessModes"],
                "capacity": spec["resources"]["requests"],
                "claimRef": reference,
                "csi": {"driver": self._provisioner, "volumeHandle": name},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": spec["storageClassName"],
                "volumeMode": spec.get("volumeMode", "Filesystem"),
            },
        }


async def _until_done(write: Callable[[], Awaitable[object]]) -> None:
    """Write, again and again while the API server does not answer, or has a fault of its own."""
    while True:
        try:
            await write()
        except TestbedError as error:
            status = error.status if isinstance(error, ApiError) else SERVER_FAULT
            if status == CONFLICT:  # created already: the PVC was seen twice
                return
            if status < SERVER_FAULT:
                raise
            print(error, flush=True)
            await asyncio.sleep(1)
        else:
            return


async def run(kubeconfig: Path, provisioner: str) -> None:
    """Bind PVCs until the process is ended."""
    async with Api(kubeconfig, user_agent="testbed-binder") as api:
        await Binder(api, provisioner).run()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
