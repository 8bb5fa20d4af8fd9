"""A StorageClass that was created again with another provisioner or parameters: its PVCs get new volumes.

They are replaced one by one: the next PVC is deleted when the run on the new volume before it was good. So a
class that does not work costs one volume. PVCs that do not say for which class they were created stay.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from pie.core.naming import ANNOTATION_CLASS
from pie.core.preflight import ClassWarning
from pie.core.reasons import Reason
from pie.core.wire import Claim, StorageClass


@dataclass(frozen=True, slots=True)
class KeptClaim:
    """The PVC of a target: its uid, the hash of the class that it was created for, and when that was.

    `ending`: it is being deleted. `proven`: a run on it was good. `suppressed`: no run can show that now.
    """

    name: str
    uid: str
    made_for: str
    ending: bool = False
    proven: bool = False
    suppressed: bool = False


def class_hash(storage_class: StorageClass | None) -> str:
    """Return a hash of what volumes of a class depend on; empty: the class does not exist."""
    if storage_class is None:
        return ""
    text = json.dumps([storage_class.provisioner, sorted(storage_class.parameters.items())])
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]


def kept(claim: Claim, last_ok: float, *, suppressed: bool) -> KeptClaim:
    """Return a target's PVC, with what its runs said; `last_ok` is when one was last good."""
    metadata = claim.metadata
    return KeptClaim(
        metadata.name,
        metadata.uid,
        metadata.annotations.get(ANNOTATION_CLASS, ""),
        ending=metadata.being_deleted,
        proven=last_ok >= metadata.created_seconds,
        suppressed=suppressed,
    )


def outdated(claims: Iterable[KeptClaim | None], wanted: str) -> list[KeptClaim]:
    """Return the PVCs that were created for a class that was another one; `wanted` is its hash now."""
    return [each for each in claims if wanted and each is not None and each.made_for not in {"", wanted}]


def next_renewal(claims: Iterable[KeptClaim | None], wanted: str) -> KeptClaim | None:
    """Return the PVC to delete now; None: none, or another one is being replaced.

    `claims` are those of all targets that keep one; None: a target has none, so it is being created.
    """
    known = list(claims)
    old = outdated(known, wanted)
    for each in known:
        if each is None or each.ending:
            return None
        if each not in old and not each.proven and not each.suppressed:
            return None
    return min((each for each in old if not each.suppressed), key=lambda each: each.name, default=None)


def class_changed(name: str, claims: Iterable[KeptClaim | None], wanted: str) -> tuple[ClassWarning, ...]:
    """Return the warning about a class that has changed, if some PVCs are older than the change."""
    known = list(claims)
    if not (old := outdated(known, wanted)):
        return ()
    return (
        ClassWarning(
            Reason.CLASS_CHANGED,
            f"StorageClass {name} was created again with another provisioner or other parameters:"
            f" {len(old)} of {len(known)} PVCs still have volumes of the former one",
        ),
    )
