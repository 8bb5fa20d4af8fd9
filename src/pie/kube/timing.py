"""The times of a reflector."""

from dataclasses import dataclass
from typing import Final

from pie.kube.backoff import Backoff

RECONNECT: Final = Backoff(base_seconds=0.5, cap_seconds=15.0)
"""Waiting between watches; the longest wait is the most delay after the API server has recovered."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a reflector, in seconds, and its page size.

    `watch` is how long one watch may last, chosen at random between the two (client-go's 5 to 10 minutes).
    `inactivity` cuts a silent connection; it must exceed the minute between bookmarks. A watch that lived
    for `steady` resets the back-off.
    """

    backoff: Backoff = RECONNECT
    watch_seconds: tuple[float, float] = (300.0, 600.0)
    inactivity_seconds: float = 90.0
    steady_seconds: float = 10.0
    page_size: int = 500


DEFAULT_TIMING: Final = Timing()
