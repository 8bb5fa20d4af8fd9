"""The resources pie reads and writes, and how their paths are built."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object as the API server serves it; `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """`apiVersion` as it stands in an object: `v1`, `batch/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Return the URL path of an object, or of the collection where `name` is None.

        A namespaced resource without a namespace means the collection over all namespaces.
        """
        if namespace and not self.namespaced:
            raise ValueError(f"{self.plural} are not namespaced, but namespace {namespace!r} was given")
        if name is not None and not name:
            raise ValueError(f"the name of one of the {self.plural} is empty")  # would address the collection
        if name and self.namespaced and not namespace:
            raise ValueError(f"{self.plural} {name!r} needs a namespace")
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:  # may go deeper, as `proxy/metrics` of a pod does
            parts.append(quote(subresource))
        return "/".join(parts)

    def describe(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Return the object's name for people: `pods/status pie/mount-x`."""
        what = f"{self.plural}/{subresource}" if subresource else self.plural
        which = "/".join(part for part in (namespace, name) if part)
        return f"{what} {which}".strip()


PODS: Final = Resource("", "v1", "pods", "Pod", namespaced=True)
PVCS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", namespaced=True)
PVS: Final = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
EVENTS: Final = Resource("", "v1", "events", "Event", namespaced=True)
JOBS: Final = Resource("batch", "v1", "jobs", "Job", namespaced=True)
CRONJOBS: Final = Resource("batch", "v1", "cronjobs", "CronJob", namespaced=True)
STORAGE_CLASSES: Final = Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
CSI_NODES: Final = Resource("storage.k8s.io", "v1", "csinodes", "CSINode", namespaced=False)
CSI_DRIVERS: Final = Resource("storage.k8s.io", "v1", "csidrivers", "CSIDriver", namespaced=False)
VOLUME_ATTACHMENTS: Final = Resource(
    "storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", namespaced=False
)
VOLUME_SNAPSHOTS: Final = Resource(
    "snapshot.storage.k8s.io", "v1", "volumesnapshots", "VolumeSnapshot", namespaced=True
)
VOLUME_SNAPSHOT_CLASSES: Final = Resource(
    "snapshot.storage.k8s.io", "v1", "volumesnapshotclasses", "VolumeSnapshotClass", namespaced=False
)
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease", namespaced=True)
CRDS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
PIE_PROBES: Final = Resource("pie.topolvm.io", "v1alpha1", "pieprobes", "PieProbe", namespaced=True)
