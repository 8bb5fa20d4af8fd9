"""Names and labels of the objects that pie creates, compatible with the first (Go) pie.

Names are bounded, so their parts are cut; a hash of the uncut parts makes them unique. The names of
CronJobs are in `pie.core.batch.naming`.
"""

import hashlib
import re
from functools import lru_cache

from pie.core.kinds import KINDS, kind_of, read_target
from pie.core.model import Kind, Target
from pie.core.wire import Metadata

LABEL_VALUE_LIMIT = 63

CONTAINER = "probe"
"""The name of the container that probes. A webhook may add others, which say nothing about a run."""

VOLUME = "volume"
"""The name of the probed volume in a pod. A webhook may add others to the pod."""

LABEL_STORAGE_CLASS = "storage-class"
LABEL_PROBE = "pie-probe"
LABEL_NODE = "node"
# Of the objects of kinds that Go pie does not have: its labels distinguish only class and node.
LABEL_KIND = "pie.topolvm.io/kind"
_KINDS_OF_GO_PIE = frozenset({Kind.PROVISION, Kind.MOUNT})

# The uncut names, since labels end at 63 characters and a node's or class's name may be longer.
ANNOTATION_TARGET = "pie.topolvm.io/target"
ANNOTATION_SPEC_HASH = "pie.topolvm.io/spec-hash"
ANNOTATION_IDENTITY = "pie.topolvm.io/volume-identity"
# The uid of the PVC whose volume has this identity: a backup tool restores annotations onto another PVC.
ANNOTATION_IDENTITY_OF = "pie.topolvm.io/volume-identity-of"
# On the PVC of a mount target: a hash of the StorageClass that it was created for.
ANNOTATION_CLASS = "pie.topolvm.io/storage-class-hash"
ANNOTATION_REPLACED_BY = "pie.topolvm.io/volume-replaced-by"
# On the PVC of a mount target: how long a read and a write usually take there, seconds.
ANNOTATION_USUAL_LATENCY = "pie.topolvm.io/usual-latency-seconds"
# On the pod of a run: the options that the spec adds to its command. Only where there are any.
ANNOTATION_OPTIONS = "pie.topolvm.io/probe-options"
# On the PVC of a run whose volume pie expands: the size that pie asked for.
ANNOTATION_EXPANDED = "pie.topolvm.io/expanded-to"
# The scheduler sets it on a PVC that waits for its node: from then on a volume is being created.
ANNOTATION_SELECTED_NODE = "volume.kubernetes.io/selected-node"
# On a follow-up run's Job: the uid of the Job it follows.
ANNOTATION_FOLLOWS = "pie.topolvm.io/follows"
# On the Job of a run between two due times: it does not count for a due time.
ANNOTATION_RETRY = "pie.topolvm.io/retry"
# On a suspended CronJob, or on the PVC where pie starts the runs itself: since when its target is suppressed.
# The marks of nodes may not say it.
ANNOTATION_SUPPRESSED_SINCE = "pie.topolvm.io/suppressed-since"
# On the PVC of a resident probe: when pie replaced the pod because its mount was dead, until I/O works again.
ANNOTATION_MOUNTED_ANEW = "pie.topolvm.io/mounted-anew-at"
GO_PIE_FINALIZER = "pie.topolvm.io/pod"

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def _digest(target: Target, digits: int) -> str:
    text = f"{target.probe}\0{target.node}\0{target.storage_class}"
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:digits]


def _joined(prefix: str, parts: list[tuple[str, int]], digest: str) -> str:
    return "-".join([prefix, *(part[:limit] for part, limit in parts if part), digest])


def _tidy(prefix: str, parts: list[tuple[str, int]], digest: str) -> str:
    cut = (part[: limit - 2].replace(".", "-").strip("-") for part, limit in parts)
    return "-".join([prefix, *(part for part in cut if part), digest])


