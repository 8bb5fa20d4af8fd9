"""The canary `shared`: two nodes mount one volume (ReadWriteMany), and each sees what the other writes.

The second pod starts when the first one runs, on another node, with the volume of the first. Each waits for
the writes of the other, so a run has the time of several thresholds.
"""

from typing import Final

from pie.core.kinds.canary import canary
from pie.core.kinds.row import Step
from pie.core.model import Probe

_LEAST_DEADLINE_SECONDS: Final = 300.0
_MEETS_WITHIN: Final = 0.6
"""This part of the deadline is for the start of the second pod, in which the first one waits for it."""
_SEEN_WITHIN: Final = 0.3
_SEEN_WITHIN_THRESHOLDS: Final = 1.5
"""Some filesystems keep names and attributes for a minute (nfs(5), acdirmax): the usual threshold."""


def _options(probe: Probe) -> list[str]:
    meets = probe.deadline_seconds * _MEETS_WITHIN
    seen = min(probe.threshold_seconds * _SEEN_WITHIN_THRESHOLDS, probe.deadline_seconds * _SEEN_WITHIN)
    return ["--meets-within", f"{meets:g}", "--patience", f"{seen:g}"]


ROW = canary(
    "shared",
    "two nodes mounted a new volume within the threshold, and each saw what the other wrote",
    least_deadline_seconds=_LEAST_DEADLINE_SECONDS,
    access_mode="ReadWriteMany",
    nodes=2,
    options=_options,
    steps=(Step(), Step(beside=True)),
    shortest_period_seconds=600,
)
