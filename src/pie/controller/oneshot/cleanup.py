"""Deletes what a check created, and nothing else: pods, PVCs, and the volumes of the PVCs."""

import asyncio
from typing import Final

from pie.core.oneshot import LABEL_CHECK, Left, belongs, created_for, provisioned_name
from pie.core.text import one_line
from pie.core.timeline import being_provisioned
from pie.core.volumeobjects import PersistentVolume
from pie.core.wire import Claim, Metadata, Pod
from pie.kube.client import Client
from pie.kube.errors import Forbidden, KubeError, NotFound
from pie.kube.resources import LEASES, PODS, PVCS, PVS, Resource
from pie.kube.watchstream import Marked

_LOOK_AGAIN_SECONDS: Final = 1.0
_AT_ONCE: Final = 20


class Cleanup:
    """Finds by the check's label what to delete, and deletes what belongs to the check by owner uid.

    `kept` are the names of pods and PVCs that stay.
    """

    def __init__(self, client: Client, namespace: str, check: str, *, retained: bool) -> None:
        self._client = client
        self._namespace = namespace
        self._check = check
        self._retained = retained
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._pods: set[str] = set()
        self.lease_uid = ""
        """The uid of the check's Lease, which owns its pods and PVCs; empty before it is created."""
        self.kept: set[str] = set()
        self.volumes: dict[str, str] = {}
        """The volumes that have to be deleted, each with its PVC."""
        self._expected: dict[str, Claim] = {}
        """The volumes that the provisioner may still create, each with its PVC that is deleted."""
        self.notes: list[str] = []
        self.left: list[Left] = []

    def owns(self, metadata: Metadata) -> bool:
        """Tell whether an object belongs to the check: to its Lease, or to one of its pods."""
        return belongs(metadata, {self.lease_uid, *self._pods})

    def pod_created(self, metadata: Metadata) -> None:
        """Note a pod of the check: the PVC of its ephemeral volume belongs to it."""
        self._pods.add(metadata.uid)

    async def delete_pod(self, metadata: Metadata) -> None:
        """Delete a pod, and with it the PVC of its ephemeral volume."""
        if self.owns(metadata):
            await self._delete(PODS, metadata)

    async def delete_claim(self, name: str) -> None:
        """Delete a PVC, and with it its volume, also if the class would retain it."""
        claim = await self._client.get_or_none(PVCS, name, self._namespace, decode=Claim)
        if claim is not None and self.owns(claim.metadata):
            await self._delete_claim(claim)

    async def release(self, claim: Claim) -> None:
        """Note the volume of a PVC that is deleted, and change its reclaim policy if it would stay.

        A volume that is being created is noted too: its PersistentVolume may appear after the PVC is gone.
        """
        volume = claim.spec.volume_name
        if volume:
            self._expected.pop(volume, None)
            if volume not in self.volumes and self._retained:
                await self._have_deleted(await self._volume(volume), claim)
            self.volumes[volume] = claim.metadata.name
        elif being_provisioned(claim):
            self._expected[provisioned_name(claim)] = claim

    async def _volume(self, name: str) -> PersistentVolume | None:
        return await self._client.get_or_none(PVS, name, decode=PersistentVolume)

    async def _have_deleted(self, volume: PersistentVolume | None, claim: Claim) -> None:
        if volume is None:
            return
        name = volume.metadata.name
        if not created_for(volume, claim):
            self.notes.append(f"PersistentVolume {name} was not created for the check: it is retained")
            return
        spec = {"persistentVolumeReclaimPolicy": "Delete"}
        body = {"metadata": {"uid": volume.metadata.uid}, "spec": spec}
        await self._client.merge_patch(PVS, name, body, decode=Marked)

    async def volume_gone(self, volume: str) -> bool:
        """Tell whether a volume is gone; also if the user may not read volumes."""
        try:
            gone = await self._client.get_or_none(PVS, volume, decode=Marked) is None
        except Forbidden:
            gone = True
        if gone:
            self.volumes.pop(volume, None)
        return gone

    async def everything(self, seconds: float) -> None:
        """Delete all that is not kept, until it is gone or the time is over; `left` has what still exists.

        The Lease is deleted last, if nothing is kept; with it goes everything that it owns.
        """
        try:
            async with asyncio.timeout(seconds):
                while await self._once():  # noqa: ASYNC110  the API server is asked, it sets no event
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        except TimeoutError:
            self.notes.append(f"the clean-up was stopped after {seconds:g} s")
        except KubeError as error:
            self.given_up(f"cannot clean up: {error}")
        self.notes += [
            f"PVC {claim.metadata.name} was deleted while its volume was being created: if the driver"
            " has created it meanwhile, it exists in the storage back end, but not in Kubernetes"
            for claim in self._expected.values()
        ]
        if not self.kept:
            await self._end()

    async def _end(self) -> None:
        try:
            await self._client.delete(LEASES, self._check, self._namespace, uid=self.lease_uid)
        except NotFound:
            return
        except KubeError as error:
            self.given_up(f"cannot delete it: {error}")

    def given_up(self, why: str) -> None:
        """Note that the check does not clean up any more, and how the user can do it."""
        self.left.append(Left("Lease", self._check, f"{why}; later: {self.command}"))

    @property
    def command(self) -> str:
        """The command that deletes all objects of the check."""
        return f"kubectl delete lease {self._check} -n {self._namespace}"

    async def _once(self) -> bool:
        """Delete what exists, and note it in `left`; return whether there was anything."""
        mine = f"{LABEL_CHECK}={self._check}"
        pods = await self._client.list_page(PODS, self._namespace, decode=Pod, label_selector=mine, limit=0)
        claims = await self._client.list_page(
            PVCS, self._namespace, decode=Claim, label_selector=mine, limit=0
        )
        seen = [each.metadata for each in pods.items] + [odd.object.metadata for odd in pods.skipped]
        self._pods |= {found.uid for found in seen if self.owns(found)}
        going_pods = [each for each in pods.items if self._goes(each.metadata)]
        going_claims = [each for each in claims.items if self._goes(each.metadata)]
        self.left = [
            *(Left("Pod", each.metadata.name, self._why_pod(each)) for each in going_pods),
            *(Left("PersistentVolumeClaim", each.metadata.name, _WHY_CLAIM) for each in going_claims),
            *(
                Left(kind, odd.object.metadata.name, odd.reason)
                for kind, skipped in (("Pod", pods.skipped), ("PersistentVolumeClaim", claims.skipped))
                for odd in skipped
                if self.owns(odd.object.metadata)
            ),
        ]
        # PVCs first: that of an ephemeral volume is deleted with its pod, and then its volume is not known.
        await asyncio.gather(*(self._delete_claim(claim) for claim in going_claims))
        await asyncio.gather(*(self._delete(PODS, pod.metadata) for pod in going_pods))
        await self._find_expected()
        self.left += await self._volumes_left()
        return bool(self.left)

    def _goes(self, metadata: Metadata) -> bool:
        return metadata.name not in self.kept and self.owns(metadata)

    async def _find_expected(self) -> None:
        """Note the volumes that were created while their PVCs were being deleted."""
        for name, claim in list(self._expected.items()):
            try:
                volume = await self._volume(name)
            except Forbidden:
                return
            if volume is not None and created_for(volume, claim):
                del self._expected[name]
                await self._have_deleted(volume, claim)
                self.volumes[name] = claim.metadata.name

    async def _volumes_left(self) -> list[Left]:
        left: list[Left] = []
        for name, claim in list(self.volumes.items()):
            if claim in self.kept:
                continue
            try:
                volume = await self._volume(name)
            except Forbidden:
                volume = None
            if volume is None:
                del self.volumes[name]
                continue
            said = f": {one_line(volume.status.message)}" if volume.status.message else ""
            message = f"it is {volume.status.phase or 'there'}{said}; its driver must delete it"
            left.append(Left("PersistentVolume", name, message))
        return left

    async def _delete_claim(self, claim: Claim) -> None:
        async with self._slots:
            await self.release(claim)
        await self._delete(PVCS, claim.metadata)

    async def _delete(self, resource: Resource, metadata: Metadata) -> None:
        if metadata.being_deleted:
            return
        async with self._slots:
            try:
                await self._client.delete(
                    resource, metadata.name, self._namespace, uid=metadata.uid or None, urgent=True
                )
            except NotFound:
                return

    def _why_pod(self, pod: Pod) -> str:
        command = f"kubectl delete pod {pod.metadata.name} -n {self._namespace} --force"
        return f"node {pod.spec.node_name} lets go of it when its I/O returns; or give it up: {command}"


_WHY_CLAIM: Final = "it is deleted when no pod uses it any more"
