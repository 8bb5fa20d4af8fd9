"""Whether a node's kubelet still renews its Lease: told by the API server's clock alone.

A kubelet stamps its Lease by its own clock, which may be minutes wrong. The API server notes in the managed
fields when it stored that stamp, and its answer says what time it is: the difference is of one clock. Where
the Lease has no such note, two looks at it are compared.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from pie.core.maintenance.now import Suppression
from pie.core.reasons import Reason
from pie.core.wire import Metadata, Object

USUAL_DURATION_SECONDS = 40.0
# A kubelet renews its Lease at a quarter of its duration; one renewal may be lost on the way.
_RENEWED_PART = 0.25
_MISSED_PART = 0.4


class ManagedFields(Object, frozen=True):
    """metadata.managedFields[]: who wrote which fields last, and when, by the API server's clock."""

    time: datetime | None = None
    fields_v1: dict[str, Any] = msgspec.field(default_factory=dict, name="fieldsV1")

    @property
    def renewal(self) -> bool:
        """Whether a renewal of the Lease is among what was written."""
        return "f:renewTime" in (self.fields_v1.get("f:spec") or {})


class NodeLeaseMetadata(Metadata, frozen=True):
    """metadata of a node's Lease."""

    managed_fields: tuple[ManagedFields, ...] | None = None


class NodeLeaseSpec(Object, frozen=True):
    """spec of a node's Lease."""

    renew_time: str | None = None
    lease_duration_seconds: int | None = None


class NodeLease(Object, frozen=True):
    """A coordination.k8s.io/v1 Lease in kube-node-lease: its name is the node's."""

    metadata: NodeLeaseMetadata
    spec: NodeLeaseSpec = NodeLeaseSpec()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What one look at a node's Lease showed.

    `looked_at` and `renewed_at` are by the API server's clock, epoch seconds; `renewed_at` is None where the
    Lease does not tell. `renewal` is what the kubelet wrote, by its own clock: it is compared with that of
    another look, and never computed with.
    """

    looked_at: float
    renewed_at: float | None
    renewal: str
    duration_seconds: float


def heartbeat(lease: NodeLease, looked_at: float) -> Heartbeat:
    """Return what a Lease shows that the API server answered with at `looked_at`."""
    stamps = (
        entry.time.timestamp()
        for entry in lease.metadata.managed_fields or ()
        if entry.time is not None and entry.renewal
    )
    return Heartbeat(
        looked_at,
        max(stamps, default=None),
        lease.spec.renew_time or "",
        float(lease.spec.lease_duration_seconds or 0) or USUAL_DURATION_SECONDS,
    )


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known of a kubelet by now.

    `quiet_since`: since when it has renewed nothing, if it has missed a renewal; None: it has not.
    `silent`: that is longer than its Lease lasts. `look_again_seconds`: when another look may tell more;
    None: this one was enough.
    """

    quiet_since: float | None = None
    silent: bool = False
    look_again_seconds: float | None = None


def pulse(beat: Heartbeat | None, before: Heartbeat | None = None) -> Pulse:
    """Return what a look at a node's Lease says, and an earlier one `before` it; None: there is no Lease."""
    if beat is None or not beat.renewal:
        return Pulse()
    missed = _MISSED_PART * beat.duration_seconds
    if beat.renewed_at is not None:
        since = beat.renewed_at
    elif before is None:
        return Pulse(look_again_seconds=missed)
    elif before.renewal != beat.renewal:
        return Pulse()
    else:
        since = before.looked_at
    quiet = beat.looked_at - since
    if quiet >= beat.duration_seconds:
        return Pulse(since, silent=True)
    if quiet < missed:
        return Pulse(look_again_seconds=missed - quiet if beat.renewed_at is None else None)
    left = beat.duration_seconds - quiet
    return Pulse(since, look_again_seconds=max(1.0, min(left, _RENEWED_PART * beat.duration_seconds)))


def silence(beat: Heartbeat, since: float) -> Suppression:
    """Return why runs on a node are suppressed whose kubelet is silent since then."""
    return Suppression(
        Reason.NODE_NOT_READY,
        f"the kubelet has not renewed the node's Lease for {beat.looked_at - since:.0f} s"
        f" (leaseDurationSeconds: {beat.duration_seconds:.0f})",
        since,
    )
