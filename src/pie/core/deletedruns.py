"""The condition RunsDeleted: a target whose runs are deleted before pie reads their results is not probed."""

from collections.abc import Iterable
from typing import Final

from pie.core.conditions import Condition, status_condition
from pie.core.model import Target
from pie.core.reasons import ADVICE, MEANING, Reason
from pie.core.text import few

CONDITION: Final = "RunsDeleted"
PERIODS: Final = 3
"""A target that loses the runs of so many periods is named; one that is lost happens to anybody."""
WITHIN_PERIODS: Final = 10
"""They count if they are among the newest so many."""


def lose(lost: tuple[float, ...], due: float) -> tuple[float, ...]:
    """Return the newest due times whose runs were deleted, with one more."""
    return tuple(sorted({*lost, due})[-PERIODS:])


def losing_until(lost: tuple[float, ...], period_seconds: float) -> float | None:
    """Return until when a target is named for the runs that it lost; None: they are too few."""
    return lost[-PERIODS] + WITHIN_PERIODS * period_seconds if len(lost) >= PERIODS else None


def runs_deleted(losing: Iterable[Target]) -> Condition:
    """Return the condition: which targets lose their runs, and who may delete them."""
    named = sorted(target.node or f"StorageClass {target.storage_class}" for target in losing)
    if not named:
        message = f"no target lost the runs of {PERIODS} of its last {WITHIN_PERIODS} periods"
        return status_condition(CONDITION, "False", Reason.OK, message)
    reason, targets = Reason.JOB_DELETED, f"{len(named)} {'target' if len(named) == 1 else 'targets'}"
    lost = f"{targets} lost the runs of {PERIODS} of the last {WITHIN_PERIODS} periods: {few(named)}"
    return status_condition(CONDITION, "True", reason, f"{lost}. {MEANING[reason]} {ADVICE[reason]}")
