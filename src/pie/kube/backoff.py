"""Waiting between attempts: exponential, bounded, and random, so that clients of one server spread out."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after failure number 0, 1, 2 …: doubling from `base_seconds` up to `cap_seconds`."""

    base_seconds: float
    cap_seconds: float

    def delay(self, failures: int) -> float:
        """Seconds to wait, at random between half of the step and all of it."""
        step = min(self.cap_seconds, self.base_seconds * 2.0 ** min(failures, 32))
        return step * random.uniform(0.5, 1.0)  # noqa: S311  spreads load, guards no secret
