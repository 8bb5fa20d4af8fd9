"""The conditions OverBudget (more is needed than budgets allow) and Throttled (the control plane lags)."""

from collections.abc import Mapping
from typing import Any, Final

from pie.core.conditions import Condition, explained, status_condition, stored_conditions
from pie.core.cost.report import number
from pie.core.model import Probe, RunnerKind
from pie.core.pace.budget import Pace
from pie.core.pace.throttle import Throttle
from pie.core.reasons import Reason

OVER_BUDGET: Final = "OverBudget"
THROTTLED: Final = "Throttled"
SLOW: Final = frozenset({OVER_BUDGET, THROTTLED})
"""The conditions that say why the effective period is longer than the period."""


BEFORE: Final = "it lagged before this controller led"


def over_budget(probe: Probe, pace: Pace) -> Condition:
    """Return the condition."""
    if not pace.over or pace.allowed is None:
        limit = "there is no budget" if pace.allowed is None else f"{number(pace.allowed)} are allowed"
        message = f"the runs cause {_per_second(pace.needs)}; {limit}"
        return status_condition(OVER_BUDGET, "False", Reason.OK, message)
    message = f"the runs would cause {_per_second(pace.needs)}; the budget allows {number(pace.allowed)}"
    if probe.runner is RunnerKind.CRON_JOB:
        return status_condition(
            OVER_BUDGET, "True", Reason.BUDGET_NOT_HELD, explained(message, Reason.BUDGET_NOT_HELD)
        )
    slower = f"{message}; {_often(probe, pace)}"
    return status_condition(OVER_BUDGET, "True", Reason.RUNS_THINNED, explained(slower, Reason.RUNS_THINNED))


def throttled(probe: Probe, pace: Pace, throttle: Throttle) -> Condition:
    """Return the condition, which all PieProbes have alike."""
    if not throttle.on:
        return status_condition(THROTTLED, "False", Reason.OK, "the control plane answers in time")
    by_pie = probe.runner is RunnerKind.POD
    what = _often(probe, pace) if by_pie else "runs of CronJobs cannot be slowed down; use spec.runner Pod"
    message = f"{'; '.join(throttle.signs)}; {what}"
    reason = Reason.CONTROL_PLANE_BUSY
    return status_condition(THROTTLED, "True", reason, explained(message, reason))


def was_throttled(status: Mapping[str, Any]) -> bool:
    """Tell whether the condition is true in a stored status."""
    return any(
        each.get("type") == THROTTLED and each.get("status") == "True" for each in stored_conditions(status)
    )


def _often(probe: Probe, pace: Pace) -> str:
    effective = probe.period_seconds * pace.every
    return f"each target is probed every {effective} s instead of every {probe.period_seconds} s"


def _per_second(writes: float) -> str:
    return f"{number(writes)} writes and Events a second"
