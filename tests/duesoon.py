"""Canaries and resident pods that are due in some seconds: a test need not wait for their period."""

import time

from pie.core.model import Target
from pie.core.pods.calendar import paced
from tests.core.build import probe

PERIOD_SECONDS = 60
_SOONEST_SECONDS, _SOONEST_OF_LONG_SECONDS = 8, 25
"""The latter where the next due time after it is minutes away: a busy machine must not miss it."""
_WITHIN_SECONDS = 3


def due_soon(
    prefix: str,
    storage_class: str,
    namespace: str,
    *,
    canary: str = "block",
    period_seconds: int = PERIOD_SECONDS,
    node: str = "",
) -> str:
    """Return a name for a PieProbe whose target of this period is due soon.

    Name and namespace decide when that is.
    """

    def wait_seconds(name: str) -> float:
        target = Target(name, canary, storage_class, node, namespace)
        return paced(target, probe(period_seconds=period_seconds)).next_due(now) - now

    now = time.time()
    soonest = _SOONEST_SECONDS if period_seconds <= PERIOD_SECONDS else _SOONEST_OF_LONG_SECONDS
    names = (f"{prefix}{number}" for number in range(100_000))
    return next(name for name in names if 0 <= wait_seconds(name) - soonest <= _WITHIN_SECONDS)