def compatible_names(prefix: str, parts: list[tuple[str, int]], target: Target) -> tuple[str, str]:
    """Return the compatible name and the unambiguous one (shorter parts, 12 digits)."""
    unambiguous = _tidy(prefix, parts, _digest(target, 12))
    compatible = _joined(prefix, parts, _digest(target, 6))
    return (compatible if _SUBDOMAIN.fullmatch(compatible) else unambiguous), unambiguous


@lru_cache(maxsize=16_384)
def claim_names(target: Target) -> tuple[str, str]:
    """Return the PVC name of Go pie (if it is legal), and the one to use if that name is taken."""
    return compatible_names(
        kind_of(target).pvc, [(target.probe, 10), (target.node, 11), (target.storage_class, 14)], target
    )


def claim_prefixes(probe: str) -> tuple[str, ...]:
    """Return the prefixes of the names of a PieProbe's PVCs; another PieProbe may have the same."""
    parts = [(probe, 10)]
    prefixes = [row.pvc for row in KINDS.values() if row.pvc]
    return tuple(cut(prefix, parts, "") for prefix in prefixes for cut in (_joined, _tidy))


def label_value(name: str) -> str:
    """Return the name as a label value: itself, or cut and hashed where it is longer than 63 characters."""
    if len(name) <= LABEL_VALUE_LIMIT:
        return name
    digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:12]
    return f"{name[:50].rstrip('-._')}-{digest}"


def labels(target: Target) -> dict[str, str]:
    """Return the labels of a target's CronJob, Jobs, pods and PVC."""
    found = {LABEL_STORAGE_CLASS: label_value(target.storage_class), LABEL_PROBE: label_value(target.probe)}
    if target.node:
        found[LABEL_NODE] = label_value(target.node)
    if target.kind not in _KINDS_OF_GO_PIE:
        found[LABEL_KIND] = target.kind
    return found


class Names:
    """Which target has which name in its namespace.

    With thousands of targets, some have the same compatible name (6 digits).

    The first target that asks for a compatible name gets it; later ones get the unambiguous name. Names of
    existing objects are noted first, so a target keeps its name after a restart.
    """

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], Target] = {}
        self._names: dict[Target, str] = {}

    def seed(self, target: Target, name: str) -> None:
        """Note that an existing object of this name is the target's."""
        if (target.namespace, name) not in self._owners and target not in self._names:
            self._owners[target.namespace, name] = target
            self._names[target] = name

    def claim(self, target: Target, names: tuple[str, str]) -> str:
        """Return the target's name, choosing one of `names` (compatible, unambiguous) the first time."""
        if (known := self._names.get(target)) is not None:
            return known
        compatible, unambiguous = names
        holder = self._owners.get((target.namespace, compatible), target)
        name = compatible if holder == target else unambiguous
        self._owners[target.namespace, name] = target
        self._names[target] = name
        return name

    def release(self, target: Target) -> None:
        """Forget a target whose objects are gone."""
        if (name := self._names.pop(target, None)) is not None:
            del self._owners[target.namespace, name]


def target_of(metadata: Metadata) -> Target | None:
    """Return the target of an object, by its annotation or by Go pie's labels; None: it has neither."""
    if (text := metadata.annotations.get(ANNOTATION_TARGET)) is not None:
        return read_target(text, metadata.namespace)
    probe, storage_class = metadata.labels.get(LABEL_PROBE), metadata.labels.get(LABEL_STORAGE_CLASS)
    if not probe or not storage_class:
        return None
    node = metadata.labels.get(LABEL_NODE, "")
    kind = Kind.MOUNT if node else Kind.PROVISION
    return Target(probe, kind, storage_class, node, metadata.namespace)


def agrees(metadata: Metadata, target: Target) -> bool:
    """Tell whether an object is in the namespace of a target, and its labels and annotation name it."""
    named = metadata.annotations.get(ANNOTATION_TARGET, str(target))
    here = metadata.namespace == target.namespace and named == str(target)
    return here and labels(target).items() <= metadata.labels.items()
