"""Canaries that are due in some seconds: a test need not wait for their period."""

import time

from pie.core.model import Target
from pie.core.pods.calendar import paced
from tests.core.build import probe

PERIOD_SECONDS = 60
_SOONEST_SECONDS, _LATEST_SECONDS = 8, 11


def due_soon(prefix: str, storage_class: str) -> str:
    """Return a name for a PieProbe whose canary `block` of one minute is due soon: the name decides when."""
    now = time.time()
    names = (f"{prefix}{number}" for number in range(1000))
    return next(
        name for name in names if _SOONEST_SECONDS <= _due(name, storage_class, now) - now <= _LATEST_SECONDS
    )


def _due(name: str, storage_class: str, now: float) -> float:
    wanted = probe(period_seconds=PERIOD_SECONDS)
    return paced(Target(name, "block", storage_class), wanted).next_due(now)
