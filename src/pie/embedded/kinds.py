"""The kinds that the embedded API server serves, and functions to read their objects."""

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
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
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


_CSI: Final = "storage.k8s.io"
_CRD: Final = "apiextensions.k8s.io"
NAMESPACES = Kind("", "v1", "namespaces", "Namespace", ("ns",), namespaced=False)
NODES = Kind("", "v1", "nodes", "Node", ("no",), namespaced=False)
PODS = Kind("", "v1", "pods", "Pod", ("po",))
PVCS = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", ("pvc",))
PVS = Kind("", "v1", "persistentvolumes", "PersistentVolume", ("pv",), namespaced=False)
EVENTS = Kind("", "v1", "events", "Event", ("ev",), status=False)
JOBS = Kind("batch", "v1", "jobs", "Job", versioned=True)
CRONJOBS = Kind("batch", "v1", "cronjobs", "CronJob", ("cj",), versioned=True)
STORAGE_CLASSES = Kind(_CSI, "v1", "storageclasses", "StorageClass", ("sc",), namespaced=False, status=False)
CSI_NODES = Kind(_CSI, "v1", "csinodes", "CSINode", namespaced=False, status=False)
CSI_DRIVERS = Kind(_CSI, "v1", "csidrivers", "CSIDriver", namespaced=False, status=False)
VOLUME_ATTACHMENTS = Kind(_CSI, "v1", "volumeattachments", "VolumeAttachment", namespaced=False)
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease", status=False)
CRDS = Kind(_CRD, "v1", "customresourcedefinitions", "CustomResourceDefinition", ("crd",), namespaced=False)
PIE_PROBES = Kind("pie.topolvm.io", "v1alpha1", "pieprobes", "PieProbe", versioned=True)

KIND_OF: Final = {kind.kind: kind for kind in list(globals().values()) if isinstance(kind, Kind)}
"""The kinds by what stands as `kind` in their objects."""
KINDS: Final = tuple(KIND_OF.values())
"""Every kind that is served."""


def find(thing: Any, path: str | list[str]) -> Any:
    """Follow a path such as `spec.nodeName`, or its keys, into objects; None where a part is missing."""
    for key in path.split(".") if isinstance(path, str) else path:
        thing = thing.get(key) if isinstance(thing, dict) else None
    return thing


def key_of(item: Json) -> tuple[str, str]:
    """Return namespace (empty for what has none) and name of an object."""
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def condition(item: Json, kind: str) -> Json:
    """Return the condition of this type in an object's status; empty where there is none."""
    return next((each for each in find(item, "status.conditions") or [] if each["type"] == kind), {})


def is_over(pod: Json) -> bool:
    """Tell whether a pod has ended."""
    return find(pod, "status.phase") in {"Succeeded", "Failed"}


def is_leaving(item: Json) -> bool:
    """Tell whether an object is being deleted."""
    return "deletionTimestamp" in item["metadata"]


def owners(item: Json) -> list[Json]:
    """Return the owner references of an object."""
    return item["metadata"].get("ownerReferences") or []


def reference(item: Json, **more: Any) -> Json:
    """Return a reference to an object, by what identifies it and more."""
    about = {key: item["metadata"][key] for key in ("name", "uid")}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], **about, **more}
