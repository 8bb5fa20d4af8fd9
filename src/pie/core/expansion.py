"""The expansion of a volume: what pie asks for, and what the PVC says of it."""

import math

from pie.core.naming import ANNOTATION_EXPANDED
from pie.core.quantity import quantity
from pie.core.wire import Claim


def larger(claim: Claim, more: str) -> str | None:
    """Return the size to ask for: what the volume of a PVC has now, and `more`; None: that is not known."""
    now, wanted = quantity(claim.status.capacity.storage), quantity(more)
    if claim.status.phase != "Bound" or not now or not wanted:
        return None
    return str(math.ceil(now + wanted))


def asked_for(claim: Claim) -> str:
    """Return the size that pie asked for; empty: it did not ask yet."""
    return claim.metadata.annotations.get(ANNOTATION_EXPANDED, "")


def expanded(claim: Claim) -> bool:
    """Tell whether the PVC says that its volume has the size that pie asked for."""
    now, wanted = quantity(claim.status.capacity.storage), quantity(asked_for(claim))
    return now is not None and wanted is not None and now >= wanted


def given_up(claim: Claim) -> bool:
    """Tell whether the PVC says that nothing will come of its expansion."""
    return claim.status.allocated_resource_statuses.storage.endswith("Infeasible")
