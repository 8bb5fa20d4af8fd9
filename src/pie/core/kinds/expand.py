"""The canary `expand`: a new volume is expanded while a pod writes to it, and its filesystem grows.

pie changes the PVC when the container has run for a moment (`pie.core.target.growth`). Kubelets look for a
larger PVC only every minute or two, so a run has five minutes at least.
"""

import math
from typing import Final

from pie.core.kinds.canary import canary
from pie.core.model import Probe
from pie.core.wire import StorageClass

ASKED_AFTER_SECONDS: Final = 10
"""So long after the container started, pie asks for a larger volume: by then the probe knows its size."""

_LEAST_DEADLINE_SECONDS: Final = 300.0
_FOR_START_AND_END: Final = 0.2
"""This part of the deadline is for the start of the container and for its last reads."""


def _options(probe: Probe) -> list[str]:
    patience = math.floor(probe.deadline_seconds * (1 - _FOR_START_AND_END))
    return ["--asked-after", str(ASKED_AFTER_SECONDS), "--patience", str(patience)]


def _lacks(storage_class: StorageClass) -> str:
    if storage_class.allow_volume_expansion:
        return ""
    return f"StorageClass {storage_class.metadata.name} does not have allowVolumeExpansion: true"


ROW = canary(
    "expand",
    "a new volume was mounted within the threshold, and its filesystem grew while it was written",
    least_deadline_seconds=_LEAST_DEADLINE_SECONDS,
    grows=True,
    lacks=_lacks,
    options=_options,
    usual_period="24h",
    shortest_period_seconds=600,
)
