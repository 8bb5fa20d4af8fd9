"""Takes a snapshot of the volume of a run, and reads how it is."""

from pie.core.manifests import ephemeral_claim, snapshot_of
from pie.core.model import Target
from pie.core.snapshots import SnapshotAnswer, as_it_is, suitable_class
from pie.core.text import evidence
from pie.core.wire import Metadata, VolumeSnapshot, VolumeSnapshotClass
from pie.kube.client import Client
from pie.kube.errors import AlreadyExists, Forbidden, Invalid, NotFound
from pie.kube.resources import VOLUME_SNAPSHOT_CLASSES, VOLUME_SNAPSHOTS

_NO_CRDS = "the API server has no VolumeSnapshots (snapshot.storage.k8s.io/v1): their CRDs are not installed"
_NO_RIGHT = "pie may not use VolumeSnapshots (chart value snapshots: true): "


async def take_snapshot(
    client: Client, target: Target, pod: Metadata, *, driver: str, snapshot_class: str
) -> SnapshotAnswer:
    """Return how the snapshot of a pod's volume is; create it, if there is none."""
    name = ephemeral_claim(pod.name)
    try:
        found = await client.get_or_none(VOLUME_SNAPSHOTS, name, pod.namespace, decode=VolumeSnapshot)
        if found is None:
            page = await client.list_page(VOLUME_SNAPSHOT_CLASSES, decode=VolumeSnapshotClass)
            chosen, why = suitable_class(page.items, driver, snapshot_class)
            if why:
                return SnapshotAnswer(client.now(), why=why, offered=False)
            manifest = snapshot_of(target, pod, chosen)
            found = await client.create(VOLUME_SNAPSHOTS, manifest, pod.namespace, decode=VolumeSnapshot)
    except AlreadyExists:
        return SnapshotAnswer(client.now())
    except NotFound:
        return SnapshotAnswer(client.now(), why=_NO_CRDS, offered=False)
    except Forbidden as error:
        return SnapshotAnswer(client.now(), why=evidence(_NO_RIGHT + error.message), offered=False)
    except Invalid as error:
        return SnapshotAnswer(client.now(), why=evidence(error.message))
    if not any(owner.uid == pod.uid for owner in found.metadata.owner_references):
        return SnapshotAnswer(client.now(), why=f"a VolumeSnapshot {name} exists, and is not of this run")
    return as_it_is(found, client.now())
