"""The condition RunsDeleted: a target whose runs are deleted before pie reads their results is not probed."""

from collections.abc import Iterable, Mapping
from typing import Final

from pie.core.conditions import Condition, explained, status_condition
from pie.core.model import Target
from pie.core.reasons import Reason
from pie.core.text import few

CONDITION: Final = "RunsDeleted"
PERIODS: Final = 3
"""A target is named if the runs of this many periods were deleted: one deleted run is nothing unusual."""
WITHIN_PERIODS: Final = 10
"""Only the runs of this many newest periods count."""


def lose(lost: tuple[float, ...], due: float) -> tuple[float, ...]:
    """Return the newest due times whose runs were deleted, with one more."""
    return tuple(sorted({*lost, due})[-PERIODS:])


def losing_until(lost: tuple[float, ...], period_seconds: float) -> float | None:
    """Return until when a target is named for the runs that it lost; None: it lost too few."""
    return lost[-PERIODS] + WITHIN_PERIODS * period_seconds if len(lost) >= PERIODS else None


def losing(lost: Mapping[Target, tuple[float, ...]], period_seconds: float) -> dict[Target, float]:
    """Return the targets that lost too many runs, each with the time until which it is named."""
    found = {target: losing_until(dues, period_seconds) for target, dues in lost.items()}
    return {target: until for target, until in found.items() if until is not None}


def runs_deleted(losing: Iterable[Target]) -> Condition:
    """Return the condition: which targets lose their runs, and who may delete them."""
    named = sorted(target.node or f"StorageClass {target.storage_class}" for target in losing)
    if not named:
        message = f"no target lost the runs of {PERIODS} of its last {WITHIN_PERIODS} periods"
        return status_condition(CONDITION, "False", Reason.OK, message)
    reason, targets = Reason.JOB_DELETED, f"{len(named)} {'target' if len(named) == 1 else 'targets'}"
    lost = f"{targets} lost the runs of {PERIODS} of the last {WITHIN_PERIODS} periods: {few(named)}"
    return status_condition(CONDITION, "True", reason, explained(lost, reason))
