"""A Lease on the wire (coordination.k8s.io/v1)."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from pie.core.text import PlainText
from pie.core.wire import Metadata


class LeaseSpec(msgspec.Struct, rename="camel", frozen=True):
    """spec of a Lease. Who may lead is never computed from its times, which are by other clocks."""

    holder_identity: PlainText | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(msgspec.Struct, rename="camel", frozen=True):
    """A coordination.k8s.io/v1 Lease."""

    metadata: Metadata
    spec: LeaseSpec = LeaseSpec()


def held(identity: str, duration_seconds: int, now: str) -> dict[str, Any]:
    """Return the part of a spec that every renewal writes."""
    return {"holderIdentity": identity, "leaseDurationSeconds": duration_seconds, "renewTime": now}


def micro_time(epoch_seconds: float) -> str:
    """Return a MicroTime (meta/v1): RFC 3339 with exactly six digits of a second."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
