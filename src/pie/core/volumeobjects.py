"""PersistentVolumes, CSIDrivers, and VolumeAttachments: what pie reads of them, and which one it needs."""

import hashlib
from typing import Any

import msgspec

from pie.core.intree import source_of
from pie.core.text import PlainText
from pie.core.wire import Metadata, Object, ObjectReference, StampedMetadata, epoch_seconds


class CSIDriverSpec(Object, frozen=True):
    """CSIDriver spec."""

    attach_required: bool = True
    fs_group_policy: str = ""


class CSIDriver(Object, frozen=True):
    """A storage.k8s.io/v1 CSIDriver."""

    metadata: Metadata
    spec: CSIDriverSpec = CSIDriverSpec()


class CSISource(Object, frozen=True):
    """PersistentVolume spec.csi."""

    driver: str = ""
    volume_handle: str = ""


class VolumeSpec(Object, frozen=True):
    """PersistentVolume spec. `node_affinity` and the in-tree sources are JSON."""

    csi: CSISource | None = None
    aws_elastic_block_store: dict[str, Any] | None = None
    azure_disk: dict[str, Any] | None = None
    cinder: dict[str, Any] | None = None
    gce_persistent_disk: dict[str, Any] | None = None
    portworx_volume: dict[str, Any] | None = None
    vsphere_volume: dict[str, Any] | None = None
    claim_ref: ObjectReference = ObjectReference()
    storage_class_name: str = ""
    persistent_volume_reclaim_policy: str = "Retain"
    node_affinity: dict[str, Any] | None = None


class VolumeStatus(Object, frozen=True):
    """PersistentVolume status."""

    phase: PlainText = ""
    message: PlainText = ""


class PersistentVolume(Object, frozen=True):
    """A v1 PersistentVolume."""

    metadata: Metadata
    spec: VolumeSpec = VolumeSpec()
    status: VolumeStatus = VolumeStatus()

    @property
    def source(self) -> CSISource | None:
        """Its CSI source, also if it has an in-tree source; None: no CSI driver attaches it."""
        if self.spec.csi is not None:
            return self.spec.csi
        found = source_of(msgspec.to_builtins(self.spec), self.metadata.labels, self.metadata.annotations)
        return CSISource(*found) if found is not None else None


class AttachError(Object, frozen=True):
    """VolumeAttachment status.attachError, status.detachError."""

    message: PlainText = ""


class AttachmentStatus(Object, frozen=True):
    """VolumeAttachment status."""

    attached: bool = False
    attach_error: AttachError | None = None
    detach_error: AttachError | None = None


class VolumeAttachment(Object, frozen=True):
    """A storage.k8s.io/v1 VolumeAttachment."""

    metadata: StampedMetadata
    status: AttachmentStatus = AttachmentStatus()

    @property
    def leaving(self) -> bool:
        """Whether the volume is being detached: a run has to wait for that, although it is attached."""
        return self.metadata.being_deleted

    @property
    def error(self) -> str:
        """Why the volume is not attached, or not detached; empty: no error is reported."""
        error = self.status.detach_error if self.leaving else self.status.attach_error
        return error.message if error is not None else ""

    @property
    def attach_seconds(self) -> float | None:
        """The time from its creation to its last status, by the API server's clock; None: not attached."""
        written = [
            epoch_seconds(field.time)
            for field in self.metadata.managed_fields
            if field.subresource == "status"
        ]
        created = epoch_seconds(self.metadata.creation_timestamp)
        if not self.status.attached or not written or not created:
            return None
        return max(0.0, max(written) - created)


def attachment_name(source: CSISource, node: str) -> str:
    """Return the name that Kubernetes gives to the attachment of a CSI volume to a node.

    https://github.com/kubernetes/kubernetes/blob/v1.35.4/pkg/volume/csi/csi_attacher.go (getAttachmentName)
    """
    digest = hashlib.sha256(f"{source.volume_handle}{source.driver}{node}".encode()).hexdigest()
    return f"csi-{digest}"
