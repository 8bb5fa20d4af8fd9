"""Counts requests that the API server refused with 429 or answered slowly: it has too much to do."""

from dataclasses import dataclass
from typing import Final

SLOW_SECONDS: Final = 1.0


@dataclass(slots=True)
class Strain:
    """How requests went since this began: all that were answered, those with 429, and slow ones.

    Lists are not slow: they may be large.
    """

    calls: int = 0
    refused: int = 0
    slow: int = 0

    def answered(self, took_seconds: float, *, listed: bool) -> None:
        """Note an answer, and how long it took."""
        self.calls += 1
        self.slow += took_seconds >= SLOW_SECONDS and not listed

    def was_refused(self) -> None:
        """Note that the API server said 429."""
        self.calls += 1
        self.refused += 1
