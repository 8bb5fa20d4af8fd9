"""The condition RunsDeleted: a target whose runs are deleted before pie reads their results is not probed."""

from collections.abc import Iterable
from typing import Any, Final

from pie.core.model import Target
from pie.core.reasons import ADVICE, MEANING, Reason

CONDITION: Final = "RunsDeleted"
PERIODS: Final = 3
"""A target that loses the runs of so many periods is named; one that is lost happens to anybody."""
WITHIN_PERIODS: Final = 10
"""They count if they are among the newest so many."""
_NAMED = 5


def lose(lost: tuple[float, ...], due: float) -> tuple[float, ...]:
    """Return the newest due times whose runs were deleted, with one more."""
    return tuple(sorted({*lost, due})[-PERIODS:])


def losing_until(lost: tuple[float, ...], period_seconds: float) -> float | None:
    """Return until when a target is named for the runs that it lost; None: they are too few."""
    return lost[-PERIODS] + WITHIN_PERIODS * period_seconds if len(lost) >= PERIODS else None


def runs_deleted(losing: Iterable[Target]) -> dict[str, Any]:
    """Return the condition: which targets lose their runs, and who may delete them."""
    named = sorted(target.node or f"StorageClass {target.storage_class}" for target in losing)
    if not named:
        message = f"no target lost the runs of {PERIODS} of its last {WITHIN_PERIODS} periods"
        return {"type": CONDITION, "status": "False", "reason": Reason.OK.value, "message": message}
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    targets = f"{len(named)} {'target' if len(named) == 1 else 'targets'}"
    return {
        "type": CONDITION,
        "status": "True",
        "reason": Reason.JOB_DELETED.value,
        "message": f"{targets} lost the runs of {PERIODS} of the last {WITHIN_PERIODS} periods:"
        f" {', '.join(named[:_NAMED])}{more}. {MEANING[Reason.JOB_DELETED]} {ADVICE[Reason.JOB_DELETED]}",
    }
