"""Since when an effective period is what it is: due times that passed belong to the pace of their time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pie.core.pace.budget import MOST_EVERY

EFFECTIVE_PERIOD: Final = "effectivePeriodSeconds"
"""Of a status: the time between two runs of a target, for the next leader to begin with."""
_MOST_PARTS: Final = 8
_STEADY_PERIODS: Final = 3


@dataclass(frozen=True, slots=True)
class PacePart:
    """From `since` on (epoch seconds) the effective period is `every` periods."""

    since: float = 0.0
    every: int = 1


ALWAYS: Final = (PacePart(),)


def changed(parts: tuple[PacePart, ...], every: int, now: float) -> tuple[PacePart, ...]:
    """Return the parts with another effective period from now on; of many, the newest."""
    if parts[-1].every == every:
        return parts
    return (*parts, PacePart(now, every))[-_MOST_PARTS:]


def faster_at(since: float, period_seconds: float) -> float:
    """Return when the effective period gets shorter, if it could be so since then.

    Each change leaves a period without runs, so what comes and goes must not change it each time.
    """
    return since + _STEADY_PERIODS * period_seconds


def stored_every(status: Mapping[str, Any], period_seconds: int) -> int:
    """Return of how many periods the effective period in a status is; 1 where it says nothing useful."""
    said = status.get(EFFECTIVE_PERIOD)
    if isinstance(said, bool) or not isinstance(said, int) or said % period_seconds:
        return 1
    return min(MOST_EVERY, max(1, said // period_seconds))
