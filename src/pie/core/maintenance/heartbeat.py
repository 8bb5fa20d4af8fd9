"""Whether a node's kubelet still renews its Lease, by the API server's clock alone.

A kubelet writes the time of its own clock into its Lease, and this clock may be minutes wrong. The API server
notes in the managed fields when it stored the renewal, and each answer has the present time: both are times
of one clock. If a Lease has no such note, pie compares what it read at two times.
"""

from dataclasses import dataclass

from pie.core.maintenance.now import Suppression
from pie.core.reasons import Reason
from pie.core.wire import Object, StampedMetadata

USUAL_DURATION_SECONDS = 40.0
# A kubelet renews its Lease after a quarter of its duration. One renewal may be lost.
_RENEWED_PART = 0.25
_MISSED_PART = 0.4


class NodeLeaseSpec(Object, frozen=True):
    """spec of a node's Lease."""

    renew_time: str | None = None
    lease_duration_seconds: int | None = None


class NodeLease(Object, frozen=True):
    """A coordination.k8s.io/v1 Lease in kube-node-lease: its name is the node's."""

    metadata: StampedMetadata
    spec: NodeLeaseSpec = NodeLeaseSpec()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A node's Lease as it was read once.

    `looked_at` and `renewed_at` are by the API server's clock, epoch seconds; `renewed_at` is None if the
    Lease does not say it. `renewal` is the time that the kubelet wrote, by its own clock: pie only checks
    whether it changed.
    """

    looked_at: float
    renewed_at: float | None
    renewal: str
    duration_seconds: float


def heartbeat(lease: NodeLease, looked_at: float) -> Heartbeat:
    """Return what a Lease shows that was read at `looked_at`."""
    stamps = (
        entry.time.timestamp()
        for entry in lease.metadata.managed_fields
        if entry.time is not None and "f:renewTime" in (entry.fields_v1.get("f:spec") or {})
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

    `quiet_since` is its last renewal, if it missed the next one; None: it missed none. `silent`: this is
    longer ago than its Lease lasts. `look_again_seconds` is when pie should read the Lease again; None: pie
    knows enough.
    """

    quiet_since: float | None = None
    silent: bool = False
    look_again_seconds: float | None = None


def pulse(beat: Heartbeat | None, before: Heartbeat | None = None) -> Pulse:
    """Return what a node's Lease shows, with what it showed `before`; None: there is no Lease."""
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
    """Return why runs on a node are suppressed if its kubelet is silent since then."""
    return Suppression(
        Reason.NODE_NOT_READY,
        f"the kubelet has not renewed the node's Lease for {beat.looked_at - since:.0f} s"
        f" (leaseDurationSeconds: {beat.duration_seconds:.0f})",
        since,
    )
