"""What the API server does with an object before it stores it: defaults and validation.

PieProbes are held to the whole of their CRD; built-in kinds to names, labels, and what `shapes.yaml` says.
"""

from typing import Final

from pie.embedded import schema
from pie.embedded.errors import bad_request, invalid
from pie.embedded.kinds import PIE_PROBES, Json, Kind, find
from pie.embedded.patch import merge

CLAIM_PROTECTION: Final = "kubernetes.io/pvc-protection"
NAMESPACE_CONTENTS: Final = "kubernetes"
FINALIZERS: Final = {"PersistentVolumeClaim": [CLAIM_PROTECTION], "Namespace": [NAMESPACE_CONTENTS]}
"""Finalizers that keep objects while they are in use. (A real namespace has its finalizer in the spec.)"""


def read(kind: Kind, body: Json, old: Json | None = None) -> Json:
    """Return an object of a kind from what a client wrote, with its defaults and without nulls.

    Raises Refused where it has not the shape of its kind, on which all that comes after relies, or where it,
    or the change from `old`, breaks a rule.
    """
    about = {"apiVersion": kind.api_version, "kind": kind.kind}
    item: Json = {**about, **merge({}, body)}
    if {**item, **about} != item:
        raise bad_request(f"the object is {item['kind']} of {item['apiVersion']}, not {kind.kind}")
    schemas = [schema.shapes()[each] for each in ("Any", kind.kind) if each in schema.shapes()]
    if kind is PIE_PROBES:
        unknown_fields(kind, item)
        schemas.append(schema.pieprobe_schema())
    for each in schemas:
        schema.default(each, item)
    if errors := [error for each in schemas for error in schema.errors(each, item, old)]:
        raise invalid(kind, str(find(item, "metadata.name") or ""), errors)
    return item


def unknown_fields(kind: Kind, item: Json) -> list[str]:
    """Remove fields that are not in the kind's schema, if it has one; return their paths."""
    return list(schema.prune(schema.pieprobe_schema(), item)) if kind is PIE_PROBES else []
