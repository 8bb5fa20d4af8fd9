"""Canaries that are due in some seconds: a test need not wait for their period."""

import time

from pie.core.model import Target
from pie.core.pods.calendar import paced
from tests.core.build import probe

PERIOD_SECONDS = 60
_SOONEST_SECONDS, _LATEST_SECONDS = 8, 11


def due_soon(
    prefix: str, storage_class: str, *, canary: str = "block", period_seconds: int = PERIOD_SECONDS
) -> str:
    """Return a name for a PieProbe whose canary of this period is due soon: the name decides when."""

    def wait_seconds(name: str) -> float:
        target = Target(name, canary, storage_class)
        return paced(target, probe(period_seconds=period_seconds)).next_due(now) - now

    now = time.time()
    names = (f"{prefix}{number}" for number in range(100_000))
    return next(name for name in names if _SOONEST_SECONDS <= wait_seconds(name) <= _LATEST_SECONDS)
