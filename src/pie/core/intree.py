"""Names of volume plugins that were once built into Kubernetes: a CSI driver serves each today.

StorageClasses and PersistentVolumes still carry the old names, while CSINodes, CSIDrivers and
VolumeAttachments have the drivers'. https://kubernetes.io/docs/concepts/storage/volumes/#csi-migration

The names and handles are those of Kubernetes' own translation (k8s.io/csi-translation-lib/plugins).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

DRIVERS: Final[Mapping[str, str]] = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
}
"""The CSI driver of each in-tree provisioner."""

ANNOTATION_MIGRATED_TO: Final = "pv.kubernetes.io/migrated-to"
"""On a PersistentVolume with an in-tree source: the CSI driver that serves it."""

_ZONES: Final = ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone")
_BETWEEN_ZONES: Final = "__"


def driver_of(provisioner: str) -> str:
    """Return the CSI driver behind a StorageClass's provisioner."""
    return DRIVERS.get(provisioner, provisioner)


def source_of(
    spec: Mapping[str, Any], labels: Mapping[str, str], annotations: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return driver and volume handle of a PersistentVolume with an in-tree source that is attached.

    None: it has no such source. `spec` has the sources by their names in the API.
    """
    for field, (provisioner, handle) in _SOURCES.items():
        source = spec.get(field)
        if isinstance(source, dict):
            driver = annotations.get(ANNOTATION_MIGRATED_TO) or DRIVERS[provisioner]
            return driver, handle(source, labels)
    return None


def _field(name: str) -> Callable[[Mapping[str, Any], Mapping[str, str]], str]:
    return lambda source, _labels: str(source.get(name) or "")


def _ebs(source: Mapping[str, Any], _labels: Mapping[str, str]) -> str:
    # aws://zone/vol-1, aws:///vol-1, or vol-1
    volume = str(source.get("volumeID") or "")
    return volume.rstrip("/").rpartition("/")[2] if volume.startswith("aws://") else volume


def _gce(source: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    zones = next((labels[label] for label in _ZONES if labels.get(label)), "").split(_BETWEEN_ZONES)
    where = f"zones/{zones[0] or 'UNSPECIFIED'}"
    if len(zones) > 1:
        where = f"regions/{zones[0].rpartition('-')[0]}"
    return f"projects/UNSPECIFIED/{where}/disks/{source.get('pdName') or ''}"


_SOURCES: Final = {
    "awsElasticBlockStore": ("kubernetes.io/aws-ebs", _ebs),
    "azureDisk": ("kubernetes.io/azure-disk", _field("diskURI")),
    "cinder": ("kubernetes.io/cinder", _field("volumeID")),
    "gcePersistentDisk": ("kubernetes.io/gce-pd", _gce),
    "portworxVolume": ("kubernetes.io/portworx-volume", _field("volumeID")),
    "vsphereVolume": ("kubernetes.io/vsphere-volume", _field("volumePath")),
}
"""The sources that are attached to nodes; azureFile is not."""
