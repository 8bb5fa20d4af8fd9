"""The kinds that the embedded API server serves, with the columns `kubectl get` shows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object. `versioned`: `metadata.generation` counts the changes of its spec."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    status: bool = True
    versioned: bool = False

    @property
    def api_version(self) -> str:
        """`apiVersion` as it stands in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The plural with its group, as error messages have it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """The lower-case singular."""
        return self.kind.lower()


NAMESPACES: Final = Kind("", "v1", "namespaces", "Namespace", namespaced=False, short_names=("ns",))
NODES: Final = Kind("", "v1", "nodes", "Node", namespaced=False, short_names=("no",))
PODS: Final = Kind("", "v1", "pods", "Pod", short_names=("po",))
PVCS: Final = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", short_names=("pvc",))
PVS: Final = Kind("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False, short_names=("pv",))
EVENTS: Final = Kind("", "v1", "events", "Event", short_names=("ev",), status=False)
JOBS: Final = Kind("batch", "v1", "jobs", "Job", versioned=True)
CRONJOBS: Final = Kind("batch", "v1", "cronjobs", "CronJob", short_names=("cj",), versioned=True)
STORAGE_CLASSES: Final = Kind(
    "storage.k8s.io",
    "v1",
    "storageclasses",
    "StorageClass",
    namespaced=False,
    short_names=("sc",),
    status=False,
)
CSI_NODES: Final = Kind("storage.k8s.io", "v1", "csinodes", "CSINode", namespaced=False, status=False)
CSI_DRIVERS: Final = Kind("storage.k8s.io", "v1", "csidrivers", "CSIDriver", namespaced=False, status=False)
VOLUME_ATTACHMENTS: Final = Kind(
    "storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", namespaced=False
)
LEASES: Final = Kind("coordination.k8s.io", "v1", "leases", "Lease", status=False)
CRDS: Final = Kind(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
    short_names=("crd", "crds"),
    versioned=True,
)
PIE_PROBES: Final = Kind("pie.topolvm.io", "v1alpha1", "pieprobes", "PieProbe", versioned=True)

KINDS: Final = (
    NAMESPACES,
    NODES,
    PODS,
    PVCS,
    PVS,
    EVENTS,
    JOBS,
    CRONJOBS,
    STORAGE_CLASSES,
    CSI_NODES,
    CSI_DRIVERS,
    VOLUME_ATTACHMENTS,
    LEASES,
    CRDS,
    PIE_PROBES,
)

Cell = Callable[[Json], Any]


def find(thing: Any, *path: str) -> Any:
    """Follow keys into nested objects; None where one is missing."""
    for key in path:
        if not isinstance(thing, dict):
            return None
        thing = thing.get(key)
    return thing
